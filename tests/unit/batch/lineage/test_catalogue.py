"""The catalogue tells what is there, shows nothing personal, and its pages are whole."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.lineage import assemble, catalogue, pages
from batch.lineage.draw import BOX_H, BOX_W, draw
from batch.lineage.graph import LAYERS, Graph, Node
from caudal.lake import Lake, LocalLake
from privacy import masks
from tests.support import gold_lake, lineage_lake
from tests.support.lineage_lake import NOW_MS, graph

HOSTILE = "<script>alert('1')</script>\"><img src=x onerror=alert(1)>"


def silver(lake: Lake) -> None:
    """Orders as streaming would leave them: masks, tokens, references, and a channel that somebody chose freely."""
    row: dict[str, Any] = {
        "order_id": "o-1",
        "channel": HOSTILE,
        "customer_email": "an***@example.com",
        "subject_ref": "ref-of-a-person",
        "_sealed": [("email", b"token-bytes")],
        "_offset": 7,
    }
    kinds = {"_sealed": pa.map_(pa.string(), pa.binary()), "_offset": pa.int64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in row])
    for _ in range(3):
        write_deltalake(lake.table("silver", "commerce_order"), pa.Table.from_pylist([row], schema), mode="append")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = LocalLake(str(tmp_path / "lake"))
    silver(made)
    gold_lake.publish_live(made)
    lineage_lake.verdicts(made, "20260921T120000000-live", ok=False)
    return made


def by_id(found: Mapping[str, Any]) -> dict[str, Any]:
    return {table["id"]: table for table in found["tables"]}


def test_a_table_is_told_as_readers_see_it(lake: Lake) -> None:
    """Gold at its published version, though its head has moved on; silver at its newest; what is not there has none."""
    gold_lake.write(lake, "gold", "fct_orders", gold_lake.SCHEMAS["fct_orders"], gold_lake.rows(3)["fct_orders"])
    found = by_id(catalogue.build(lake, graph(), NOW_MS))
    orders = found["gold.fct_orders"]
    assert (orders["state"]["version"], orders["state"]["rows"], orders["state"]["published"]) == (0, 30, True)
    assert [one["version"] for one in orders["state"]["versions"]] == [1, 0]
    assert (found["silver.commerce_order"]["state"]["version"], found["silver.commerce_order"]["state"]["rows"]) == (
        2,
        3,
    )
    assert found["silver.commerce_order"]["promised_s"] == 60
    assert found["silver.product_event"]["state"] is None
    assert (orders["verdict"], orders["group"], orders["owner"]) == ("critical", "live", "commerce")
    assert {one["code"]: one["ok"] for one in orders["checks"]} == {"NOT_NULL:total": False, "MEAN:total": True}
    email = next(one for one in found["silver.commerce_order"]["columns"] if one["name"] == "customer_email")
    assert email["pii"] == "email"
    assert masks.is_mask("email", email["mask"])
    assert {"table": "topic.commerce.order", "column": "customer_email", "how": "transformation"} in email["made_of"]


@pytest.mark.parametrize("pii", masks.CLASSES)
def test_the_mask_that_is_shown_of_a_class_is_one(pii: str) -> None:
    """What people read about a column's mask is what silver would let through."""
    assert masks.is_mask(pii, assemble.mask_of(pii))


def test_samples_show_masks_and_what_is_not_personal(lake: Lake) -> None:
    """Nobody sees samples without asking; with them no token, no reference, no coordinate."""
    assert all(table["samples"] is None for table in catalogue.build(lake, graph(), NOW_MS)["tables"])
    found = catalogue.build(lake, graph(), NOW_MS, samples=True)
    shown = by_id(found)["silver.commerce_order"]["samples"]
    assert set(shown["columns"]) == {"order_id", "channel", "customer_email"}
    assert len(shown["rows"]) == 3
    text = json.dumps(found)
    assert "ref-of-a-person" not in text
    assert "token-bytes" not in text
    assert by_id(found)["gold.fct_orders"]["samples"]["rows"]


