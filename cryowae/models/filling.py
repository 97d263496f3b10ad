"""Networks filled with the tensors of a file, whose names and shapes are compared before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cryowae.config import ModelConfig
from cryowae.errors import CheckpointError

_MOST_SCALES = 8
_MOST_CHANNELS = 4096

Network = TypeVar("Network", bound=nn.Module)


def filled(make: Callable[[], Network], tensors: Mapping[str, Any], path: Path) -> Network:
    """A network with the weights of a file.

    Parameters
    ----------
    make
        Creates the network.
    tensors
        Its weights by name, arrays or tensors.
    path
        The file, for messages.

    Raises
    ------
    CheckpointError
        If a weight is missing, is too many, has another shape, or is not finite.
    """
    with torch.device("meta"):  # shapes alone
        expected = {name: tuple(value.shape) for name, value in make().state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        got, wanted = (
            "none" if shape is None else f"shape {shape}"
            for shape in (tuple(tensors[name].shape) if name in tensors else None, expected.get(name))
        )
        if got != wanted:
            raise CheckpointError(
                f"{path} holds a network that does not fit its metadata: {name} has {got}, expected {wanted}; copy or "
                "train it again"
            )
    weights: dict[str, Tensor] = {name: torch.as_tensor(value) for name, value in tensors.items()}
    broken = next((name for name, value in weights.items() if not bool(value.isfinite().all())), None)
    if broken is not None:
        raise CheckpointError(f"{path} has weights that are not finite ({broken}); expected numbers: train it again")
    network = make()
    network.load_state_dict(weights)
    return network


def model_shape(values: Any, tensors: Mapping[str, Any], path: Path) -> ModelConfig:
    """The shape of an autoencoder in the metadata of a file, if it can be that of its tensors.

    Raises
    ------
    CheckpointError
        If there is none, or it is impossible.
    """
    try:
        shape = ModelConfig.model_validate(values)
    except ValueError:
        raise CheckpointError(_no_network(path, "no shape of a network")) from None
    scales, blocks = len(shape.widths), (*shape.down, *shape.up, *shape.decode)
    lengths = [len(shape.codes), len(shape.down), len(shape.decode), len(shape.up) + 1]
    if not (1 <= scales <= _MOST_SCALES and lengths == [scales] * 4):
        raise CheckpointError(_no_network(path, f"a network of {scales} scales with {lengths} codes and blocks"))
    if not all(1 <= width <= _MOST_CHANNELS for width in (*shape.widths, *shape.codes)):
        raise CheckpointError(_no_network(path, f"a network of {shape.widths} channels and {shape.codes} codes"))
    if min(blocks) < 0 or sum(blocks) > len(tensors):
        raise CheckpointError(_no_network(path, f"{len(tensors)} tensors for {sum(blocks)} blocks"))
    return shape


def voxel_range(values: Any, path: Path) -> tuple[float, float]:
    """The range of voxel sizes in the metadata of a file, angstrom; raises `CheckpointError` if it is impossible."""
    try:
        low, high = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        raise CheckpointError(_no_network(path, f"the voxel sizes {str(values)[:40]}")) from None
    if not 0 < low <= high < float("inf"):
        raise CheckpointError(_no_network(path, f"the voxel sizes {low:g} to {high:g}"))
    return low, high


def _no_network(path: Path, got: str) -> str:
    return f"{path} holds no restoration network (it has {got}); expected weights that `cryowae train` wrote"
