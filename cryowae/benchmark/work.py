"""How much a network computes and moves for each voxel, and how much a graphics card can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cryowae.models.weights import RestorationModel


@dataclass(frozen=True)
class Work:
    """Of all convolutions of a network, per voxel of its input.

    Attributes
    ----------
    products
        Multiply-adds.
    values
        Numbers read and written, weights left out.
    bytes_per_value
        2 in half precision, else 4.
    """

    products: float
    values: float
    bytes_per_value: int

    @classmethod
    def of(cls, model: RestorationModel, edge: int = 64) -> Work:
        """Counted while the network works on one window of `edge` voxels along each axis."""
        products = values = 0.0

        def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal products, values
            assert isinstance(layer, nn.Conv3d)
            products += output.numel() * layer.weight[0].numel()
            values += output.numel() + inputs[0].numel()

        layers = [layer for layer in model.network.modules() if isinstance(layer, nn.Conv3d)]
        hooks = [layer.register_forward_hook(add) for layer in layers]
        try:
            model(torch.zeros(1, 1, edge, edge, edge))
        finally:
            for hook in hooks:
                hook.remove()
        return cls(products / edge**3, values / edge**3, 2 if model.half else 4)


def card_limits(device: torch.device, *, half: bool, edge: int = 8192) -> tuple[float, float]:
    """Floating-point operations a second of a matrix product, and bytes a second of a copy, both measured on CUDA."""
    kind = torch.float16 if half else torch.float32
    matrix = torch.randn(edge, edge, device=device, dtype=kind)
    out = torch.empty_like(matrix)
    flops = 2 * edge**3 / _seconds(lambda: torch.matmul(matrix, matrix, out=out))
    return flops, 2 * matrix.nbytes / _seconds(lambda: out.copy_(matrix))


def _seconds(work: Callable[[], Tensor], repeats: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / repeats
