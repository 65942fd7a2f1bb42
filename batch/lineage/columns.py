"""Which columns a SELECT makes of which: sqlglot's lineage, one relation deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage

How = Literal["IDENTITY", "TRANSFORMATION", "AGGREGATION"]
"""OpenLineage's names: the value itself, something made of it, or something made of many of it."""
STRONGEST: tuple[How, ...] = ("IDENTITY", "TRANSFORMATION", "AGGREGATION")


@dataclass(frozen=True, order=True)
class Origin:
    """A column that another one is made of."""

    node: str
    column: str
    how: How = "IDENTITY"


def of(sql: str, columns: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[Origin, ...]]:
    """For each column of a SELECT those that it is made of. `columns` are names and types by relation that it reads.

    Only values count: what filters, joins and groups by does not. A column of unknown origin has none, and nothing is
    told of a statement that cannot be read.
    """
    known = {f"`{name}`": {c: kind or "unknown" for c, kind in types.items()} for name, types in columns.items()}
    try:
        roots = lineage(None, _parsed(sql), known, dialect="spark", trim_selects=False)
    except (SqlglotError, ValueError):
        return {}
    return {name: _origins(root) for name, root in roots.items()}


def named(sql: str) -> tuple[str, ...]:
    """The names of a SELECT's columns."""
    tree = _parsed(sql)
    return tuple(tree.named_selects) if isinstance(tree, exp.Query) else ()


def stronger(one: How, other: How) -> How:
    """What two steps, one after the other, do to a value."""
    return max(one, other, key=STRONGEST.index)


def _parsed(sql: str) -> exp.Expr:
    import sqlglot

    tree = sqlglot.parse_one(sql, dialect="spark")
    for number, lateral in enumerate(tree.find_all(exp.Lateral)):
        # Spark does not ask for a name where sqlglot needs one to find the columns.
        if isinstance(lateral.args.get("alias"), exp.TableAlias) and not lateral.alias:
            lateral.args["alias"].set("this", exp.to_identifier(f"_exploded_{number}"))
    return tree


def _origins(root: Node) -> tuple[Origin, ...]:
    strongest: dict[tuple[str, str], How] = {}
    for node, column, how in _leaves(root, "IDENTITY"):
        strongest[node, column] = stronger(strongest.get((node, column), "IDENTITY"), how)
    return tuple(sorted(Origin(node, column, how) for (node, column), how in strongest.items()))


def _leaves(node: Node, so_far: How) -> Iterator[tuple[str, str, How]]:
    if isinstance(node.expression, exp.Table):
        column = exp.to_column(node.name).name
        if column != "*":
            yield node.expression.name, column, so_far
        return
    how = stronger(so_far, _how(node.expression))
    for below in node.downstream:
        yield from _leaves(below, how)


def _how(expression: exp.Expr) -> How:
    """What one step makes of its columns."""
    if isinstance(expression, exp.Query):
        return "IDENTITY"
    if expression.find(exp.AggFunc, exp.Window):
        return "AGGREGATION"
    return "IDENTITY" if isinstance(expression.unalias(), exp.Column) else "TRANSFORMATION"
