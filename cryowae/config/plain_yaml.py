"""YAML as configurations need it: names, numbers, texts and lists, of a limited size.

Tags are refused: a configuration has no use for them. Aliases (`*name`, `<<: *name`) are understood, but not where they
multiply. A date is text.
"""

from __future__ import annotations

from typing import Any

import yaml

from cryowae.errors import ConfigError

MOST_BYTES = 1_000_000
"""Largest size of a configuration."""

_DEEPEST = 30  # levels of lists and groups in one another
_OPEN = (0, 0)
_MOST = 100_000  # values, with those that aliases repeat


def parse_yaml(text: str, source: str) -> Any:
    """The plain values in a YAML text.

    Parameters
    ----------
    text
        The text.
    source
        Where it came from, for the error message.

    Raises
    ------
    ConfigError
        If it is not YAML, too large, or has tags, a name twice, or control characters.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{source} has {len(text)} characters, expected a configuration of at most {MOST_BYTES}")
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source} is not YAML: {' '.join(str(error).split())[:300]}") from error


class _Loader(yaml.SafeLoader):
    """The loader of plain values."""

    depth = 0

    def compose_document(self) -> Any:
        node = super().compose_document()
        _count(node, {})
        return node

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None):
            raise _Unfit(f"got the tag {event.tag}, expected plain values without tags", event)
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _Unfit(f"got more than {_DEEPEST} levels", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _Unfit(f"got {key.value} twice, expected every name once", key)
            seen.add(key.value)
        return node

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and any(c < " " and c not in "\n\t" for c in value):
            raise _Unfit("got control characters in a text", node)
        return value


class _Unfit(yaml.MarkedYAMLError):
    """Something that YAML may have, and a configuration may not."""

    def __init__(self, problem: str, place: Any) -> None:
        super().__init__(problem=problem, problem_mark=place.start_mark)


def _count(node: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Number of values and of levels in a node, with those that aliases repeat."""
    if id(node) in known:
        if known[id(node)] == _OPEN:
            raise _Unfit("got an alias within what it stands for", node)
        return known[id(node)]
    known[id(node)] = _OPEN
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    inside = [_count(part, known) for part in parts]
    found = 1 + sum(count for count, _ in inside), 1 + max((levels for _, levels in inside), default=0)
    if found[0] > _MOST or found[1] > _DEEPEST:
        raise _Unfit(f"got more than {_MOST} values or {_DEEPEST} levels, some by aliases", node)
    known[id(node)] = found
    return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith(":timestamp")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
