"""The tree of a parsed row rule. Every node knows its type, so that the compilers decide nothing about types.

boolean    Column Compare In IsNull Like Not All Any
value      Column Literal Arithmetic Negate Length
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal as OneOf

TypeName = OneOf["boolean", "long", "decimal", "double", "string", "timestamp", "date", "sealed", "other"]
Comparison = OneOf["=", "!=", "<", "<=", ">", ">="]
Operator = OneOf["+", "-", "*", "/", "div", "%"]


@dataclass(frozen=True)
class Type:
    """A type of the grammar. `sealed` and `other` can only be asked whether they are null."""

    name: TypeName
    precision: int = 0
    scale: int = 0

    @property
    def is_number(self) -> bool:
        return self.name in ("long", "decimal", "double")

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.name == "decimal" else self.name


BOOLEAN, LONG, DOUBLE, STRING = Type("boolean"), Type("long"), Type("double"), Type("string")
MAX_DIGITS = 38
"""Digits of Spark's widest decimal."""


@dataclass(frozen=True)
class Column:
    name: str
    type: Type


@dataclass(frozen=True)
class Literal:
    value: bool | int | float | Decimal | str
    type: Type


@dataclass(frozen=True)
class Arithmetic:
    """`left op right`, both sides taken as `operand`. Overflow and division by zero give null."""

    op: Operator
    left: Node
    right: Node
    operand: Type
    type: Type


@dataclass(frozen=True)
class Negate:
    item: Node
    type: Type


@dataclass(frozen=True)
class Length:
    """Characters (code points) of a text."""

    item: Node
    type: Type = LONG


@dataclass(frozen=True)
class Compare:
    """`left op right`, both sides taken as `operand`; NaN equals itself and is larger than any number, as in Spark."""

    op: Comparison
    left: Node
    right: Node
    operand: Type
    type: Type = BOOLEAN


@dataclass(frozen=True)
class In:
    item: Node
    options: tuple[Literal, ...]
    operand: Type
    type: Type = BOOLEAN


@dataclass(frozen=True)
class IsNull:
    item: Column
    type: Type = BOOLEAN


@dataclass(frozen=True)
class Like:
    """`%` stands for any text, `_` for one character; there is no escape."""

    item: Node
    pattern: str
    type: Type = BOOLEAN


@dataclass(frozen=True)
class Not:
    item: Node
    type: Type = BOOLEAN


@dataclass(frozen=True)
class All:
    """And, with three values: false if any is false, else null if any is null."""

    items: tuple[Node, ...]
    type: Type = BOOLEAN


@dataclass(frozen=True)
class Any:
    """Or, with three values: true if any is true, else null if any is null."""

    items: tuple[Node, ...]
    type: Type = BOOLEAN


Node = Column | Literal | Arithmetic | Negate | Length | Compare | In | IsNull | Like | Not | All | Any


class RuleInvalid(ValueError):
    """A rule outside the grammar, or whose types do not fit; the message says which part."""


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below one."""
    match node:
        case All(items) | Any(items):
            return items
        case Compare() | Arithmetic():
            return (node.left, node.right)
        case Not(item) | Negate(item) | Length(item) | IsNull(item) | Like(item=item) | In(item=item):
            return (item,)
        case _:
            return ()


def columns(node: Node) -> frozenset[str]:
    """Names of the fields that a rule reads."""
    own = {node.name} if isinstance(node, Column) else set()
    return frozenset(own).union(*(columns(child) for child in children(node)))


def common(left: Type, right: Type) -> Type:
    """The type in which two values are compared. Raises RuleInvalid when there is none."""
    if left.name in ("sealed", "other") or right.name in ("sealed", "other"):
        raise RuleInvalid("sealed, nested and binary fields can only be asked `is null` or `is not null`")
    if left == right:
        return left
    if not (left.is_number and right.is_number):
        raise RuleInvalid(f"{left} cannot be compared with {right}")
    if DOUBLE in (left, right):
        return DOUBLE
    a, b = as_decimal(left), as_decimal(right)
    scale = max(a.scale, b.scale)
    return decimal_type(max(a.precision - a.scale, b.precision - b.scale) + scale, scale)


def common_of(first: Node, *others: Node) -> Type:
    """The type in which these are compared. A whole number that is written out counts with its own digits only."""
    kinds = [node.type for node in (first, *others)]
    if any(kind.name == "decimal" for kind in kinds):
        kinds = [decimal_of(node) if node.type == LONG else node.type for node in (first, *others)]
    found = kinds[0]
    for kind in kinds[1:]:
        found = common(found, kind)
    return found


def decimal_of(node: Node) -> Type:
    """A node's type as a decimal: exactly the digits of a literal, 20 for any other long."""
    if isinstance(node, Literal) and node.type == LONG:
        return Type("decimal", len(str(abs(int(node.value)))), 0)
    return as_decimal(node.type)


def as_decimal(kind: Type) -> Type:
    """A long has at most 19 digits; Spark takes 20 for it."""
    return Type("decimal", 20, 0) if kind == LONG else kind


def decimal_type(precision: int, scale: int) -> Type:
    """A decimal that Spark can hold exactly, or RuleInvalid: rounding in silence would let the two sides differ."""
    if precision > MAX_DIGITS:
        raise RuleInvalid(f"the calculation needs {precision} digits, {MAX_DIGITS} are the most")
    return Type("decimal", precision, scale)


def arithmetic_types(op: Operator, left: Node, right: Node) -> tuple[Type, Type]:
    """(operand, result) of an operation. Division gives a double, `div` and `%` stay within whole numbers."""
    kinds = (left.type, right.type)
    if not (left.type.is_number and right.type.is_number):
        raise RuleInvalid(f"`{op}` needs numbers, not {left.type} and {right.type}")
    if op in ("div", "%"):
        if kinds != (LONG, LONG):
            raise RuleInvalid(f"`{op}` is for whole numbers")
        return LONG, LONG
    if op == "/" or DOUBLE in kinds:
        return DOUBLE, DOUBLE
    if kinds == (LONG, LONG):
        return LONG, LONG
    if op == "*":
        # Each side keeps its own type in a product; a sum needs one type for both.
        a, b = decimal_of(left), decimal_of(right)
        return Type("decimal"), decimal_type(a.precision + b.precision + 1, a.scale + b.scale)
    operand = common_of(left, right)
    return operand, decimal_type(operand.precision + 1, operand.scale)
