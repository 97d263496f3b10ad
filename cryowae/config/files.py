"""Configuration files: YAML files, found by name, checked, and read-only."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from reprlib import Repr
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from cryowae.config.plain_yaml import MOST_BYTES, parse_yaml
from cryowae.errors import ConfigError

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_DEEPEST = 10  # groups in a name such as data.batch


class Frozen(BaseModel):
    """Base of all configurations: read-only; unknown names, infinity and `yes` for a number are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and {int, float} & {kind, *get_args(kind)} and bool not in (kind, *get_args(kind)):
            raise ValueError("expected a number")
        return value


Config = TypeVar("Config", bound=Frozen)


def read_values(name_or_path: str | Path, folder: str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """Read the plain values of a configuration.

    Parameters
    ----------
    name_or_path
        A YAML file, or the name of one that ships with the package.
    folder
        Folder of the shipped configurations, below `configs/`.
    overrides
        Assignments such as `data.batch=8`, whose values are YAML.

    Returns
    -------
    values, source
        The values, and the file that they came from.

    Raises
    ------
    ConfigError
        If there is no such file or it is not YAML.
    """
    path = Path(name_or_path)
    if not _is_file(path):
        path = shipped(folder) / f"{name_or_path}.yaml"
        if not _is_file(path):
            known = ", ".join(sorted(p.stem for p in shipped(folder).glob("*.yaml")))
            raise ConfigError(f"no configuration {str(name_or_path)[:100]!r}; give a YAML file or one of: {known}")
    values = parse_yaml(_read(path), str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, expected names with values, such as `steps: 1000`")
    for override in overrides:
        assign(values, override)
    return values, str(path)


def read_config(kind: type[Config], path: Path, overrides: Sequence[str] = ()) -> Config:
    """The configuration in a file, such as that of a run; parameters and errors as for `read_values`."""
    values, source = read_values(path, "", overrides)
    return check(kind, values, source)


def check(kind: type[Config], values: dict[str, Any], source: str) -> Config:
    """A configuration of plain values; raises `ConfigError` with a message of one line if they are wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(_names(kind, first["loc"][:-1]))
            raise ConfigError(f"{source}: {place} is not known, expected one of: {known}") from error
        where = f"{source}: {place}" if place else source
        got = "" if isinstance(first["input"], dict) else f", got {_SHORT.repr(first['input'])}"
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {said[:1].lower()}{said[1:]}{got}") from error


def assign(values: dict[str, Any], override: str) -> None:
    """Set one of the plain values by an assignment such as `data.batch=8`; raises `ConfigError` for any other text."""
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"got {override!r}, expected NAME=VALUE, such as data.batch=8")
    *parents, last = name.split(".")
    if len(parents) >= _DEEPEST:
        raise ConfigError(f"got a name of {len(parents) + 1} parts, expected one such as data.batch")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{name}: {parent} is a value, not a group of values")
    values[last] = parse_yaml(text, override)


def shipped(folder: str = "") -> Path:
    """Folder of the shipped configurations, installed or in a clone."""
    installed = Path(str(files("cryowae"))) / "configs"
    return (installed if installed.is_dir() else Path(__file__).parents[2] / "configs") / folder


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        return content.decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); correct its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error


def _is_file(path: Path) -> bool:
    """Whether there is a file; a name that the file system does not allow is none."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise ConfigError(f"{path} cannot be read ({error.strerror}); expected a YAML file") from None


def _names(kind: type[Frozen], place: Sequence[int | str]) -> list[str]:
    """The valid names at one place of a configuration."""
    for part in place:
        if isinstance(part, str) and part in kind.model_fields:
            inside = kind.model_fields[part].annotation
            choices = (inside, *get_args(inside))
            kind = next((c for c in choices if isinstance(c, type) and issubclass(c, Frozen)), kind)
    return list(kind.model_fields)
