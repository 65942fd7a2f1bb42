"""Which columns decide on versions in a contract's history (AUTO CDC's track_history_column_list and its opposite)."""

from __future__ import annotations

from collections.abc import Iterator

from schemas import wire
from schemas.contract import Contract
from schemas.tables import CHANGE_FIELDS, silver_columns


def tracked_columns(contract: Contract) -> tuple[str, ...]:
    """Silver's columns whose change starts a new version; none when every change does.

    A ref counts with the fields that it is found by. What says which row and which change it is never counts.
    """
    only, but = contract.track_history_column_list, contract.track_history_except_column_list
    if not (only or but):
        return ()
    names = [str(item["name"]) for version in contract.versions for item in version.avsc["fields"]]
    counts = {name for name in names if (name in only if only else name not in {*but, *bookkeeping(contract)})}
    found_by = {f"{name}_ref": {field} for name, field in contract.refs.items()}
    if contract.subject is not None:
        found_by[wire.SUBJECT_REF] = {*contract.subject.by, contract.subject.ref_field or ""}
    columns = silver_columns(contract)
    own = (column.name for column in columns if column.role in ("field", "mask") and column.field in counts)
    return (*own, *(c.name for c in columns if c.role == "ref" and counts & found_by.get(c.name, set())))


def bookkeeping(contract: Contract) -> tuple[str, ...]:
    """Fields that say which row and which change a record is."""
    told = (*contract.key, *contract.sequence, contract.tenant, contract.event_id, contract.event_time)
    return tuple(dict.fromkeys((*told, *CHANGE_FIELDS)))


def told(contract: Contract) -> Iterator[str]:
    """What a table with such a history was made for, as text; nothing without these lists."""
    for word, names in (
        ("by", contract.track_history_column_list),
        ("except", contract.track_history_except_column_list),
    ):
        if names:
            yield f"versions {word} ({', '.join(sorted(names))})"
            if contract.except_column_list:
                yield f"without ({', '.join(sorted(contract.except_column_list))})"
