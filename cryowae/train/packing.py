"""State of networks and optimisers as the named arrays and plain values of a checkpoint, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays = dict[str, NDArray[Any]]


def pack(parts: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """What `state_dict` of each part says.

    Parameters
    ----------
    parts
        Modules and optimisers by name.

    Returns
    -------
    arrays, plain
        Tensors under `part.name`, and by part what is not a tensor, for JSON.
    """
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for name, part in parts.items():
        tensors |= {f"{name}.{k}": v for k, v in _flatten(part.state_dict(), plain.setdefault(name, {})).items()}
    return {k: v.detach().cpu().contiguous().numpy() for k, v in tensors.items()}, plain


def unpack(parts: Mapping[str, Any], arrays: Arrays, plain: Mapping[str, Any]) -> None:
    """Give every part the state that `pack` took."""
    for name, part in parts.items():
        own = {k.removeprefix(f"{name}."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(f"{name}.")}
        part.load_state_dict(_unflatten(own, plain[name]))


def _flatten(state: dict[str, Any], plain: dict[str, Any]) -> dict[str, Tensor]:
    # modules have flat state; optimisers nest it: {"state": {i: {name: tensor}}, "param_groups": [...]}
    if "param_groups" not in state:
        return state
    plain["param_groups"] = json.loads(json.dumps(state["param_groups"]))
    return {f"{i}.{k}": v for i, values in state["state"].items() for k, v in values.items()}


def _unflatten(tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[str, Any]:
    if "param_groups" not in plain:
        return tensors
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    return {"state": state, "param_groups": plain["param_groups"]}
