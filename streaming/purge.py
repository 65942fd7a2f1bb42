"""Records taken out of raw for good, each of them named beforehand by a line in `ops/purges`.

The lines are written first: who asked, why, and which offsets of which batches, with a digest of what was there and
never a value. Then exactly these records are deleted, piece by piece between batches. A death in between is made good
at the next start, since the lines say what is still to do. So verify counts a record as in raw, or in a purge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from caudal import log
from caudal.errors import UsageError
from caudal.fault import crashpoint
from caudal.lake import Lake
from caudal.query import Query, text
from schemas.contract import Contract
from schemas.tables import PURGES
from streaming import purged, tables
from streaming.batches import Batches
from streaming.boundary import older
from streaming.commit import Txn, append, delete_ranges
from streaming.when import parse
from streaming.worker import Shop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_log = log.get("streaming.purge")
# Records that no fix can heal. All others are worth keeping.
CODES = ("CDL-PLAINTEXT", "CDL-GARBAGE", "CDL-MAGIC", "CDL-TRAILING")
_KEY = ("topic", "partition", "_batch")
_PER_PIECE = 20


@dataclass(frozen=True)
class Order:
    """Which records go: of these contracts the open dead letters of `code`, or else all up to a raw batch of each."""

    contracts: tuple[Contract, ...]
    code: str | None
    upto: Mapping[str, int]
    by: str
    reason: str


class Purging:
    """The work of the command `purge`, and of retention."""

    def __init__(self, shop: Shop, batches: Batches) -> None:
        self._shop, self._batches = shop, batches
        self._session = shop.spark.newSession()

    def run(self, identity: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """{purge, contracts: [{contract, records, ranges, first_batch, last_batch}], records, dry_run}.

        Arguments: contract (None: all), code or before (see `when`; no later than the contract's retention allows) or
        aged (all that is past it), by, reason, dry_run. Raises UsageError.
        """
        lake = self._shop.lake
        if not _written(lake, identity):
            lines = self._lines(self._order(arguments))
            if arguments.get("dry_run"):
                return {"purge": identity, **_summed(lines), "dry_run": True}
            once = Txn(f"purges/{identity}", 1)
            append(self._named(lines, identity).coalesce(1), lake.spark_table(*tables.PURGES), once)
        self._finish(identity)
        written = self._session.read.format("delta").load(lake.spark_table(*tables.PURGES))
        found = _summed(written.where(f"purge = {text(identity)}"))
        _log.info("purged", purge=identity, records=found["records"])
        return {"purge": identity, **found, "dry_run": False}

    def settle(self) -> None:
        """Finish purges that were cut short. One that fails waits for the next time: its lines are there."""
        query = Query(self._shop.lake)
        query.table("purges", *tables.PURGES)
        for row in query.rows("SELECT purge, max(_batch) AS last FROM purges GROUP BY purge"):
            if self._done(row["purge"]) < row["last"]:
                try:
                    self._finish(str(row["purge"]))
                except Exception as error:  # noqa: BLE001 - whatever Spark throws, the stream goes on
                    _log.warning("purge not finished", purge=row["purge"], kind=type(error).__name__)

    def _order(self, arguments: Mapping[str, Any]) -> Order:
        by, reason = (str(arguments.get(name) or "").strip() for name in ("by", "reason"))
        code, before, aged = (arguments.get(name) for name in ("code", "before", "aged"))
        if not by or not reason:
            raise UsageError("who purges and why must be said", fix="give --by and --reason")
        if [code, before, aged or None].count(None) != 2:
            raise UsageError("either a code or a moment says what is purged", fix="give --code or --before")
        if code is not None and code not in CODES:
            raise UsageError(
                f"records refused with {code} are kept", why="a fix or a new version of the contract may heal them",
                fix=f"one of {', '.join(CODES)}; see: caudal deadletters replay --help",
            )  # fmt: skip
        name = arguments.get("contract")
        workers = [self._batches.worker(name)] if name else list(self._batches.workers.values())
        upto: dict[str, int] = {}
        if code is None:
            self._batches.flush()
            when = None if aged else parse(str(before), self._shop.clock.now())
            upto = {w.contract.id: older(self._shop, w, when) for w in workers}
        return Order(tuple(w.contract for w in workers), code, upto, by, reason)

    def _lines(self, order: Order) -> DataFrame:
        """Runs of offsets that go: (contract, topic, partition, _batch, first, last, records, digest, code, by,
        reason)."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        raw = self._session.read.format("delta").load(self._shop.lake.spark_table(*tables.RAW))
        rows = raw.limit(0).withColumn("contract", F.lit(""))
        for one in order.contracts:
            mine = raw.where(f"topic = {text(one.topic)} AND _batch <= {order.upto.get(one.id, 0)}")
            if order.code is not None:
                letters = F.broadcast(self._letters(one, order.code))
                mine = raw.where(f"topic = {text(one.topic)}").join(letters, [*_KEY, "offset"], "left_semi")
            rows = rows.unionByName(mine.withColumn("contract", F.lit(one.id)))
        summed = F.expr("sha2(concat(coalesce(sha2(key, 256), '-'), coalesce(sha2(value, 256), '-')), 256)")
        place = F.row_number().over(Window.partitionBy(*_KEY).orderBy("offset"))
        runs = (
            rows.select("contract", *_KEY, "offset", summed.alias("_sum"))
            .withColumn("_run", F.col("offset") - place)
            .groupBy("contract", *_KEY, "_run")
        )
        sums = "transform(array_sort(collect_list(struct(offset, _sum))), r -> r._sum)"
        said = {"code": F.lit(order.code).cast("string"), "by": F.lit(order.by), "reason": F.lit(order.reason)}
        return (
            runs.agg(
                F.min("offset").alias("first"),
                F.max("offset").alias("last"),
                F.count("*").alias("records"),
                F.expr(f"sha2(array_join({sums}, ''), 256)").alias("digest"),
            )
            .drop("_run")
            .withColumns(said)
        )

    def _letters(self, contract: Contract, code: str) -> DataFrame:
        """Places of open dead letters of a code."""
        from pyspark.sql import functions as F

        place, lake = [*_KEY, "offset"], self._shop.lake
        dead = self._session.read.format("delta").load(lake.spark_table(*tables.DEAD_LETTERS))
        marks = self._session.read.format("delta").load(lake.spark_table(*tables.RESOLUTIONS))
        healed = marks.groupBy(*place).agg(F.expr("sum(IF(resolution = 'replayed', 1, -1))").alias("n")).where("n > 0")
        mine = dead.where(f"contract = {text(contract.id)} AND code = {text(code)}")
        return mine.select(*place).distinct().join(healed, place, "left_anti")

    def _named(self, lines: DataFrame, identity: str) -> DataFrame:
        from pyspark.sql import functions as F

        said = {"purge": F.lit(identity), "at": F.lit(self._shop.clock.now()).cast("timestamp")}
        return lines.withColumns(said).select(*[column.name for column in PURGES])

    def _finish(self, identity: str) -> None:
        """Delete what the lines name and raw still has. Batches go on between the pieces."""
        lake, own = self._shop.lake, self._shop.own
        query = Query(lake)
        query.table("purges", *tables.PURGES)
        mine = f"purge = {text(identity)}"
        rewrite = bool(query.one(f"SELECT count(*) FROM purges WHERE {mine} AND code IS NOT NULL"))
        while True:
            done, total, last = self._done(identity), 0, None
            for row in query.rows(
                f"SELECT _batch, sum(records) AS n FROM purges WHERE {mine} AND _batch > {done} "
                "GROUP BY _batch ORDER BY _batch LIMIT 1000"
            ):
                if last is not None and total + row["n"] > _PER_PIECE * own.catchup_records:
                    break
                total, last = total + int(row["n"]), int(row["_batch"])
            if last is None:
                return
            crashpoint("mid-purge")
            lines = self._session.read.format("delta").load(lake.spark_table(*tables.PURGES))
            piece = lines.where(f"{mine} AND _batch > {done} AND _batch <= {last}")
            with self._batches.lock:
                within = f"t._batch > {done} AND t._batch <= {last}"
                delete_ranges(
                    self._session,
                    piece,
                    lake.spark_table(*tables.RAW),
                    within,
                    Txn(purged.app(identity), last),
                    rewrite,
                )

    def _done(self, identity: str) -> int:
        lake = self._shop.lake
        return purged.done(DeltaTable(lake.table(*tables.RAW), storage_options=lake.storage_options or None), identity)


def _written(lake: Lake, identity: str) -> bool:
    query = Query(lake)
    query.table("purges", *tables.PURGES)
    return bool(query.one(f"SELECT count(*) FROM purges WHERE purge = {text(identity)}"))


def _summed(lines: DataFrame) -> dict[str, Any]:
    """What a report says of the lines: a row for each contract."""
    from pyspark.sql import functions as F

    rows: Iterable[Any] = (
        lines.groupBy("contract")
        .agg(
            F.sum("records").alias("records"),
            F.min("_batch").alias("first_batch"),
            F.max("_batch").alias("last_batch"),
            F.count("*").alias("ranges"),
        )
        .orderBy("contract")
        .limit(10_000)
        .collect()
    )  # fmt: skip
    found = [row.asDict() for row in rows]
    return {"contracts": found, "records": sum(row["records"] for row in found)}
