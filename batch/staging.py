"""dbt's sources and staging models, written from the contracts. Pure: contracts in, file texts out.

A staging model has the columns of its silver table that people may work with (no tokens, digests or coordinates), a
`tenant_id` whatever the contract calls it, and empties the masks of people who are on the erased list now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import yaml

from batch import pins
from batch.pins import OPERATIONS, Table
from schemas.contract import Contract
from schemas.tables import HISTORY_META, Column

TENANT = "tenant_id"
# Of the meta columns, those that a model may need: when it came, in which commit, and what silver said about it.
META = (
    "_observed_at", "_published_at", "_contract_version", "_version", "_late", "_suppressed", "_deleted_at",
    *(column.name for column in HISTORY_META),
)  # fmt: skip
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
        **{f"stg_{table.name}.sql": model(one, table) for one in ordered for table in pins.tables([one])},
    }


def model_names(contract: Contract) -> tuple[str, ...]:
    """Names of the staging models of a contract: of its rows, and of their history where one is kept."""
    return tuple(f"stg_{table.name}" for table in pins.tables([contract]))


def staged_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a silver table that staging hands on, in silver's order."""
    return tuple(c for c in table.columns if c.role in ("field", "mask", "ref") or c.name in META)


def model(contract: Contract, table: Table) -> str:
    """SQL of the staging model of one silver table of a contract."""
    columns = staged_columns(table)
    masks = [column.name for column in columns if column.role == "mask"]
    hides = bool(masks) and contract.subject is not None
    lines = [f"        {_selected(column, hides)}" for column in columns]
    if contract.tenant != TENANT and all(column.name != TENANT for column in columns):
        lines.insert(0, f"        source.{contract.tenant} as {TENANT}")
    body = ",\n".join(lines)
    return (
        HEADER.format(id=contract.id)
        + "with\n\nsource as (\n\n    select * from {{ source('pinned', '"
        + table.name
        + "') }}\n\n),\n\n"
        + (_ERASED if hides else "")
        + f"final as (\n\n    select\n{body}\n    from source\n"
        + ("    left join erased on source.subject_ref = erased.subject_ref\n" if hides else "")
        + "\n)\n\nselect * from final\n"
    )


def sources(contracts: Sequence[Contract]) -> str:
    """YAML of the sources `pinned`, a view of each silver table at the version of the cycle, and `before`, the same at
    the version that the group's published gold was built from, for the tables whose rows are replaced."""
    tables: list[dict[str, object]] = [
        {"name": "_pins", "description": "Silver versions of this cycle and of the published gold, one row a table."},
        {"name": "_erased", "description": "Random references of people who were erased."},
    ]
    tables += [{"name": name, "description": text} for name, text in VIEWS.items()]
    tables += [_operations(table) for table in OPERATIONS]
    for contract in contracts:
        for table in pins.tables([contract]):
            kept = "" if table.name == contract.table else ", every version of each row"
            tables.append(
                {
                    "name": table.name,
                    "description": contract.description + kept,
                    "meta": {"contract": contract.id, "owner": contract.owner, "mode": contract.mode},
                    "columns": [_described(column) for column in table.columns],
                }
            )
    # Other names than the pinned ones: dbt's unit tests know their inputs by name alone.
    before = [{"name": f"before_{table.name}", "identifier": table.name} for table in pins.replaced(contracts)]
    document = {
        "sources": [
            {"name": "pinned", "schema": "pinned", "tables": [_configured(table) for table in tables]},
            {"name": "before", "schema": "before", "tables": before},
        ]
    }
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
