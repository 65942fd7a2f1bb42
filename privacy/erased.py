"""The erased list: random refs whose masks must never be written again. One writer, read before masks are written."""

from caudal.lake import Lake

COLUMNS = (("subject_ref", "STRING"), ("tenant", "STRING"), ("erased_at", "TIMESTAMP"))
"""Names and Spark types of the table's columns."""


def erased_refs_path(lake: Lake) -> str:
    """Address of the erased list's Delta table. The table may not exist yet: then nobody was ever erased."""
    return lake.table("ops", "erased_refs")


def read(lake: Lake) -> frozenset[str]:
    """All erased refs, empty when the table does not exist."""
    from deltalake import DeltaTable, QueryBuilder

    path = erased_refs_path(lake)
    if not DeltaTable.is_deltatable(path, storage_options=lake.storage_options):
        return frozenset()
    table = DeltaTable(path, storage_options=lake.storage_options)
    rows = QueryBuilder().register("erased", table).execute("SELECT subject_ref FROM erased").read_all()
    return frozenset(str(ref) for ref in rows.column("subject_ref").to_pylist())
