"""Where boxes and lines of a drawing of the graph go: the road in columns, sorted so that few lines cross. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from batch.lineage.graph import Graph

BOX_W, BOX_H = 200, 24
GAP_X, GAP_Y = 48, 10
TOP = 28
COLUMNS = (
    ("topic",), ("raw",), ("silver", "quarantine", "ops"), ("view",), ("staging",), ("intermediate",), ("gold",),
    ("exposure",),
)  # fmt: skip
"""Layers that stand in one column."""
SWEEPS = 4
"""Times that each column is sorted by its neighbours; more change hardly anything."""


@dataclass(frozen=True)
class Box:
    """A node at a place, in pixels; x and y are its upper left corner."""

    id: str
    name: str
    x: int
    y: int


@dataclass(frozen=True)
class Drawing:
    """Boxes, lines as SVG paths, and the titles of the columns at their x."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    lines: tuple[str, ...]
    titles: tuple[tuple[int, str], ...]


def draw(graph: Graph, wanted: Collection[str]) -> Drawing:
    """These nodes and what leads from one to another."""
    shown = {name for name in wanted if name in graph.nodes}
    edges = _direct(graph, shown)
    by_layer = {layer: sorted(n for n in shown if graph.nodes[n].layer == layer) for part in COLUMNS for layer in part}
    filled = [[layer for layer in part if by_layer[layer]] for part in COLUMNS]
    headings = [", ".join(part) for part in filled if part]
    columns = [[name for layer in part for name in by_layer[layer]] for part in filled if part]
    _sort(columns, edges)
    height = TOP + max(map(len, columns), default=0) * (BOX_H + GAP_Y)
    boxes: dict[str, Box] = {}
    for column, names in enumerate(columns):
        x = column * (BOX_W + GAP_X)
        # Short columns stand in the middle of long ones.
        first = TOP + (height - TOP - len(names) * (BOX_H + GAP_Y)) // 2
        for row, name in enumerate(names):
            boxes[name] = Box(name, graph.nodes[name].name, x, first + row * (BOX_H + GAP_Y))
    titles = tuple((column * (BOX_W + GAP_X), heading) for column, heading in enumerate(headings))
    lines = tuple(_line(boxes[above], boxes[below]) for above, below in edges)
    return Drawing(len(columns) * (BOX_W + GAP_X), height, tuple(boxes.values()), lines, titles)


def _direct(graph: Graph, shown: Collection[str]) -> list[tuple[str, str]]:
    """Edges between these nodes, without those that another node that is shown stands between."""
    reads = {name: {above for above in graph.nodes[name].reads if above in shown} for name in shown}
    return sorted(
        (above, name)
        for name, listed in reads.items()
        for above in listed
        if not any(above in reads[between] for between in listed if between != above)
    )


def _sort(columns: list[list[str]], edges: Iterable[tuple[str, str]]) -> None:
    """Put each box near the middle of its neighbours, from left to right and back again."""
    near: dict[str, list[str]] = {name: [] for names in columns for name in names}
    for above, below in edges:
        near[above].append(below)
        near[below].append(above)
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            place = {name: (row + 0.5) / len(names) for names in columns for row, name in enumerate(names)}
            column.sort(key=lambda name: (_middle(name, near, place), name))


def _middle(name: str, near: Mapping[str, list[str]], place: Mapping[str, float]) -> float:
    around = [place[one] for one in near[name]] or [place[name]]
    return sum(around) / len(around)


def _line(above: Box, below: Box) -> str:
    """A curve from the right of one box to the left of the other; within a column it goes round on the right."""
    x1, y1, y2 = above.x + BOX_W, above.y + BOX_H // 2, below.y + BOX_H // 2
    if above.x == below.x:
        out = x1 + GAP_X // 2
        return f"M{x1} {y1}C{out} {y1} {out} {y2} {x1} {y2}"
    x2 = below.x
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
