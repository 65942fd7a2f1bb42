"""A rule's tree as a Python closure with the same three values as Spark's expression.

Rows hold contract values: str, int, float, Decimal, bool, datetime or epoch milliseconds, None for null. A field that
is missing counts as null. A sealed field may come in clear, or as the wire's {mask, token}.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from schemas import rule_tree as tree
from schemas.rule_tree import Node, Type

Row = Mapping[str, object]
Evaluate = Callable[[Row], Any]

# Wide enough for any product that the grammar lets through (38 digits), so nothing is rounded.
_EXACT = Context(prec=100)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def compile_(node: Node) -> Evaluate:
    """A closure that gives the node's value for a row, None for null."""
    match node:
        case tree.Column(name, kind):
            read = _reader(kind)
            return lambda row: None if (value := row.get(name)) is None else read(value)
        case tree.Literal(value, _):
            return lambda row: value
        case tree.All(items):
            return _logic([compile_(item) for item in items], decisive=False)
        case tree.Any(items):
            return _logic([compile_(item) for item in items], decisive=True)
        case tree.Not(item):
            inner = compile_(item)
            return lambda row: None if (value := inner(row)) is None else not value
        case tree.IsNull(item):
            inner = compile_(item)
            return lambda row: inner(row) is None
        case tree.Like(item, pattern):
            return _like(compile_(item), pattern)
        case tree.Length(item):
            inner = compile_(item)
            return lambda row: None if (value := inner(row)) is None else len(value)
        case tree.Compare(op, left, right, operand):
            return _compare(_COMPARE[op], _as(left, operand), _as(right, operand))
        case tree.In():
            return _in(node)
        case tree.Negate(item, kind):
            inner = compile_(item)
            return lambda row: None if (value := inner(row)) is None else _bounded(-value, kind)
        case tree.Arithmetic():
            return _arithmetic(node)


def _logic(parts: list[Evaluate], *, decisive: bool) -> Evaluate:
    """And (decisive False) or Or (decisive True): one decisive part decides, else one null leaves it open."""

    def evaluate(row: Row) -> bool | None:
        unknown = False
        for part in parts:
            value = part(row)
            if value is decisive:
                return decisive
            unknown = unknown or value is None
        return None if unknown else not decisive

    return evaluate


def _compare(op: Callable[[Any, Any], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(row: Row) -> bool | None:
        a, b = left(row), right(row)
        return None if a is None or b is None else op(_ordered(a), _ordered(b))

    return evaluate


def _in(node: tree.In) -> Evaluate:
    item = _as(node.item, node.operand)
    options = [_ordered(_as(option, node.operand)({})) for option in node.options]
    return lambda row: None if (value := item(row)) is None else _ordered(value) in options


def _like(item: Evaluate, pattern: str) -> Evaluate:
    parts = {"%": ".*", "_": "."}
    regex = re.compile("".join(parts.get(char) or re.escape(char) for char in pattern), re.DOTALL)
    return lambda row: None if (value := item(row)) is None else regex.fullmatch(value) is not None


def _arithmetic(node: tree.Arithmetic) -> Evaluate:
    product = node.op == "*" and node.type.name == "decimal"
    left = _as(node.left, tree.decimal_of(node.left) if product else node.operand)
    right = _as(node.right, tree.decimal_of(node.right) if product else node.operand)
    apply = _OPERATIONS[(node.op, "decimal" if node.type.name == "decimal" else "plain")]

    def evaluate(row: Row) -> Any:
        a, b = left(row), right(row)
        if a is None or b is None or (b == 0 and node.op in ("/", "div", "%")):
            return None
        return _bounded(apply(a, b), node.type)

    return evaluate


def _truncated(a: int, b: int) -> int:
    """Whole-number division towards zero, as Java and Spark do it."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_OPERATIONS: dict[tuple[str, str], Callable[[Any, Any], Any]] = {
    ("+", "plain"): operator.add,
    ("-", "plain"): operator.sub,
    ("*", "plain"): operator.mul,
    ("/", "plain"): operator.truediv,
    ("div", "plain"): _truncated,
    ("%", "plain"): lambda a, b: a - b * _truncated(a, b),
    ("+", "decimal"): _EXACT.add,
    ("-", "decimal"): _EXACT.subtract,
    ("*", "decimal"): _EXACT.multiply,
}


def _bounded(value: Any, kind: Type) -> Any:
    """Null where a long would overflow."""
    return None if kind == tree.LONG and not -(2**63) <= value < 2**63 else value


def _ordered(value: Any) -> Any:
    """A value that compares as Spark does: NaN equals NaN and is larger than any other double."""
    if isinstance(value, float):
        return (1, 0.0) if math.isnan(value) else (0, value)
    return value


def _as(node: Node, kind: Type) -> Evaluate:
    inner = compile_(node)
    if node.type == kind or kind.name not in ("double", "decimal"):
        return inner
    convert: Callable[[Any], Any] = float if kind == tree.DOUBLE else Decimal
    return lambda row: None if (value := inner(row)) is None else convert(value)


def _reader(kind: Type) -> Callable[[Any], Any]:
    readers: dict[str, Callable[[Any], Any]] = {
        "string": str,
        "double": float,
        "decimal": Decimal,
        "timestamp": _micros,
        "date": _days,
        "sealed": lambda value: value.get("mask") if isinstance(value, Mapping) else value,
    }
    return readers.get(kind.name, lambda value: value)


def _micros(value: Any) -> int:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(microseconds=1)
    return int(value) * 1000


def _days(value: Any) -> int:
    return value.toordinal() - _EPOCH.toordinal() if isinstance(value, date) else int(value)
