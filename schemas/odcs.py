"""A contract in the words of the Open Data Contract Standard 3.1, for catalogues and other tools. One way only."""

from collections.abc import Mapping
from typing import Any

import yaml

from schemas import duration, read_quality, rules, sparktype, tables
from schemas.avro import validate
from schemas.contract import Contract, Measure, Rule, is_nullable
from schemas.sparktype import Array, Map, SparkType, Struct

API_VERSION = "v3.1.0"
_LOGICAL = {
    "STRING": "string",
    "BOOLEAN": "boolean",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "TIMESTAMP": "timestamp",
    "DATE": "date",
    "BINARY": "string",
}


def export(contract: Contract, bootstrap: str = "") -> dict[str, Any]:
    """The contract as an ODCS document: the newest version's fields as silver holds them, rules, service levels.

    What the standard has no word for (event id, sequence, lateness, …) stands under customProperties.
    """
    server = {"server": "events", "type": "kafka", "format": "avro", "host": bootstrap or "localhost:9092"}
    return {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": contract.id,
        "name": contract.id,
        "version": f"{contract.latest.number}.0.0",
        "status": "active",
        "domain": contract.domain,
        "description": {"purpose": contract.description},
        "servers": [server],
        "schema": [_object(contract)],
        "slaProperties": _sla(contract),
        "team": {"name": contract.owner},
        "customProperties": _custom(contract),
    }


def to_yaml(document: Mapping[str, Any]) -> str:
    """The document as YAML, in the standard's usual order."""
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)


def _object(contract: Contract) -> dict[str, Any]:
    names = validate(contract.latest.avsc)
    space = contract.latest.avsc.get("namespace")
    found = {
        "name": contract.event,
        "physicalName": contract.topic,
        "physicalType": "topic",
        "logicalType": "object",
        "description": contract.latest.avsc.get("doc", contract.description),
        "properties": [_property(contract, item, names, space) for item in contract.latest.avsc["fields"]],
    }
    quality = [_quality(rule, contract) for rule in contract.quality]
    quality += [_measure(measure) for measure in contract.measures]
    if quality:
        found["quality"] = quality
    return found


def _property(
    contract: Contract, item: Mapping[str, Any], names: Mapping[str, Any], space: str | None
) -> dict[str, Any]:
    kind = sparktype.of(item["type"], names, space)
    out = {
        "name": item["name"],
        **_physical(contract, item["name"]),
        **_typed(kind),
        "required": not is_nullable(item["type"]),
    }
    if "doc" in item:
        out["description"] = item["doc"]
    if item["name"] in contract.message_key:
        out |= {"primaryKey": True, "primaryKeyPosition": contract.message_key.index(item["name"]) + 1}
    if "pii" in item:
        out |= {"classification": "restricted", "tags": ["pii", f"pii:{item['pii']}"]}
    if "unit" in item:
        out["customProperties"] = [{"property": "unit", "value": item["unit"]}]
    return out


def _physical(contract: Contract, field: str) -> dict[str, str]:
    """Silver's column; nothing for a field that silver does not store."""
    return {} if field in contract.except_column_list else {"physicalName": tables.column_of(contract, field)}


def _typed(kind: SparkType) -> dict[str, Any]:
    physical = {"physicalType": kind.sql()}
    match kind:
        case Array(item):
            return {"logicalType": "array", **physical, "items": _typed(item)}
        case Struct(fields):
            parts = [{"name": name, **_typed(inner)} for name, inner in fields]
            return {"logicalType": "object", **physical, "properties": parts}
        case Map():
            return {"logicalType": "object", **physical}
        case _:
            return {"logicalType": _LOGICAL.get(kind.name, "number"), **physical}


def _quality(rule: Rule, contract: Contract) -> dict[str, Any]:
    """Rows that break the rule are counted, and none may be there."""
    query = f"SELECT count(*) FROM {{object}} WHERE NOT {rules.compile_spark(rule, contract)}"
    return {
        "name": rule.code,
        "type": "sql",
        "query": query,
        "mustBe": 0,
        "severity": "error" if rule.on_fail == "reject" else "warning",
        "description": rule.rule,
    }


def _measure(measure: Measure) -> dict[str, Any]:
    """Only the number of rows is a metric of the standard's own library; the rest is a rule of a named engine."""
    severity = "error" if measure.on_fail == "reject" else "warning"
    if measure.metric == "rowCount":
        names = {"mustBeGreaterOrEqualTo": measure.low, "mustBeLessOrEqualTo": measure.high}
        bounds = {name: value for name, value in names.items() if value is not None}
        if len(bounds) == 1:
            return {"name": measure.code, "type": "library", "metric": "rowCount", "severity": severity, **bounds}
    return {
        "name": measure.code,
        "type": "custom",
        "engine": "caudal",
        "implementation": yaml.safe_dump(read_quality.record(measure), sort_keys=False),
        "severity": severity,
    }


def _sla(contract: Contract) -> list[dict[str, Any]]:
    found = [
        {"property": item.property, "value": item.value, **({"unit": item.unit} if item.unit else {})}
        for item in contract.sla
    ]
    days = contract.retention.tables.days
    return [*found, {"property": "retention", "value": days, "unit": "d"}]


def _custom(contract: Contract) -> list[dict[str, Any]]:
    values: dict[str, Any] = {
        "mode": contract.mode,
        "eventId": contract.event_id,
        "eventTime": contract.event_time,
        "sequence": list(contract.sequence),
        "tenantField": contract.tenant,
        "lateness": duration.render(contract.lateness),
        "compatibility": contract.evolution.compatibility,
        "registrySubject": contract.registry_subject,
        "silverTable": f"silver.{contract.table}",
    }
    return [{"property": name, "value": value} for name, value in values.items() if value]
