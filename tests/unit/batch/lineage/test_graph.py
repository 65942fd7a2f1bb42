"""The graph of the contracts and marts that come with Caudal."""

from __future__ import annotations

from pathlib import Path

import yaml

from batch.lineage.columns import Origin
from batch.lineage.graph import LAYERS
from tests.support.lineage_lake import CONTRACTS, graph

MARTS = Path(__file__).resolve().parents[4] / "dbt" / "models" / "marts"


def test_every_node_stands_on_the_road() -> None:
    """What a node reads exists and lies before it, or beside it; nothing is known that nobody can name."""
    found = graph()
    for node in found.nodes.values():
        for above in node.reads:
            assert above in found.nodes, (node.id, above)
            assert LAYERS.index(found.nodes[above].layer) <= LAYERS.index(node.layer), (node.id, above)
        for column in node.columns:
            for origin in column.origins:
                assert found.nodes[origin.node].column(origin.column), (node.id, column.name, origin)


def test_every_mart_and_contract_is_there_with_its_columns() -> None:
    """A mart has the columns of its YAML, in its order, and almost all of them are traced to stored data."""
    found = graph()
    assert len(list(CONTRACTS.glob("*/*/contract.yml"))) == sum(n.layer == "topic" for n in found.nodes.values())
    traced = untraced = 0
    for path in MARTS.glob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ()):
            node = found.nodes[f"gold.{model['name']}"]
            assert [c["name"] for c in model["columns"]] == [c.name for c in node.columns]
            assert found.stored_above(node.id) or model["name"] == "ops_quality_results", node.id
            hits = [bool(found.stored_origins(node.id, column.name)) for column in node.columns]
            traced, untraced = traced + sum(hits), untraced + len(hits) - sum(hits)
    # What is left are counts of rows, and what comes from rules and settings.
    assert traced > 7 * untraced


def test_a_column_is_traced_through_all_models_between() -> None:
    """Revenue is made of totals of orders that are not cancelled; a mask is made of the sealed field of the topic."""
    found = graph()
    assert found.stored_origins("gold.revenue_hourly", "revenue") == (
        Origin("silver.commerce_order", "cancelled_at", "AGGREGATION"),
        Origin("silver.commerce_order", "total", "AGGREGATION"),
    )
    assert found.stored_origins("silver.commerce_order", "customer_email") == (
        Origin("topic.commerce.order", "customer_email", "TRANSFORMATION"),
    )
    assert ("staging.stg_commerce_order", "total") in found.made_of_it("silver.commerce_order", "total")


def test_no_personal_column_reaches_a_mart_but_the_declared() -> None:
    """Lineage of every mart's columns finds exactly the masks that the YAML declares as such."""
    declared = {
        (model["name"], column["name"])
        for path in MARTS.glob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ())
        for column in model["columns"]
        if column.get("config", {}).get("meta", {}).get("mask")
    }
    shown = {(n.name, c.name) for n in graph().nodes.values() if n.layer == "gold" for c in n.columns if c.pii}
    assert declared
    assert declared == shown


def test_raw_mixes_no_lineage() -> None:
    """Raw holds every topic; what is made of one topic is not made of its neighbours."""
    found = graph()
    assert "topic.payments.transaction" not in found.above("gold.fct_orders")
    assert {"topic.commerce.order", "raw.events", "silver.commerce_order"} <= found.above("gold.fct_orders")
    assert "gold.fct_transactions" not in found.below("topic.commerce.order")
    assert "exposure.dashboard_fraud" in found.below("topic.fraud.decision")
