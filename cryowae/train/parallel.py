"""Several processes that train one network; `torchrun` starts them and numbers them by environment variables."""

from __future__ import annotations

import os
from typing import Self

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cryowae.models.weights import pick_device


class Team:
    """The processes of this run; one alone if `torchrun` did not start it.

    Attributes
    ----------
    rank
        Number of this process.
    leads
        Whether it writes the files.
    device
        Where it computes.
    """

    def __init__(self, device: str = "auto") -> None:
        self.rank = int(os.environ.get("RANK", 0))
        self._size = int(os.environ.get("WORLD_SIZE", 1))
        self.device = torch.device(pick_device(device))
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
            torch.cuda.set_device(self.device)
            torch.backends.cudnn.benchmark = (
                True  # all steps have the same shapes, so the fastest convolutions are searched once
            )
        self.leads = self.rank == 0

    def __enter__(self) -> Self:
        if self._size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(self, *error: object) -> None:
        if self._size > 1:
            dist.destroy_process_group()

    def share(self, model: nn.Module) -> nn.Module:
        """The module, with gradients that are averaged over all processes."""
        return DistributedDataParallel(model) if self._size > 1 else model
