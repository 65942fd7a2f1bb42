"""Runs as OpenLineage events."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch.lineage import events, follow
from batch.lineage.events import Places
from caudal.lake import LocalLake
from tests.support import lineage_lake
from tests.support.lineage_lake import NOW_MS, graph

PLACES = Places("s3://bucket/lake", "broker:9092")
CYCLE = "20260921T120000000-live"


def told(lake: LocalLake) -> list[dict[str, Any]]:
    return follow.told(follow.look(lake, graph, follow.Position(0)).runs, graph, PLACES)


def facets(part: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """All facets within a part of an event, by their keys."""
    if isinstance(part, dict):
        for key, value in part.items():
            if isinstance(value, dict) and "_schemaURL" in value:
                yield key, value
            yield from facets(value)
    elif isinstance(part, list):
        for value in part:
            yield from facets(value)


def test_a_cycle_is_one_run_with_both_ends(tmp_path: Path) -> None:
    """START and COMPLETE share the run; inputs and outputs carry the versions; columns are traced to silver's."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.cycle(lake, CYCLE)
    first, last = told(lake)
    assert [first["eventType"], last["eventType"]] == ["START", "COMPLETE"]
    assert first["run"]["runId"] == last["run"]["runId"]
    assert first["job"]["name"] == "cycle.live"
    # The orders are made of one of the two tables that the group pins.
    [read] = last["inputs"]
    assert (read["namespace"], read["name"]) == ("s3://bucket", "lake/silver/commerce_order")
    assert read["facets"]["version"]["datasetVersion"] == "7"
    [made] = last["outputs"]
    assert made["facets"]["version"]["datasetVersion"] == "4"
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 12
    assert "total" in {field["name"] for field in made["facets"]["schema"]["fields"]}
    [origin] = made["facets"]["columnLineage"]["fields"]["total"]["inputFields"]
    assert (origin["name"], origin["field"]) == ("lake/silver/commerce_order", "total")
    assert origin["transformations"][0]["subtype"] == "IDENTITY"


@pytest.mark.parametrize(
    ("state", "failed", "ended"),
    [
        ("published", (), "COMPLETE"),
        ("failed", ("gold.fct_orders:X",), "FAIL"),
        ("restored", ("gold.fct_orders:X",), "FAIL"),
        ("restored", (), "ABORT"),
        ("open", (), "START"),
        ("passed", (), "START"),
    ],
)
def test_how_a_cycle_ended_is_told(tmp_path: Path, state: Any, failed: tuple[str, ...], ended: str) -> None:
    """A failed gate, a kill and a cycle at work look different, and what was taken back is no output."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.cycle(lake, CYCLE, state, failed=failed)
    last = told(lake)[-1]
    assert last["eventType"] == ended
    assert bool(last["outputs"]) == (ended == "COMPLETE")
    assert last["run"]["facets"].get("errorMessage", {}).get("message") == (", ".join(failed) or None)


def test_the_gate_is_a_run_of_its_own_below_the_cycle(tmp_path: Path) -> None:
    """Verdicts are assertions on exactly the versions that were judged, by column where a check has one."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.cycle(lake, CYCLE, "failed", failed=("gold.fct_orders:NOT_NULL:total",))
    lineage_lake.verdicts(lake, CYCLE, ok=False)
    *_, last = told(lake)
    cycle = told(lake)[1]
    assert (last["job"]["name"], last["eventType"]) == ("gate.live", "FAIL")
    assert last["run"]["facets"]["parent"]["run"]["runId"] == cycle["run"]["runId"]
    [judged] = last["inputs"]
    assert judged["facets"]["version"]["datasetVersion"] == "4"
    found = {one["name"]: one for one in judged["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert tuple(found["NOT_NULL:total"][key] for key in ("success", "column", "severity", "actual")) == (
        False,
        "total",
        "error",
        "2",
    )
    assert tuple(found["MEAN:total"][key] for key in ("success", "severity", "actual")) == (True, "warn", "10.5")


def test_a_commit_tells_offsets_versions_and_masks(tmp_path: Path) -> None:
    """A commit of streaming reads its topic's offsets and writes raw, silver and, when there are any, dead letters."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.commit(lake, "commerce.order", 5, read=10, applied=9, dead_letter=1)
    first, last = told(lake)
    assert first["run"]["runId"] == last["run"]["runId"]
    [read] = last["inputs"]
    assert (read["namespace"], read["name"]) == ("kafka://broker:9092", "commerce.order")
    assert read["inputFacets"]["caudal_offsets"]["offsets"] == {"0": [50, 60]}
    rows = {one["name"]: one["outputFacets"]["outputStatistics"]["rowCount"] for one in last["outputs"]}
    assert rows == {"lake/raw/events": 10, "lake/silver/commerce_order": 9, "lake/quarantine/dead_letters": 1}
    silver = next(one for one in last["outputs"] if one["name"].endswith("commerce_order"))
    assert silver["facets"]["version"]["datasetVersion"] == "5"
    lineage = silver["facets"]["columnLineage"]["fields"]
    assert lineage["customer_email"]["inputFields"][0]["transformations"][0]["masking"] is True
    assert lineage["total"]["inputFields"][0]["transformations"][0]["masking"] is False


def test_events_have_the_form_that_openlineage_asks_for(tmp_path: Path) -> None:
    """Ids are UUIDs, times are RFC 3339, every facet says who made it and which definition it follows."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.cycle(lake, CYCLE)
    lineage_lake.verdicts(lake, CYCLE)
    lineage_lake.commit(lake, "product.event", 1, NOW_MS, read=1, applied=1)
    found = told(lake)
    assert len(found) == 6
    for event in found:
        uuid.UUID(event["run"]["runId"])
        assert event["eventTime"].endswith("Z")
        assert event["schemaURL"].endswith("#/$defs/RunEvent")
        assert event["producer"].startswith("urn:caudal:")
        for key, facet in facets(event):
            assert facet["_producer"] == event["producer"], key
            name = facet["_schemaURL"].rpartition("/")[2]
            # Our own facets follow the base of their kind, the others one that bears their name.
            assert key.startswith("caudal_") or key.lower() in name.lower(), key


def test_the_same_run_has_the_same_id(tmp_path: Path) -> None:
    """Told twice, an event replaces itself; other runs have other ids."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.commit(lake, "commerce.order", 5, read=1, applied=1)
    lineage_lake.commit(lake, "commerce.order", 6, read=1, applied=1)
    once, again = (follow.look(lake, graph, follow.Position(0)).runs for _ in range(2))
    assert [events.run_id(run) for run in once] == [events.run_id(run) for run in again]
    assert len({events.run_id(run) for run in once}) == 2
