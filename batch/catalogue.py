"""The session's in-memory catalogue: a cache that each start rebuilds from contracts and manifest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from batch import pins as pinned
from batch.pins import Pin
from caudal.lake import Lake
from quality.marts import Mart
from schemas.contract import Contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Versions, and those before them: it says how to read and is no input.
PINS = "_pins"
_PINNED = re.compile(r"pinned\.\w+")
SCHEMAS = ("pinned", "before", "published", "staging", "intermediate", "gold")


class Catalogue:
    """Views and tables of one session. Statements that would change nothing are not run again."""

    def __init__(self, spark: SparkSession, lake: Lake) -> None:
        self._spark, self._lake = spark, lake
        self._said: dict[str, str] = {}
        for schema in SCHEMAS:
            # Marts are external tables: only names go.
            spark.sql(f"drop schema if exists {schema} cascade")
            spark.sql(f"create schema {schema}")

    def pin(
        self,
        contracts: Iterable[Contract],
        pins: Mapping[str, Pin],
        previous: Mapping[str, int],
        before: Mapping[str, Pin],
    ) -> None:
        """Point `pinned.*` at `pins` and `before.*` at `before`, both by table; `previous` are the versions that the
        group's published gold was built from."""
        contracts = tuple(contracts)
        for table in (*pinned.tables(contracts), *pinned.OPERATIONS):
            self._say(f"pinned.{table.name}", pinned.view_sql(table, pins[table.name], self._lake))
        for table in pinned.replaced(contracts):
            if table.name in before:
                view = pinned.view_sql(table, before[table.name], self._lake, "before")
                self._say(f"before.{table.name}", view)
        self._say("pinned._pins", pinned.pins_sql(pins, previous))
        self._say("pinned._erased", pinned.erased_sql(self._lake))

    def publish(self, marts: Iterable[Mart], versions: Mapping[str, int]) -> None:
        """Point `published.*` at the published versions; a mart without one is an empty view."""
        for mart in marts:
            version = versions.get(mart.name)
            body = (
                f"select {mart.nulls()} where false"
                if version is None
                else f"select * from delta.`{self.address(mart.name)}` version as of {version}"
            )
            self._say(f"published.{mart.name}", f"create or replace view published.{mart.name} as {body}")

    def show(self, views: Mapping[str, str]) -> None:
        """Make views from their names and the SELECT that each stands for."""
        for name, body in views.items():
            self._say(name, f"create or replace view {name} as {body}")

    def content(self, views: Iterable[str]) -> str:
        """A digest of what these views of `pinned` select now: the same as long as they hold the same rows."""
        todo, said = {f"pinned.{view}" for view in views if view != PINS}, dict[str, str]()
        while todo:
            name = todo.pop()
            said[name] = self._said.get(name, "")
            # Some views are made of others.
            todo |= {other for other in _PINNED.findall(said[name]) if other in self._said} - said.keys()
        return hashlib.sha256("\n".join(said[name] for name in sorted(said)).encode()).hexdigest()[:16]

    def attach(self, mart: str) -> None:
        """Let dbt see a mart that is published, so that it merges into it."""
        self._spark.sql(f"create table if not exists gold.{mart} using delta location '{self.address(mart)}'")

    def detach(self, mart: str) -> None:
        """Hide a mart that was never published from dbt, so that it is created or replaced as a whole."""
        self._spark.sql(f"drop table if exists gold.{mart}")

    def at(self, mart: str, version: int) -> DataFrame:
        """A mart at one version."""
        return self._spark.read.format("delta").option("versionAsOf", version).load(self.address(mart))

    def address(self, mart: str) -> str:
        """Spark's address of a mart."""
        return self._lake.spark_table("gold", mart)

    def _say(self, name: str, statement: str) -> None:
        if self._said.get(name) != statement:
            self._spark.sql(statement)
            self._said[name] = statement
