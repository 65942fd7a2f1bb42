"""A YAML file whose values still know their lines, so that an error can point at the place."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from schemas import duration
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

    def at(self, place: Place) -> Any:
        """The value at a path, None when there is none."""
        value: Any = self.data
        for part in place:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def check_keys(self, place: Place, required: Iterable[str], optional: Iterable[str]) -> None:
        """Refuse a mapping that holds other keys than these, or lacks a required one."""
        required = tuple(required)
        known = (*required, *optional)
        found = self.section(place)
        for name in found:
            if name not in known:
                raise self.error("KEY", f"`{name}` is no part of a contract", (*place, name), fix=nearest(name, known))
        for name in required:
            if found.get(name) in (None, ""):
                raise self.error("KEY", f"`{name}` is missing", place, fix=f"add `{name}: …`")

    def text(self, *place: str | int) -> str:
        value = self.at(place)
        if not isinstance(value, str) or not value.strip():
            raise self.error("VALUE", f"`{place[-1]}` is a text", place, fix=f"{place[-1]}: some_text")
        return value.strip()

    def names(self, *place: str | int) -> tuple[str, ...]:
        """A list of field names; empty when there is none."""
        value = self.at(place)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value) or not value:
            raise self.error("VALUE", f"`{place[-1]}` is a list of field names", place, fix=f"{place[-1]}: [field]")
        if len(set(value)) != len(value):
            raise self.error("VALUE", f"`{place[-1]}` names a field twice", place, fix="keep one of the two")
        return tuple(value)

    def list(self, *place: str | int) -> Sequence[Any]:
        value = self.at(place)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.error("VALUE", f"`{place[-1]}` is a list", place, fix=f"{place[-1]}: [{{…}}]")
        return value

    def section(self, place: Place) -> dict[str, Any]:
        """A mapping; empty when there is none."""
        value = self.at(place)
        if value is None:
            return {}
        if not isinstance(value, dict):
            name = place[-1] if place else "contract"
            raise self.error("VALUE", f"`{name}` holds names and values", place, fix=f"{name}: {{name: value}}")
        return value

    def choice(self, place: Place, allowed: Iterable[str], default: str | None = None) -> Any:
        """One of the allowed words, or the default when nothing is said."""
        allowed = tuple(allowed)
        value = self.at(place)
        if value is None and default is not None:
            return default
        if value not in allowed:
            raise self.error("VALUE", f"`{place[-1]}` cannot be `{value}`", place, fix=f"one of: {', '.join(allowed)}")
        return value

    def flag(self, *place: str | int) -> bool:
        """True or false; false when nothing is said."""
        value = self.at(place)
        if not isinstance(value, bool | None):
            raise self.error("VALUE", f"`{place[-1]}` is true or false", place, fix=f"{place[-1]}: true")
        return bool(value)

    def number(self, *place: str | int) -> float:
        value = self.at(place)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error("VALUE", f"`{place[-1]}` is a number", place, fix=f"{place[-1]}: 60")
        return float(value)

    def span(self, place: Place, default: timedelta) -> timedelta:
        """An ISO 8601 duration."""
        value = self.at(place)
        if value is None:
            return default
        try:
            return duration.parse(str(value))
        except ValueError:
            fix = "P7D, PT1H or P2Y (ISO 8601)"
            raise self.error("VALUE", f"`{place[-1]}` is a duration", place, why=f"`{value}` is not", fix=fix) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """What somebody who wrote `name` may have meant."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(known)}"


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
