"""Optimisers that act as one at a share of their full rates, and schedules of that share.

Muon moves the kernels in the middle of a network, AdamW all the rest. A convolution is a matrix: its rows are the
output channels, its columns all inputs of the kernel. Muon (Jordan et al. 2024) makes the step of each matrix
orthogonal, so that directions with a small gradient are learned as fast as those with a large one. The gain is in
docs/ablation.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Optimiser:
    """Several optimisers that act as one.

    Parameters
    ----------
    parts
        The optimisers by name, at their full rates.

    Attributes
    ----------
    parts
        The same, to be saved.
    """

    def __init__(self, **parts: torch.optim.Optimizer) -> None:
        self.parts: dict[str, torch.optim.Optimizer] = parts
        for group in self._groups():
            group["full"] = group["lr"]

    def step(self, share: float) -> None:
        """One step along the gradients, at this share of the full rates."""
        for group in self._groups():
            group["lr"] = group["full"] * share
        for part in self.parts.values():
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts.values():
            part.zero_grad(set_to_none=True)

    def descend(self, loss: Tensor, share: float) -> None:
        """One step down a loss, at this share of the full rates."""
        self.zero_grad()
        loss.backward()
        self.step(share)

    def _groups(self) -> Iterable[dict[str, Any]]:
        return (group for part in self.parts.values() for group in part.param_groups)


class KernelOptimiser(Optimiser):
    """Muon for kernels in the middle of a 3-D network, AdamW for all the rest.

    Parameters
    ----------
    network
        Placed where it will be trained.
    rate
        Of AdamW.
    kernel_rate
        Of Muon; 0 leaves everything to AdamW.
    decay
        Weight decay of AdamW.
    """

    def __init__(self, network: nn.Module, rate: float, kernel_rate: float, decay: float) -> None:
        kernels = [p for n, p in network.named_parameters() if p.ndim == 5 and not n.startswith(("stem", "head"))]
        self._kernels = kernels if kernel_rate else []
        self._matrices = [nn.Parameter(_matrix(kernel.data)) for kernel in self._kernels]
        ours = {id(kernel) for kernel in self._kernels}
        groups = _by_fan_in([p for p in network.parameters() if id(p) not in ours], rate)
        parts: dict[str, torch.optim.Optimizer] = {
            "optimiser": torch.optim.AdamW(groups, weight_decay=decay, betas=(0.9, 0.99))
        }
        if self._matrices:
            parts["muon"] = torch.optim.Muon(self._matrices, lr=kernel_rate, weight_decay=0.0)
        super().__init__(**parts)

    def step(self, share: float) -> None:
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        super().step(share)

    def zero_grad(self) -> None:
        super().zero_grad()
        for kernel in self._kernels:
            kernel.grad = None


def rise_and_fall(step: int, steps: int, warmup: int) -> float:
    """Share of the full rates at a step: a linear warm-up, then a straight line to (nearly) zero."""
    return min((step + 1) / max(warmup, 1), 1.0) * max(1.0 - step / steps, 0.01)


def cosine(step: int, steps: int) -> float:
    """Share of the full rates at a step: half a cosine, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def _matrix(kernel: Tensor) -> Tensor:
    """A kernel with channels last as a matrix `(outputs, inputs)`: a view of the same memory, not a copy."""
    return kernel.movedim(1, -1).reshape(len(kernel), -1)


def _by_fan_in(parameters: list[nn.Parameter], rate: float) -> list[dict[str, Any]]:
    # Adam moves every weight by about its rate, so a layer's output moves by the rate times the number of its inputs:
    # kernels with many inputs get a smaller rate, divided by the square root of their fan-in over 64
    shares: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        shares.setdefault(min(1.0, (64 / fan_in) ** 0.5), []).append(parameter)
    return [{"params": some, "lr": rate * share} for share, some in sorted(shares.items())]