def test_pages_escape_every_string_and_need_no_network(lake: Lake) -> None:
    """What a contract, an exposure or an event says stays text; no page loads or leads anywhere else."""
    nodes = dict(graph().nodes)
    orders = nodes["gold.fct_orders"]
    nodes["gold.fct_orders"] = replace(
        orders,
        description=HOSTILE,
        owner=HOSTILE,
        columns=(*orders.columns, replace(orders.columns[0], name=HOSTILE, type=HOSTILE, unit=HOSTILE)),
    )
    nodes[f"exposure.{HOSTILE}"] = Node(f"exposure.{HOSTILE}", HOSTILE, HOSTILE, reads=("gold.fct_orders",))
    odd = Graph(nodes)
    files = pages.render(catalogue.build(lake, odd, NOW_MS, samples=True), odd)
    for name, text in files.items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        if name.endswith(".html"):
            assert "<script" not in text, name
            assert "<img" not in text, name
            assert not re.search(r"(src|href)=\"?(https?:)?//", text), name
    assert "&lt;script&gt;" in files["silver.commerce_order.html"]


def test_links_lead_somewhere(lake: Lake) -> None:
    """Each link of each page is a page that was written, and each anchor a column of it; the drawing is all links."""
    files = pages.render(catalogue.build(lake, graph(), NOW_MS), graph())
    anchors = {name: set(re.findall(r'<tr id="([^"]+)"', text)) for name, text in files.items()}
    for name, text in files.items():
        for target in re.findall(r'href="([^"]+)"', text) if name.endswith(".html") else ():
            page, _, column = target.partition("#")
            assert page in files, (name, target)
            assert not column or column in anchors[page], (name, target)
    for node in graph().nodes:
        assert f'<a href="{node}.html" aria-label="{node}"' in files["index.html"]
    assert json.loads(files["catalogue.json"])["edges"]


def test_a_page_of_a_table_that_is_gone_goes(lake: Lake, tmp_path: Path) -> None:
    """Only pages that a catalogue wrote are removed; a file of somebody else stays."""
    folder = tmp_path / "out"
    nodes = {**graph().nodes, "gold.gone": Node("gold.gone")}
    pages.write(folder, pages.render(catalogue.build(lake, Graph(nodes), NOW_MS), Graph(nodes)))
    (folder / "notes.html").write_text("mine", encoding="utf-8")
    assert (folder / "gold.gone.html").is_file()
    pages.write(folder, pages.render(catalogue.build(lake, graph(), NOW_MS), graph()))
    assert not (folder / "gold.gone.html").exists()
    assert (folder / "notes.html").read_text(encoding="utf-8") == "mine"


@st.composite
def graphs(make: st.DrawFn) -> Graph:
    names = [f"{layer}.n{n}" for layer in LAYERS for n in range(make(st.integers(0, 3)))]
    nodes = {}
    for place, name in enumerate(names):
        above = make(st.sets(st.sampled_from(names[:place]), max_size=3)) if place else set()
        nodes[name] = Node(name, reads=tuple(sorted(above)))
    return Graph(nodes)


@settings(deadline=None, max_examples=50)
@given(graphs())
def test_no_box_covers_another_and_every_way_is_drawn(found: Graph) -> None:
    """Boxes stand apart inside the picture, and who could reach whom still can along the lines."""
    drawing = draw(found, found.nodes)
    assert {box.id for box in drawing.boxes} == set(found.nodes)
    places = {(box.x, box.y) for box in drawing.boxes}
    assert len(places) == len(drawing.boxes)
    for box in drawing.boxes:
        assert box.x + BOX_W <= drawing.width
        assert box.y + BOX_H <= drawing.height
        assert not any(box.x == x and 0 < abs(box.y - y) < BOX_H for x, y in places)
    # A line is left out only where another way leads along shown boxes.
    reads = sum(len(node.reads) for node in found.nodes.values())
    assert len(drawing.lines) <= reads
    if reads:
        assert drawing.lines
