"""Commands from functions: names, types and defaults come from the signature, the text of `--help` from the docstring.

A parameter without a default is an argument, any other one an option. A parameter whose type is a dataclass becomes one
option for each of its fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from cryowae.cli.terminal import ErrorsInOneLine
from cryowae.config.options import help_of
from cryowae.errors import ConfigError

FOLDER = typer.Option(metavar="FOLDER")
Folder = Annotated[Path, FOLDER]

_ALWAYS: dict[str, Any] = {"no_args_is_help": True, "add_completion": False, "pretty_exceptions_enable": False}
_LARGEST = 2**63
_METAVARS = {Path: "FILE", tuple[float, float]: "LO HI", str: "NAME", int: "N", float: "X"}
_COMMON: dict[str, dict[str, Any]] = {
    "alignment": {"param_decls": ("--align",), "metavar": "ALIGN"},
    "assignments": {"param_decls": ("--set",), "metavar": "NAME=VALUE"},
    "bin": {"min": 1},
    "consistency": {"metavar": "off|soft|hard"},
    "data": {"metavar": "FOLDER", "help": "Folder of the images; by default CRYOWAE_MNIST or CRYOWAE_CELEBA."},
    "device": {"metavar": "auto|cpu|cuda|mps", "help": "Where to compute."},
    "drop": {"metavar": "every:N|beyond:ANGLE"},
    "epochs": {"min": 1, "help": "Length of the training."},
    "fid_weights": {"metavar": "FILE|download", "help": "Compute the FID: Inception as TorchScript, or downloaded."},
    "images": {"min": 0},
    "labels": {"min": 0},
    "model": {"help": "Weights by name, or a .safetensors file."},
    "overlap": {"metavar": "VOXELS", "min": 0},
    "overwrite": {"help": "Overwrite existing files."},
    "seed": {"min": 0},
    "size": {"metavar": "Z,Y,X"},
    "thickness": {"metavar": "VOXELS", "min": 2},
    "voxel_size": {"metavar": "ANGSTROM", "help": "Angstrom; replaces the value of the header."},
    "window": {"metavar": "VOXELS", "min": 1},
}


def group(name: str, text: str, *commands: Callable[..., None]) -> typer.Typer:
    """Functions as commands under one name; their errors take one line."""
    made = typer.Typer(name=name, cls=ErrorsInOneLine, help=text, **_ALWAYS)
    for command in commands:
        made.command()(described(command))
    return made


def described(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters are given by the user field by field, with help from the docstrings."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters: dict[str, list[inspect.Parameter]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = groups.get(name)
        if kind is None:
            parameters[name] = [_parameter(name, hints[name], parameter.default, command)]
        else:
            own = get_type_hints(kind, include_extras=True)
            chosen = [field for field in fields(kind) if not field.metadata.get("deprecated")]
            parameters[name] = [_parameter(one.name, own[one.name], one.default, command, kind) for one in chosen]

    @wraps(command)
    def run(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{option.name: values.pop(option.name) for option in parameters[name]})
        command(**values)

    options = list(chain.from_iterable(parameters.values()))
    run.__doc__ = inspect.cleandoc(command.__doc__ or "").partition("\n\nParameters\n---")[0]
    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _parameter(name: str, hint: Any, default: Any, *owners: Any) -> inspect.Parameter:
    """The argument of typer: help from the hint, or from the docstring of an owner, or from `_COMMON`."""
    kind, *given = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if default is MISSING:
        default = inspect.Parameter.empty
    argument = not given and default is inspect.Parameter.empty and len(owners) == 1
    option = copy(given[0]) if given else typer.Argument() if argument else typer.Option()
    texts = (text for owner in owners if (text := help_of(owner, name)))
    metavars = (_METAVARS[one] for one in (kind, *get_args(kind)) if one in _METAVARS)
    filled = {
        "help": next(texts, None),
        "metavar": name.upper() if argument else next(metavars, None),
        "callback": _possible,
        "param_decls": (f"--{name.replace('_', '-')}",) if kind is bool and default is False else None,
    }
    common = _COMMON.get(name, {})
    for key, value in {**filled, **common, "help": filled["help"] or common.get("help")}.items():
        setattr(option, key, getattr(option, key) or value)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _possible(parameter: typer.CallbackParam, value: Any) -> Any:
    """The value of a parameter, unless it is a number that no computation can use."""
    for number in value if isinstance(value, list | tuple) else (value,):
        if isinstance(number, int | float) and not abs(number) < _LARGEST:
            raise ConfigError(f"got {parameter.opts[0]} {str(number)[:24]}, expected a number between -2^63 and 2^63")
    return value
