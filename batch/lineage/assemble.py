"""The graph from contracts, the lake's fixed tables and the dbt project. Needs no lake and no JVM."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from batch import operations, pins, product, project, staging
from batch.lineage import columns
from batch.lineage import project as dbt
from batch.lineage.columns import How, Origin
from batch.lineage.graph import RAW, Column, Graph, Node
from batch.lineage.project import Model, Project
from batch.settings import BatchSettings, Prices
from privacy import masks
from quality.marts import GROUPS
from schemas import tables
from schemas.contract import AvroType, Contract, without_null
from schemas.product import ProductRules
from schemas.product import load as load_rules
from schemas.wire import ORIGIN_FIELD

_PINNED = re.compile(r"pinned\.(\w+)")
_ORIGIN = ("_origin_source", "_origin_run", "_origin_position", "_observed_at", "_published_at")
"""Silver's columns that hold the origin of a record."""
_MASKS = {
    "cpf": "***.***.***-09",
    "cnpj": "**.***.***/****-35",
    "email": "ab***@example.com",
    "phone": "****67",
    "name": "J*** S***",
    "bank_account": "****1234",
    "card": "****1234",
    "ip": "203.0.113.0/24",
}
"""A made-up mask of each class that shows anything."""
_ERASED = Node("view._erased", "Random references of people who were erased.", "privacy", (Column("subject_ref"),))


def graph(contracts: Iterable[Contract], settings: BatchSettings) -> Graph:
    """The whole graph. Raises ProjectError or RulesError when there is no project, or its rules cannot be read."""
    listed = sorted(contracts, key=lambda one: one.id)
    source = project.source_dir(settings)
    nodes = {node.id: node for node in (*_road(listed), *_views(listed, load_rules(settings.product_rules)))}
    read = dbt.read(source, listed)
    _models(nodes, read, _staged(listed))
    for one in read.exposures:
        description = f"{one.kind}: {one.description}" if one.kind else one.description
        node = Node(f"exposure.{one.name}", description, one.owner, reads=one.reads)
        nodes[node.id] = node
    return Graph(nodes)


def mask_of(pii: str) -> str:
    """What a mask of a class looks like; empty for no class."""
    return _MASKS.get(pii, masks.HIDDEN) if pii else ""


def sources(contracts_dir: Path, settings: BatchSettings) -> frozenset[tuple[str, int]]:
    """Files that the graph is made of, with their times: the same as long as the graph is."""
    folders = (contracts_dir, project.source_dir(settings))
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".sql", ".yml", ".avsc")]
    return frozenset((str(path), path.stat().st_mtime_ns) for path in files)


def _road(contracts: Iterable[Contract]) -> Iterable[Node]:
    """Topics, raw, silver, and what streaming writes down about its own work."""
    listed = tuple(contracts)
    topics = tuple(f"topic.{one.id}" for one in listed)
    for one in listed:
        yield _topic(one)
        for table in pins.tables([one]):
            yield _silver(one, table)
    yield _fixed(RAW, "All records of all topics, bytes as they came.", tables.RAW_EVENTS, topics)
    yield _fixed("raw.schemas", "Every schema that a record of raw was written with.", tables.RAW_SCHEMAS, topics)
    for table in pins.OPERATIONS:
        text = _OPERATIONS.get(table.name, "")
        yield _fixed(f"{table.layer}.{table.folder}", text, table.columns, (RAW,))


_OPERATIONS = {
    "ops_ledger": "What became of each record that was read, by batch and contract.",
    "ops_purges": "Which records left raw for good, who asked and why.",
    "quarantine_dead_letters": "Records that could not be applied: where they lie, and why.",
    "quarantine_resolutions": "Which dead letters were decided again.",
}


def _fixed(name: str, description: str, listed: Iterable[tables.Column], reads: tuple[str, ...]) -> Node:
    return Node(name, description, "platform", tuple(Column(c.name, c.spark_type) for c in listed), reads)


def _topic(contract: Contract) -> Node:
    described = {item["name"]: item for version in contract.versions for item in version.avsc["fields"]}
    listed = tuple(
        Column(
            item["name"],
            _avro(item["type"]),
            str(described.get(item["name"], item).get("doc", "")),
            str(described.get(item["name"], item).get("unit", "")),
            str(described.get(item["name"], {}).get("pii", "")),
        )
        for item in contract.latest.wire["fields"]
    )
    return Node(
        f"topic.{contract.id}", contract.description, contract.owner, listed, (), contract.id, "", contract.freshness_s
    )


