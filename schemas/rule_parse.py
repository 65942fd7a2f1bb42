"""Text of a rule to its tree: parsed by sqlglot, then only nodes listed here are let through, with types checked."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import sqlglot
from sqlglot import expressions as sql
from sqlglot.errors import SqlglotError

from schemas import rule_tree as tree
from schemas.rule_tree import Node, RuleInvalid, Type

_COMPARISONS: dict[type[Any], tree.Comparison] = {
    sql.EQ: "=", sql.NEQ: "!=", sql.LT: "<", sql.LTE: "<=", sql.GT: ">", sql.GTE: ">=",
}  # fmt: skip
_OPERATORS: dict[type[Any], tree.Operator] = {
    sql.Add: "+", sql.Sub: "-", sql.Mul: "*", sql.Div: "/", sql.IntDiv: "div", sql.Mod: "%",
}  # fmt: skip
# What sqlglot may say about a node. Anything more (an escape, `symmetric`, a second argument) is outside the grammar.
_PARTS: dict[type[Any], frozenset[str]] = {
    sql.Between: frozenset({"this", "low", "high"}),
    sql.In: frozenset({"this", "expressions"}),
    sql.Like: frozenset({"this", "expression", "negate"}),
    sql.Div: frozenset({"this", "expression", "typed", "safe"}),
    sql.Literal: frozenset({"this", "is_string"}),
}
_BINARY = (sql.And, sql.Or, sql.Is, *_COMPARISONS, *_OPERATORS)
GRAMMAR = (
    "comparisons, and, or, not, in (…), between, is [not] null, like, + - * / div %, length(…), numbers, 'texts', "
    "true, false and the contract's fields"
)
_LONG_MAX = 2**63 - 1


def parse(text: str, columns: Mapping[str, Type]) -> Node:
    """The tree of a boolean rule over `columns`. Raises RuleInvalid."""
    try:
        parsed = sqlglot.parse_one(text, dialect="spark")
    except SqlglotError as error:
        raise RuleInvalid("it is no SQL expression") from error
    node = _Reader(columns).boolean(parsed)
    if not tree.columns(node):
        raise RuleInvalid("it reads no field, so it says the same of every row")
    return node


class _Reader:
    def __init__(self, columns: Mapping[str, Type]) -> None:
        self._columns = columns
        self._readers: dict[type[Any], Callable[[Any], Node]] = {
            sql.And: lambda node: tree.All(self._flat(node)),
            sql.Or: lambda node: tree.Any(self._flat(node)),
            sql.Not: lambda node: tree.Not(self.boolean(node.this)),
            sql.Between: self._between,
            sql.In: self._in,
            sql.Is: self._is_null,
            sql.Like: self._like,
            sql.Neg: self._negate,
            sql.Length: self._length,
            sql.Column: self._column,
        }

    def boolean(self, node: Any) -> Node:
        found = self.node(node)
        if found.type != tree.BOOLEAN:
            raise RuleInvalid(f"`{_text(node)}` is a {found.type}, not true or false")
        return found

    def node(self, node: Any) -> Node:
        """One node of the grammar; anything else is refused, so that nothing reaches Spark that Python cannot judge."""
        kind = type(node)
        default = frozenset({"this", "expression"} if kind in _BINARY else {"this"})
        if node is None or any(node.args[name] for name in node.args.keys() - _PARTS.get(kind, default)):
            raise _outside(node)
        if kind is sql.Paren:
            return self.node(node.this)
        if kind is sql.Literal or kind is sql.Boolean:
            return _literal(node)
        if kind in _COMPARISONS:
            return self._compare(_COMPARISONS[kind], self.node(node.this), self.node(node.expression))
        if kind in _OPERATORS:
            return self._arithmetic(_OPERATORS[kind], node)
        read = self._readers.get(kind)
        if read is None:
            raise _outside(node)
        found = read(node)
        # Some versions of sqlglot write `not like` as a negated node instead of a node inside `not`.
        return tree.Not(found) if node.args.get("negate") else found

    def _flat(self, node: Any) -> tuple[Node, ...]:
        return tuple(self.boolean(part) for part in node.flatten())

    def _compare(self, op: tree.Comparison, left: Node, right: Node) -> Node:
        operand = tree.common_of(left, right)
        if operand == tree.BOOLEAN and op not in ("=", "!="):
            raise RuleInvalid(f"true and false have no order for `{op}`")
        return tree.Compare(op, left, right, operand)

    def _between(self, node: Any) -> Node:
        item = self.node(node.this)
        low, high = self.node(node.args["low"]), self.node(node.args["high"])
        return tree.All((self._compare(">=", item, low), self._compare("<=", item, high)))

    def _in(self, node: Any) -> Node:
        item = self.node(node.this)
        options = [self.node(option) for option in node.expressions]
        values = tuple(option for option in options if isinstance(option, tree.Literal))
        if len(values) != len(options):
            raise RuleInvalid("`in` takes plain values, no fields and no null")
        operand = tree.common_of(item, *values)
        return tree.In(item, values, operand)

    def _is_null(self, node: Any) -> Node:
        item = self.node(node.this)
        if not isinstance(node.expression, sql.Null) or not isinstance(item, tree.Column):
            raise RuleInvalid(f"`{_text(node)}`: `is` asks whether a field is null")
        return tree.IsNull(item)

    def _like(self, node: Any) -> Node:
        item, pattern = self.node(node.this), self.node(node.expression)
        if item.type != tree.STRING or not isinstance(pattern, tree.Literal) or pattern.type != tree.STRING:
            raise RuleInvalid(f"`{_text(node)}`: `like` compares a text with a plain pattern")
        if "\\" in str(pattern.value):
            raise RuleInvalid("`like` has no escapes here")
        return tree.Like(item, str(pattern.value))

    def _arithmetic(self, op: tree.Operator, node: Any) -> Node:
        left, right = self.node(node.this), self.node(node.expression)
        return tree.Arithmetic(op, left, right, *tree.arithmetic_types(op, left, right))

    def _negate(self, node: Any) -> Node:
        item = self.node(node.this)
        if not item.type.is_number:
            raise RuleInvalid(f"`{_text(node)}`: only numbers have a negative")
        if isinstance(item, tree.Literal) and isinstance(item.value, int | float | Decimal):
            return tree.Literal(-item.value, item.type)
        return tree.Negate(item, item.type)

    def _length(self, node: Any) -> Node:
        item = self.node(node.this)
        if item.type != tree.STRING:
            raise RuleInvalid(f"`{_text(node)}`: length is for texts")
        return tree.Length(item)

    def _column(self, node: Any) -> Node:
        name = node.name
        if name not in self._columns:
            import difflib

            near = difflib.get_close_matches(name, list(self._columns), n=1)
            raise RuleInvalid(f"there is no field `{name}`" + (f", did you mean `{near[0]}`?" if near else ""))
        return tree.Column(name, self._columns[name])


def _literal(node: Any) -> tree.Literal:
    if isinstance(node, sql.Boolean):
        return tree.Literal(bool(node.this), tree.BOOLEAN)
    text = str(node.this)
    if node.args.get("is_string"):
        return tree.Literal(text, tree.STRING)
    if "e" in text.lower():
        return tree.Literal(float(text), tree.DOUBLE)
    if "." in text:
        number = Decimal(text)
        _, digits, exponent = number.as_tuple()
        scale = -int(exponent)
        return tree.Literal(number, tree.decimal_type(max(len(digits), scale, 1), scale))
    whole = int(text)
    if whole > _LONG_MAX:
        raise RuleInvalid(f"{text} is larger than a long")
    return tree.Literal(whole, tree.LONG)


def _outside(node: Any) -> RuleInvalid:
    return RuleInvalid(f"`{_text(node)}` is not in the grammar")


def _text(node: Any) -> str:
    return "" if node is None else node.sql(dialect="spark")
