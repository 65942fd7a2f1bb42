"""A rule's tree as a Spark SQL expression. Every cast is written out, so Spark's own coercion has nothing to decide.

Overflow and division by zero give null (the `try_` functions): in ANSI mode, Spark 4's default, a bare operator would
end the whole batch over one bad row.
"""

from collections.abc import Mapping
from decimal import Decimal

from schemas import rule_tree as tree
from schemas.rule_tree import Node, Type

_FUNCTIONS = {"+": "try_add", "-": "try_subtract", "*": "try_multiply", "/": "try_divide", "%": "try_mod"}
_TYPES = {"long": "BIGINT", "double": "DOUBLE", "string": "STRING", "boolean": "BOOLEAN"}


def compile_(node: Node, names: Mapping[str, str]) -> str:
    """Spark SQL with three values; `names` maps fields to column names (fields not in it keep theirs)."""
    match node:
        case tree.Column(name, _):
            return quoted(names.get(name, name))
        case tree.Literal(value, kind):
            return _literal(value, kind)
        case tree.All(items):
            return "(" + " AND ".join(compile_(item, names) for item in items) + ")"
        case tree.Any(items):
            return "(" + " OR ".join(compile_(item, names) for item in items) + ")"
        case tree.Not(item):
            return f"(NOT {compile_(item, names)})"
        case tree.IsNull(item):
            return f"({compile_(item, names)} IS NULL)"
        case tree.Like(item, pattern):
            return f"({compile_(item, names)} LIKE {string_literal(pattern)})"
        case tree.Length(item):
            return f"CAST(length({compile_(item, names)}) AS BIGINT)"
        case tree.Compare(op, left, right, operand):
            return f"({_as(left, operand, names)} {op} {_as(right, operand, names)})"
        case tree.In(item, options, operand):
            listed = ", ".join(_as(option, operand, names) for option in options)
            return f"({_as(item, operand, names)} IN ({listed}))"
        case tree.Negate(item, kind):
            return _cast(f"try_subtract({_zero(kind)}, {compile_(item, names)})", kind)
        case tree.Arithmetic():
            return _arithmetic(node, names)


def _arithmetic(node: tree.Arithmetic, names: Mapping[str, str]) -> str:
    left, right = _as(node.left, node.operand, names), _as(node.right, node.operand, names)
    if node.op == "div":
        # There is no try_div. The two divisors that can fail are taken out first.
        return (
            f"CASE WHEN {right} = 0L THEN CAST(NULL AS BIGINT) WHEN {right} = -1L THEN try_subtract(0L, {left}) "
            f"ELSE {left} div {right} END"
        )
    if node.op == "*" and node.type.name == "decimal":
        left, right = _own(node.left, names), _own(node.right, names)
    return _cast(f"{_FUNCTIONS[node.op]}({left}, {right})", node.type)


def _own(node: Node, names: Mapping[str, str]) -> str:
    return _as(node, tree.decimal_of(node), names)


def _as(node: Node, kind: Type, names: Mapping[str, str]) -> str:
    text = compile_(node, names)
    return text if node.type == kind else _cast(text, kind)


def _cast(text: str, kind: Type) -> str:
    name = f"DECIMAL({kind.precision},{kind.scale})" if kind.name == "decimal" else _TYPES[kind.name]
    return f"CAST({text} AS {name})"


def _zero(kind: Type) -> str:
    return {"long": "0L", "double": "0D"}.get(kind.name, "0BD")


def _literal(value: object, kind: Type) -> str:
    if kind == tree.STRING:
        return string_literal(str(value))
    if kind == tree.BOOLEAN:
        return "TRUE" if value else "FALSE"
    if kind == tree.LONG:
        return f"{value}L"
    if isinstance(value, Decimal):
        return _cast(f"'{value:f}'", kind)
    return f"CAST('{value!r}' AS DOUBLE)"


def quoted(name: str) -> str:
    """A column name as Spark reads it."""
    return "`" + name.replace("`", "``") + "`"


def string_literal(value: str) -> str:
    """A text as Spark's SQL writes it."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
