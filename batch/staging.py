"""dbt's sources and staging models, written from the contracts. Pure: contracts in, file texts out.

A staging model has the columns of its silver table that people may work with (no tokens, digests or coordinates), a
`tenant_id` whatever the contract calls it, and empties the masks of people who are on the erased list now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml

from batch.pins import OPERATIONS, Table
from schemas.contract import Contract
from schemas.tables import Column, silver_columns

TENANT = "tenant_id"
# Of the meta columns, those that a model may need: when it came, in which commit, and what silver said about it.
META = ("_observed_at", "_published_at", "_contract_version", "_version", "_late", "_suppressed", "_deleted_at")
# What the batch process makes besides the views of tables, and what they hold.
VIEWS = {
    "_shown": "Event types that each plan of the product shows.",
    "_quotas": "What each plan may use a month; null without a limit.",
    "_funnels": "Steps of the product's funnels.",
    "_silver": "Rows of all silver tables at their pins, with what all contracts have in common.",
    "_tables": "Size and promise of each contract's silver table.",
    "_quality": "The newest verdict of each check.",
    "_prices": "The price table of the settings, one row.",
}
HEADER = "-- Written from the contract {id}; `caudal batch staging` writes it again. Do not edit.\n"


def files(contracts: Iterable[Contract]) -> dict[str, str]:
    """All generated files by their path inside `models/staging/`."""
    ordered = sorted(contracts, key=lambda contract: contract.id)
    return {
        "_sources.yml": sources(ordered),
        **{f"{model_name(contract)}.sql": model(contract) for contract in ordered},
    }


def model_name(contract: Contract) -> str:
    """Name of the staging model of a contract."""
    return f"stg_{contract.table}"


def staged_columns(contract: Contract) -> tuple[Column, ...]:
    """The silver columns that staging hands on, in silver's order."""
    return tuple(
        column for column in silver_columns(contract) if column.role in ("field", "mask", "ref") or column.name in META
    )


def model(contract: Contract) -> str:
    """SQL of the staging model of one contract."""
    columns = staged_columns(contract)
    masks = [column.name for column in columns if column.role == "mask"]
    hides = bool(masks) and contract.subject is not None
    lines = [f"        {_selected(column, hides)}" for column in columns]
    if contract.tenant != TENANT and all(column.name != TENANT for column in columns):
        lines.insert(0, f"        source.{contract.tenant} as {TENANT}")
    body = ",\n".join(lines)
    return (
        HEADER.format(id=contract.id)
        + "with\n\nsource as (\n\n    select * from {{ source('pinned', '"
        + contract.table
        + "') }}\n\n),\n\n"
        + (_ERASED if hides else "")
        + f"final as (\n\n    select\n{body}\n    from source\n"
        + ("    left join erased on source.subject_ref = erased.subject_ref\n" if hides else "")
        + "\n)\n\nselect * from final\n"
    )


def sources(contracts: Iterable[Contract]) -> str:
    """YAML of the source `pinned`: a view of each silver table at the version of the cycle."""
    tables: list[dict[str, object]] = [
        {"name": "_pins", "description": "Silver versions of this cycle and of the published gold, one row a table."},
        {"name": "_erased", "description": "Random references of people who were erased."},
    ]
    tables += [{"name": name, "description": text} for name, text in VIEWS.items()]
    tables += [_operations(table) for table in OPERATIONS]
    for contract in contracts:
        tables.append(
            {
                "name": contract.table,
                "description": contract.description,
                "meta": {"contract": contract.id, "owner": contract.owner, "mode": contract.mode},
                "columns": [_described(column) for column in silver_columns(contract)],
            }
        )
    document = {"sources": [{"name": "pinned", "schema": "pinned", "tables": [_configured(t) for t in tables]}]}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return "# Written from the contracts; `caudal batch staging` writes it again. Do not edit.\n" + text


def _operations(table: Table) -> dict[str, object]:
    """A table of streaming's own work; its columns are described where they are defined."""
    return {
        "name": table.name,
        "description": f"{table.layer}/{table.folder} at the version of the cycle.",
        "columns": [_described(column) for column in table.columns],
    }


_ERASED = (
    "-- Nobody sees the mask of an erased person, also where silver has not been cleaned yet.\n"
    "erased as (\n\n    select subject_ref from {{ source('pinned', '_erased') }}\n\n),\n\n"
)


def _selected(column: Column, hides: bool) -> str:
    name = f"source.{column.name}"
    if hides and column.role == "mask":
        return f"if(erased.subject_ref is null, {name}, null) as {column.name}"
    return name


def _described(column: Column) -> dict[str, object]:
    return {"name": column.name, "data_type": column.spark_type.lower(), "meta": {"role": column.role}}


def _configured(table: Mapping[str, object]) -> dict[str, object]:
    """dbt wants `meta` of a source's table and columns under `config`."""
    out = {key: value for key, value in table.items() if key not in ("meta", "columns")}
    if "meta" in table:
        out["config"] = {"meta": table["meta"]}
    columns = table.get("columns")
    if isinstance(columns, list):
        out["columns"] = [
            {**{k: v for k, v in column.items() if k != "meta"}, "config": {"meta": column["meta"]}}
            for column in columns
        ]
    return out
