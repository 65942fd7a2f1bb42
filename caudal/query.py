"""SQL over Delta tables without a JVM: DataFusion inside deltalake, which reads deletion vectors.

For proofs, the API and reports. Heavy work stays in Arrow; `rows` is for answers of a bounded number of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caudal.lake import Lake

if TYPE_CHECKING:
    import pyarrow


class Query:
    """A set of tables by name, each at one version, and the SQL that reads them."""

    def __init__(self, lake: Lake) -> None:
        from deltalake import QueryBuilder

        self._lake = lake
        self._builder = QueryBuilder()

    def table(self, alias: str, layer: str, name: str, version: int | None = None) -> int:
        """Register the table under `alias` at `version` (newest when None) and return the version read."""
        return self.at(alias, self._lake.table(layer, name), version)

    def at(self, alias: str, path: str, version: int | None = None) -> int:
        """Register a table by its address, for example one from the manifest."""
        from deltalake import DeltaTable

        opened = DeltaTable(path, version=version, storage_options=self._lake.storage_options or None)
        self._builder = self._builder.register(alias, opened)
        return opened.version()

    def view(self, alias: str, sql: str) -> None:
        """Give a query over registered tables a name of its own."""
        self._builder.execute(f"create view {alias} as {sql}").read_all()

    def arrow(self, sql: str) -> pyarrow.Table:
        """The answer as an Arrow table."""
        import pyarrow

        return pyarrow.table(self._builder.execute(sql).read_all())

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The answer as records."""
        found: list[dict[str, Any]] = self.arrow(sql).to_pylist()
        return found

    def one(self, sql: str) -> Any:
        """The single value of a single row."""
        [row] = self.rows(sql)
        [value] = row.values()
        return value


def text(value: str) -> str:
    """A string as an SQL literal; a backslash means nothing special in DataFusion's plain literals."""
    return "'" + value.replace("'", "''") + "'"
