"""Groups of options: a parameter whose type is a dataclass becomes one option for each of its fields.

Names, types and defaults come from the fields. The text of `--help` comes from the `Attributes` of the docstrings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import Field, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from cryowae.config.options import help_of

_METAVARS = {Path | None: "FILE", tuple[float, float] | None: "LO HI", str: "NAME", int | None: "N", float | None: "X"}
_CHANGED: dict[str, dict[str, Any]] = {
    "device": {"metavar": "auto|cpu|cuda|mps"},
    "window": {"metavar": "VOXELS", "min": 1},
    "overlap": {"metavar": "VOXELS", "min": 0},
    "voxel_size": {"metavar": "ANGSTROM"},
}


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose dataclass parameters are given by the user field by field."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += [_option(field, groups[name]) for field in _fields(groups[name])]
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in _fields(kind)})
        command(**values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _fields(kind: type) -> Iterator[Field[Any]]:
    return (field for field in fields(kind) if not field.metadata.get("deprecated"))


def _option(field: Field[Any], kind: type) -> inspect.Parameter:
    hint = get_type_hints(kind)[field.name]
    names = [f"--{field.name.replace('_', '-')}"] if hint is bool and not field.default else []
    more = {"metavar": _METAVARS.get(hint), **_CHANGED.get(field.name, {})}
    option = typer.Option(*names, help=help_of(kind, field.name), **more)
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[hint, option]
    )
