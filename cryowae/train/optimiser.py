"""Two optimisers that act as one: Muon for the kernels in the middle of a network, AdamW for all the rest.

A convolution is a matrix from what a kernel sees to what it says. Muon (Jordan et al. 2024) makes the step of each
matrix orthogonal, so that directions with a small gradient are learned as fast as those with a large one.
What it gains is in docs/ablation.md.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cryowae.config import TrainConfig


class Optimiser:
    """Moves every parameter of a network once a step.

    Parameters
    ----------
    network
        Placed where it will be trained.
    config
        `rate` is AdamW's and `kernel_rate` Muon's; where that is 0, AdamW moves everything.

    Attributes
    ----------
    parts
        The optimisers by name, for checkpoints.
    rate
        Of AdamW at the last step.
    """

    def __init__(self, network: nn.Module, config: TrainConfig) -> None:
        kernels = [p for n, p in network.named_parameters() if p.ndim == 5 and not n.startswith(("stem", "head"))]
        self._kernels = kernels if config.kernel_rate else []
        self._matrices = [nn.Parameter(_matrix(kernel.data)) for kernel in self._kernels]
        ours = {id(kernel) for kernel in self._kernels}
        groups = _groups([p for p in network.parameters() if id(p) not in ours])
        self.rate, self._rates = 0.0, (config.rate, config.kernel_rate)
        self.parts: dict[str, torch.optim.Optimizer] = {
            "optimiser": torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.decay, betas=(0.9, 0.99))
        }
        if self._matrices:
            self.parts["muon"] = torch.optim.Muon(self._matrices, lr=config.kernel_rate, weight_decay=0.0)

    def step(self, schedule: float) -> None:
        """One step along the gradients, at this share of the full rates."""
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad)
        self.rate = self._rates[0] * schedule
        for part, rate in zip(self.parts.values(), self._rates, strict=False):
            for group in part.param_groups:
                group["lr"] = rate * group.get("share", 1.0) * schedule
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.parts["optimiser"].zero_grad(set_to_none=True)
        for kernel in self._kernels:
            kernel.grad = None


def _matrix(kernel: Tensor) -> Tensor:
    """`(out, everything that it sees)` of a kernel whose channels are last: the same memory, not a copy."""
    return kernel.movedim(1, -1).reshape(len(kernel), -1)


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    # Adam moves every weight by about its rate, so a layer's output moves by the rate times what it sums over: wide
    # kernels get a smaller share of the rate, as the square root of their fan-in above 64
    shares: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
        shares.setdefault(min(1.0, (64 / fan_in) ** 0.5), []).append(parameter)
    return [{"params": some, "share": share} for share, some in sorted(shares.items())]