def _silver(contract: Contract, table: pins.Table) -> Node:
    topic = f"topic.{contract.id}"
    described = {item["name"]: item for version in contract.versions for item in version.avsc["fields"]}
    personal = {item.name: item.cls for item in contract.pii_fields}
    on_wire = {item["name"] for version in contract.versions for item in version.wire["fields"]}

    def column(one: tables.Column) -> Column:
        names = [one.field] if one.field else [ORIGIN_FIELD] if one.name in _ORIGIN else []
        if one.role == "token":
            names = sorted(personal)
        kept: How = "IDENTITY" if one.field and one.role != "mask" else "TRANSFORMATION"
        item = described.get(one.field or "", {})
        return Column(
            one.name,
            one.spark_type,
            str(item.get("doc", "")),
            str(item.get("unit", "")),
            personal.get(one.field or "", "") if one.role == "mask" else "",
            one.role,
            tuple(Origin(topic, name, kept) for name in names if name in on_wire),
        )

    kept = "" if table.name == contract.table else ", every version of each row"
    return Node(
        f"silver.{table.name}",
        contract.description + kept,
        contract.owner,
        tuple(column(one) for one in table.columns),
        (RAW, topic),
        contract.id,
        "",
        contract.freshness_s,
    )


def _views(contracts: Iterable[Contract], rules: ProductRules) -> Iterable[Node]:
    """What the batch process makes besides the views of tables."""
    listed = tuple(contracts)
    places = {table.name: f"{table.layer}.{table.folder}" for table in (*pins.tables(listed), *pins.OPERATIONS)}
    silver = {f"silver.{t.name}": {c.name: c.spark_type for c in t.columns} for t in pins.tables(listed)}
    yield _ERASED
    made = {**product.views(rules), **operations.views(listed, {}, (), Prices())}
    for name, select in made.items():
        short = name.removeprefix("pinned.")
        reads = tuple(dict.fromkeys(places[found] for found in _PINNED.findall(select) if found in places))
        sql = _PINNED.sub(lambda found: f"`{places.get(found[1], found[1])}`", select)
        origins = columns.of(sql, {node: silver[node] for node in reads})
        listed_columns = tuple(Column(c, origins=origins.get(c, ())) for c in columns.named(sql))
        yield Node(f"view.{short}", staging.VIEWS.get(short, ""), "platform", listed_columns, reads)


def _staged(contracts: Iterable[Contract]) -> Mapping[str, tuple[Contract, pins.Table]]:
    return {f"stg_{table.name}": (one, table) for one in contracts for table in pins.tables([one])}


def _models(
    nodes: dict[str, Node],
    read: Project,
    staged: Mapping[str, tuple[Contract, pins.Table]],
) -> None:
    """Add the project's models, each after those that it reads."""
    models = {model.node: model for model in read.models}
    for name in TopologicalSorter({model.node: model.reads for model in read.models}).static_order():
        if name in models:
            model = models[name]
            nodes[name] = _model(nodes, model, read.described.get(model.name, {}), staged)


def _model(
    nodes: Mapping[str, Node],
    model: Model,
    described: Mapping[str, Any],
    staged: Mapping[str, tuple[Contract, pins.Table]],
) -> Node:
    known = {r: {c.name: c.type for c in nodes[r].columns} for r in model.reads if r in nodes}
    origins = columns.of(model.sql, known) if model.sql else {}
    texts = {one["name"]: str(one.get("description", "")) for one in described.get("columns", ())}
    declared = {one["name"]: str(one.get("data_type", "")) for one in described.get("columns", ())}
    # A mart has the columns of its YAML; of others the YAML may name a few only.
    kinds = declared if model.layer == "gold" else dict.fromkeys(origins, "")
    contract, table = staged.get(model.name, (None, None))
    if table is not None:
        kinds |= {one.name: one.spark_type for one in staging.staged_columns(table)}
    listed = []
    for name, kind in kinds.items():
        there = [one for one in origins.get(name, ()) if one.node in nodes]
        above = [(one, found) for one in there if (found := nodes[one.node].column(one.column))]
        single = above[0][1] if len(above) == 1 and above[0][0].how == "IDENTITY" else None
        # A number of people is nobody's: what counts or adds up shows no mask.
        shown = {found.pii for o, found in above if found.pii and o.how != "AGGREGATION"}
        listed.append(
            Column(
                name,
                kind or (single.type if single else ""),
                texts.get(name) or (single.description if single else ""),
                single.unit if single else "",
                sorted(shown)[0] if shown else "",
                "mask" if shown else "",
                tuple(o for o, _ in above),
            )
        )
    description = str(described.get("description") or (contract.description if contract else ""))
    config = described.get("config", {})
    owners = {nodes[one].owner for one in model.reads if one in nodes} - {"", "platform", "privacy"}
    # What is made of one team's data alone is that team's.
    owner = str(config.get("meta", {}).get("owner") or (owners.pop() if len(owners) == 1 else ""))
    group = next((tag for tag in config.get("tags", ()) if tag in GROUPS), "")
    return Node(model.node, description.strip(), owner, tuple(listed), model.reads, group=group)


def _avro(kind: AvroType) -> str:
    """An Avro type as people read it."""
    one = without_null(kind)
    if isinstance(one, dict):
        if one.get("logicalType"):
            return str(one["logicalType"])
        if one.get("type") == "array":
            return f"array<{_avro(one['items'])}>"
        if one.get("type") == "map":
            return f"map<{_avro(one['values'])}>"
        return str(one.get("name") or one.get("type"))
    return one if isinstance(one, str) else json.dumps(one)
