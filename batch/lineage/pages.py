"""The catalogue as pages: one file a table and an index, without a script and without a foreign address.

The templates lie beside this module, and every value is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batch.lineage.draw import BOX_H, BOX_W, draw
from batch.lineage.graph import LAYERS, RAW, Graph

TEMPLATES = Path(__file__).parent / "templates"
DOCUMENT = "catalogue.json"
INDEX = "index.html"
_ODD = re.compile(r"[^A-Za-z0-9._-]")


def render(catalogue: Mapping[str, Any], graph: Graph) -> dict[str, str]:
    """All files of the catalogue by name: the index, a page of each table, and the JSON."""
    templates = _templates()
    tables = {table["id"]: table for table in catalogue["tables"]}
    made_at = _time(catalogue["made_ms"])
    everything = draw(graph, graph.nodes)
    index = templates.get_template("index.html")
    page = templates.get_template("table.html")
    layers = [(layer, [one for one in tables.values() if one["layer"] == layer]) for layer in LAYERS]
    files = {INDEX: index.render(layers=layers, drawing=everything, current="", made_at=made_at)}
    for name, table in tables.items():
        around = {name, *table["upstream"], *table["downstream"]}
        # Everything is in raw; where it stands between two others it says nothing.
        shown = around if name == RAW or table["layer"] in ("topic", "silver") else around - {RAW}
        files[page_of(name)] = page.render(table=table, drawing=draw(graph, shown), current=name, made_at=made_at)
    files[DOCUMENT] = json.dumps({**catalogue, "pages": sorted(files)}, separators=(",", ":"))
    return files


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Put the files into a folder. Pages that an earlier catalogue left there and this one does not have go."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _earlier(folder) - set(files):
        (folder / name).unlink(missing_ok=True)
    for name, text in files.items():
        # Somebody may be reading.
        temporary = folder / f".{name}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / name)


def page_of(name: str) -> str:
    """The file name of a node's page."""
    return f"{_ODD.sub('_', name)}.html"


def _earlier(folder: Path) -> set[str]:
    try:
        pages = json.loads((folder / DOCUMENT).read_text(encoding="utf-8")).get("pages", [])
    except (OSError, ValueError):
        return set()
    return {name for name in pages if name.endswith(".html") and not _ODD.search(name)}


def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    found.filters |= {"page": page_of, "time": _time, "span": _span, "size": _size}
    found.globals |= {"BOX_W": BOX_W, "BOX_H": BOX_H}
    return found


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _size(count: int) -> str:
    number = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
