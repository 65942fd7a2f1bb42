"""A batch loop on a test's own lake and the session of all tests, with silver written from literal rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyspark.sql import SparkSession

from batch import app
from batch.loop import Loop
from batch.settings import BatchSettings
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from quality.settings import QualitySettings
from schemas.contract import Catalog
from schemas.load import load_catalog
from schemas.manifest import Manifest, load_current
from tests.support.silver_writer import SilverWriter


class BatchStack:
    """The loop, its lake, and one silver writer a contract. `pace` overrides settings of the loop."""

    def __init__(self, spark: SparkSession, settings: Settings, **pace: Any) -> None:
        self.spark, self.settings, self.pace = spark, settings, pace
        self.lake = Lake.open(settings)
        self.catalog: Catalog = load_catalog(settings.contracts_dir)
        self._writers: dict[str, SilverWriter] = {}
        self.restart()

    def restart(self, **pace: Any) -> None:
        """A loop that knows nothing but the lake, like that of a new process."""
        self.loop = Loop(
            app.tools(self.settings, self.spark, Metrics("batch")),
            BatchSettings(**{"full_after_s": 0.001, **self.pace, **pace}),
            QualitySettings(),
            app.working_copy(self.settings),
        )
        self.loop.learn(self.catalog.values())

    def silver(self, contract: str) -> SilverWriter:
        """The writer of a contract's silver table, which is created at first use."""
        if contract not in self._writers:
            self._writers[contract] = SilverWriter(self.spark, self.lake, self.catalog[contract])
        return self._writers[contract]

    def history(self, contract: str) -> SilverWriter:
        """The writer of a contract's history, which is created at first use."""
        name = f"{contract} history"
        if name not in self._writers:
            self._writers[name] = SilverWriter(self.spark, self.lake, self.catalog[contract], history=True)
        return self._writers[name]

    def manifest(self) -> Manifest:
        """What is published; there must be something."""
        found = load_current(self.lake)
        assert found is not None
        return found

    def published(self, mart: str, columns: Sequence[str], tenant: str | None = None) -> list[tuple[Any, ...]]:
        """Rows of a mart (of all tenants or of one) as readers see them, sorted, by deltalake and without the JVM."""
        import pyarrow
        from deltalake import DeltaTable, QueryBuilder

        table = self.manifest().tables[mart]
        opened = DeltaTable(f"{self.lake.uri}/{table.path}", version=table.version)
        listed = ", ".join(f'"{column}"' for column in columns)
        own = f" where tenant_id = '{tenant}'" if tenant else ""
        query = f"select {listed} from mart{own} order by {listed}"
        rows = QueryBuilder().register("mart", opened).execute(query).read_all()
        return [tuple(row.values()) for row in pyarrow.table(rows).to_pylist()]

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All published marts with all their columns, but for the one that tells of cycles and not of silver."""
        columns = {mart.name: tuple(mart.columns) for mart in self.loop.work("live").marts}
        told = (mart for mart in self.manifest().tables if mart != "ops_quality_results")
        return {mart: self.published(mart, columns[mart]) for mart in told}


@contextmanager
def open_stack(spark: SparkSession, settings: Settings, **pace: Any) -> Iterator[BatchStack]:
    """A stack whose names leave the shared session when the test is over."""
    try:
        yield BatchStack(spark, settings, **pace)
    finally:
        for schema in ("gold", "published", "pinned", "staging", "intermediate"):
            spark.sql(f"drop schema if exists {schema} cascade")
