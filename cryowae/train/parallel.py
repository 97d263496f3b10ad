"""Several processes that train one network: `torchrun` starts them and its environment variables name them."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cryowae.models.weights import pick_device


class Team:
    """The processes of this run; a team of one where `torchrun` did not start it.

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
            torch.backends.cudnn.benchmark = True  # all steps have one shape: look once for the fastest convolutions
        self.leads = self.rank == 0

    def __enter__(self) -> Self:
        if self._size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._size > 1:
            dist.destroy_process_group()

    def share(self, model: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the team."""
        return DistributedDataParallel(model) if self._size > 1 else model
