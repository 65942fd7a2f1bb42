"""A YAML file whose values still know their lines, so that an error can point at the place."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import ContractError

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed file: `data` as plain values, `lines` from the path of a value to its line (from 1)."""

    file: Path
    data: dict[str, Any]
    lines: dict[Place, int]

    def line(self, place: Place) -> int | None:
        """The line of a value, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)

    def error(self, topic: str, what: str, place: Place = (), *, why: str = "", fix: str = "") -> ContractError:
        """A ContractError that points at the value with this path."""
        return ContractError(topic, what, file=self.file, line=self.line(place), why=why, fix=fix)


def read(file: Path) -> Document:
    """Parse one YAML mapping. ContractError when the file is missing, is no YAML, or says a key twice."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ContractError(
            "MISSING", "there is no contract file", file=file, fix="caudal contract new <domain>.<event>"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(
            "YAML", "the contract file cannot be read", file=file, why=type(error).__name__, fix="save it as UTF-8 text"
        ) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ContractError(
            "YAML",
            "the contract is no valid YAML",
            file=file,
            line=mark.line + 1 if mark else None,
            why=str(getattr(error, "problem", error)),
            fix="correct the line; strings with : or # need quotes",
        ) from error
    lines: dict[Place, int] = {}
    if not isinstance(node, yaml.MappingNode):
        raise ContractError("YAML", "a contract is a mapping", file=file, line=1, fix="begin with `id: domain.event`")
    return Document(file, _mapping(node, (), lines, file), lines)


def _mapping(node: yaml.MappingNode, place: Place, lines: dict[Place, int], file: Path) -> dict[str, Any]:
    lines[place] = node.start_mark.line + 1
    out: dict[str, Any] = {}
    for key, value in node.value:
        name = str(key.value)
        if name in out:
            raise ContractError(
                "YAML", f"`{name}` is said twice", file=file, line=key.start_mark.line + 1, fix="keep one of the two"
            )
        out[name] = _value(value, (*place, name), lines, file)
        lines[(*place, name)] = key.start_mark.line + 1
    return out


def _value(node: yaml.Node, place: Place, lines: dict[Place, int], file: Path) -> Any:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, lines, file)
    if isinstance(node, yaml.SequenceNode):
        items: Sequence[yaml.Node] = node.value
        return [_value(item, (*place, index), lines, file) for index, item in enumerate(items)]
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    finally:
        loader.dispose()
