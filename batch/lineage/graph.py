"""The graph: every table, view, topic and exposure with its columns, what it reads, and what each column is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from batch.lineage.columns import How, Origin, stronger

LAYERS = ("topic", "raw", "silver", "quarantine", "ops", "view", "staging", "intermediate", "gold", "exposure")
"""The road, in its order."""
STORED = frozenset({"topic", "raw", "silver", "quarantine", "ops", "gold"})
"""Layers whose nodes hold data; the others are SQL over them, or people."""
RAW = "raw.events"


@dataclass(frozen=True)
class Column:
    """A column. `pii` is the class of personal data whose mask it shows; `origins` lie in the nodes right above."""

    name: str
    type: str = ""
    description: str = ""
    unit: str = ""
    pii: str = ""
    role: str = ""
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Node:
    """A place of the graph. `id` is `layer.name`; `promised_s` the freshness that its contract promises, in seconds."""

    id: str
    description: str = ""
    owner: str = ""
    columns: tuple[Column, ...] = ()
    reads: tuple[str, ...] = ()
    contract: str = ""
    group: str = ""
    promised_s: float | None = None

    @property
    def layer(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]

    def column(self, name: str) -> Column | None:
        return next((one for one in self.columns if one.name == name), None)


@dataclass(frozen=True)
class Graph:
    """All nodes by id."""

    nodes: Mapping[str, Node] = field(default_factory=dict)

    @cached_property
    def pinned(self) -> Mapping[str, str]:
        """The nodes of the tables that a cycle may pin, by their names among the pins."""
        kept = (node for node in self.nodes.values() if node.layer in ("silver", "ops", "quarantine"))
        return {node.name if node.layer == "silver" else node.id.replace(".", "_"): node.id for node in kept}

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """For each node those that read it."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for node in self.nodes.values():
            for above in node.reads:
                found.setdefault(above, []).append(node.id)
        return {name: tuple(sorted(below)) for name, below in found.items()}

    def above(self, name: str) -> frozenset[str]:
        """All that a node is made of. Raw holds every topic, so what lies above it belongs to it alone."""
        return self._reach(name, lambda one: self.nodes[one].reads if one in self.nodes else ())

    def below(self, name: str) -> frozenset[str]:
        """All that is made of a node. What is below raw is below one topic only where it reads that topic itself."""
        return self._reach(name, lambda one: self.readers.get(one, ()))

    def stored_above(self, name: str) -> tuple[str, ...]:
        """The nearest nodes above that hold data, whatever SQL lies between."""
        found: set[str] = set()
        todo, seen = list(self.nodes[name].reads), set[str]()
        while todo:
            one = todo.pop()
            if one in seen or one not in self.nodes:
                continue
            seen.add(one)
            if self.nodes[one].layer in STORED:
                found.add(one)
            else:
                todo += self.nodes[one].reads
        return tuple(sorted(found))

    def stored_origins(self, name: str, column: str) -> tuple[Origin, ...]:
        """The columns of the nearest stored nodes above that a column is made of."""
        strongest: dict[tuple[str, str], How] = {}

        def walk(node: str, column: str, so_far: How) -> None:
            found = self.nodes[node].column(column) if node in self.nodes else None
            for origin in found.origins if found else ():
                how = stronger(so_far, origin.how)
                if self.nodes[origin.node].layer in STORED:
                    key = origin.node, origin.column
                    strongest[key] = stronger(strongest.get(key, how), how)
                else:
                    walk(origin.node, origin.column, how)

        walk(name, column, "IDENTITY")
        return tuple(sorted(Origin(node, column, how) for (node, column), how in strongest.items()))

    def made_of_it(self, name: str, column: str) -> tuple[tuple[str, str], ...]:
        """The columns right below that are made of a column, as (node, column)."""
        return self._uses.get((name, column), ())

    @cached_property
    def _uses(self) -> Mapping[tuple[str, str], tuple[tuple[str, str], ...]]:
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for node in self.nodes.values():
            for column in node.columns:
                for origin in column.origins:
                    found.setdefault((origin.node, origin.column), []).append((node.id, column.name))
        return {key: tuple(sorted(set(uses))) for key, uses in found.items()}

    def _reach(self, name: str, step: Callable[[str], Iterable[str]]) -> frozenset[str]:
        seen: set[str] = set()
        todo = [name]
        while todo:
            one = todo.pop()
            if one == RAW and name != RAW:
                continue
            new = set(step(one)) - seen
            seen |= new
            todo += new
        return frozenset(seen)
