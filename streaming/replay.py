"""Dead letters decided again, from raw, by the code that refused them: with fixes, or under a contract that changed.

What is fine now goes to silver in one commit, whose line of the ledger reads nothing and takes as many dead letters
back; then resolutions name the records. A kill in between is made good when the table is opened again, since the commit
says what was replayed. What is still refused stays as it is: its letter is open already.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from caudal.clock import Clock
from caudal.fault import crashpoint
from caudal.lake import Lake
from caudal.query import text
from schemas.contract import Contract
from schemas.tables import RESOLUTIONS as RESOLUTION_COLUMNS
from streaming import fixes as changes
from streaming import slices, tables
from streaming.commit import Txn, append
from streaming.decode import body, decoded, wrapped
from streaming.facts import Facts, Replayed, SilverCommit, replayed
from streaming.fixes import Fix
from streaming.held import held
from streaming.measure import Judged, judge, look
from streaming.settings import StreamingSettings
from streaming.slices import Target
from streaming.writers import Resolved

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

PLACE = ("topic", "partition", "offset", "_batch")
_DECIDED = "_state IN ('applied', 'duplicate', 'superseded')"
# A report names kinds of outcome; more of them would not help anybody.
_KINDS = 200


@dataclass
class Report:
    """What a replay did or would do: letters looked at, and how many of each kind ended how."""

    letters: int = 0
    applied: int = 0
    duplicate: int = 0
    superseded: int = 0
    refused: int = 0
    kinds: list[dict[str, Any]] = field(default_factory=list)

    def add(self, judged: Judged, kinds: list[dict[str, Any]]) -> None:
        """Count one piece in."""
        states = judged.states
        self.applied += states.get("applied", 0)
        self.duplicate += states.get("duplicate", 0)
        self.superseded += states.get("superseded", 0)
        seen: Counter[tuple[Any, ...]] = Counter()
        for kind in (*self.kinds, *kinds):
            seen[kind["code"], kind["path"], kind["becomes"], kind["at"]] += kind["records"]
        self.letters = sum(seen.values())
        self.refused = self.letters - self.applied - self.duplicate - self.superseded
        self.kinds = [
            {"code": code, "path": path, "becomes": becomes, "at": at, "records": n}
            for (code, path, becomes, at), n in seen.most_common()
        ]

    def plain(self) -> dict[str, Any]:
        """The report as JSON."""
        return dict(vars(self))


def condition(contract: str, where: Mapping[str, str]) -> Column:
    """True for dead letters of the contract, of this code, path, coordinates, from a time on.

    Personal values in clear are never replayed: their raw records wait for a purge.
    """
    from pyspark.sql import functions as F

    found = (F.col("contract") == contract) & (F.col("code") != "CDL-PLAINTEXT")
    for name in ("code", "path"):
        if name in where:
            found &= F.col(name) == where[name]
    if "since" in where:
        found &= F.col("at") >= F.lit(where["since"]).cast("timestamp")
    if "at" in where:
        topic, partition, offset = where["at"].rsplit(":", 2)
        found &= (F.col("topic") == topic) & (F.col("partition") == int(partition)) & (F.col("offset") == int(offset))
    return found


def letters(session: SparkSession, lake: Lake, contract: str, where: Mapping[str, str]) -> DataFrame:
    """Letters (coordinates, code, path, schema id), one for each record, resolved or not."""
    from pyspark.sql import functions as F

    dead = session.read.format("delta").load(lake.spark_table(*tables.DEAD_LETTERS)).where(condition(contract, where))
    return dead.groupBy(*PLACE).agg(*[F.min(name).alias(name) for name in ("code", "path", "schema_id")])


def open_letters(session: SparkSession, lake: Lake, contract: str, where: Mapping[str, str]) -> DataFrame:
    """Letters that nothing has resolved."""
    from pyspark.sql import functions as F

    marks = session.read.format("delta").load(lake.spark_table(*tables.RESOLUTIONS))
    count = F.expr("sum(IF(resolution = 'replayed', 1, -1))").alias("n")
    resolved = marks.groupBy(*PLACE).agg(count).where("n > 0").drop("n")
    return letters(session, lake, contract, where).join(resolved, list(PLACE), "left_anti")


def judged_letters(
    target: Target,
    lake: Lake,
    contract: Contract,
    verdicts: Mapping[int, Resolved],
    letters: DataFrame,
    order: Replayed,
    own: StreamingSettings,
    erased: DataFrame | None,
    steps: ExitStack,
) -> DataFrame:
    """The letters' raw records after fixes, checked and classified against silver as it stands.

    What is computed on the way is kept until `steps` is closed.
    """
    from pyspark.sql import functions as F

    raw = target.session.read.format("delta").load(lake.spark_table(*tables.RAW))
    mine = raw.where(f"topic = {text(contract.topic)} AND _batch >= {order.first} AND _batch <= {order.last}")
    rows = mine.join(F.broadcast(letters.select(*PLACE)), list(PLACE), "left_semi")
    found = changes.parsed(list(order.fixes))
    changes.check(found, contract)
    rows, decides = _decoded(target.session, rows, contract, verdicts, found, steps)
    fine = slices.judgeable(rows, contract, decides, own, erased)
    return steps.enter_context(slices.classified(fine, contract, target, look(fine, contract))).rows


def run(
    target: Target, contract: Contract, judged_rows: DataFrame, letters: DataFrame, order: Replayed, covered: int,
) -> tuple[Judged, list[dict[str, Any]], SilverCommit, bool]:  # fmt: skip
    """Bring what is fine now to silver, unless the table has it already; says whether a commit was made."""
    judged, kinds = told(judged_rows, letters)
    states = judged.states
    decided = sum(states.get(name, 0) for name in ("applied", "duplicate", "superseded"))
    facts = Facts(
        batch=order.last,
        contract=contract.id,
        applied=states.get("applied", 0),
        duplicate=states.get("duplicate", 0),
        superseded=states.get("superseded", 0),
        dead_letter=-decided,
        late=judged.late,
        suppressed=judged.suppressed,
    )
    facts.balance()
    commit = SilverCommit(contract.id, covered, (facts,), replay=order)
    done = target.table.transaction(target.silver.app)
    written = decided > 0 and (done is None or done < target.silver.version)
    if written:
        slices.prepared(judged_rows, contract, target, judged, commit.text())()
    crashpoint("mid-replay")
    return judged, kinds, commit, written


def told(judged_rows: DataFrame, letters: DataFrame) -> tuple[Judged, list[dict[str, Any]]]:
    """Counts by state, and by what a letter was and became."""
    from pyspark.sql import functions as F

    named = letters.select(
        F.col("topic").alias("_topic"), F.col("partition").alias("_partition"), F.col("offset").alias("_offset"),
        "_batch", F.col("code").alias("was"), F.col("path").alias("was_at"),
    )  # fmt: skip
    conflict = F.col("_state") == "conflict"
    kinds = (
        judged_rows.join(F.broadcast(named), ["_topic", "_partition", "_offset", "_batch"])
        .select(
            "was",
            "was_at",
            F.when(conflict, F.lit("CDL-CONFLICT")).otherwise(F.coalesce("_state", "_code")).alias("becomes"),
            F.when(conflict | F.col("_state").isNull(), F.col("_path")).alias("at"),
        )
        .groupBy("was", "was_at", "becomes", "at")
        .count()
        .limit(_KINDS)
        .collect()
    )
    return judge(judged_rows), [
        {"code": k["was"], "path": k["was_at"], "becomes": k["becomes"], "at": k["at"], "records": k["count"]}
        for k in kinds
    ]  # fmt: skip


def resolve(judged_rows: DataFrame, path: str, txn: Txn, order: Replayed, clock: Clock) -> None:
    """Name the records that are decided now."""
    from pyspark.sql import functions as F

    places = judged_rows.where(_DECIDED).select(
        F.col("_topic").alias("topic"),
        F.col("_partition").alias("partition"),
        F.col("_offset").alias("offset"),
        "_batch",
    )
    _mark(places, "replayed", path, txn, order, clock)


def reopen(session: SparkSession, path: str, txn: Txn, order: Replayed, clock: Clock) -> None:
    """Open letters again whose replay a RESTORE of silver has undone."""
    marks = session.read.format("delta").load(path)
    mine = marks.where(f"replay = {text(order.id)} AND resolution = 'replayed'")
    places = mine.where(f"_batch >= {order.first} AND _batch <= {order.last}").select(*PLACE).distinct()
    _mark(places, "reopened", path, txn, order, clock)


def _mark(places: DataFrame, resolution: str, path: str, txn: Txn, order: Replayed, clock: Clock) -> None:
    from pyspark.sql import functions as F

    asked = json.dumps(vars(order), separators=(",", ":"), sort_keys=True)
    said = {"resolution": F.lit(resolution), "at": F.lit(clock.now()).cast("timestamp"), "by": F.lit(order.by)}
    frame = places.withColumns({**said, "replay": F.lit(order.id), "asked": F.lit(asked)})
    append(frame.select(*[column.name for column in RESOLUTION_COLUMNS]).coalesce(1), path, txn)


def _decoded(
    session: SparkSession,
    rows: DataFrame,
    contract: Contract,
    verdicts: Mapping[int, Resolved],
    fixes: tuple[Fix, ...],
    steps: ExitStack,
) -> tuple[DataFrame, dict[int, Resolved]]:
    """Rows with `_decoded` after fixes. With them, a writer that the contract cannot read is read by its own schema."""
    from pyspark.sql import functions as F
    from pyspark.sql.avro.functions import from_avro
    from pyspark.sql.types import StructType

    writers = [r.writer for r in verdicts.values() if r.verdict == "decodes" and r.writer is not None]
    read = rows.withColumn("_decoded", decoded(contract, writers))
    if not fixes:
        return read, dict(verdicts)

    def step(frame: DataFrame) -> DataFrame:
        # Computed step by step: put into each other, the expressions would grow with every field and every fix.
        return steps.enter_context(held(frame))

    read = step(read)
    record = _record_type(read)
    decides = dict(verdicts)
    for schema_id, found in verdicts.items():
        if found.verdict != "incompatible" or found.writer is None:
            continue
        own = from_avro(body(), wrapped(found.writer.text), {"mode": "PERMISSIVE"})
        read = step(read.withColumn("_own", own))
        kind = read.schema["_own"].dataType["record"].dataType
        if isinstance(kind, StructType):
            now = F.struct(
                changes.conformed(F.col("_own.record"), kind, record, fixes).alias("record"),
                F.col("_own.sentinel").alias("sentinel"),
            )
            mine = F.when(F.col("schema_id") == schema_id, now).otherwise(F.col("_decoded"))
            read = step(read.withColumn("_decoded", mine))
            decides[schema_id] = Resolved("decodes", found.writer)
        read = read.drop("_own")
    for fix in fixes:
        read = step(changes.applied(session, read, record, fix))
    return read, decides


def from_text(asked: str) -> Replayed:
    """The order of a resolution."""
    return replayed(json.loads(asked))


def _record_type(rows: DataFrame) -> Any:
    return rows.schema["_decoded"].dataType["record"].dataType
