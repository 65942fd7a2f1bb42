"""Raw loses records only by an audited purge, and tables what their contracts no longer keep; verify counts both."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as parquet
import pytest
from deltalake import DeltaTable

from caudal import fault
from caudal.errors import UsageError
from caudal.settings import Settings
from serving.api.gold import Reader
from serving.dashboard.figures import Figures
from streaming import asked
from streaming.errors import Purged
from streaming.letters import Wanted, listed
from streaming.letters import groups as groups_of
from streaming.purge import Purging
from streaming.retain import Retaining
from tests.support.change_contracts import WHOLE, change_contracts
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
PAY = "payments.transaction"
SECRET = "52998224725"
WHO: dict[str, Any] = {"by": "ana", "reason": "INC-7"}
DAY_MS = 24 * 3_600_000
LATER = NOON + 731 * DAY_MS


class Killed(BaseException):
    """The process died here."""


def pay(bench: Bench, n: int, at: int = NOON, **fields: Any) -> Message:
    contract = bench.released[PAY].contract
    times = {contract.event_time: at, "observed_at": at}
    return bench.message(PAY, record(contract, event_id=f"e{n}", tenant_id="t", **times, **fields))


def plain(bench: Bench, n: int) -> Message:
    """A record that carries a person's number where a mask belongs."""
    return pay(bench, n, customer_cpf={"mask": SECRET, "token": b"x"})


def change(bench: Bench, key: str, n: int, at: int = NOON) -> Message:
    fields = {"event_id": f"c{n}", "tenant_id": "t", "thing_id": key, "happened_at": at + n, "a": str(n), "b": None}
    return bench.message(
        WHOLE, record(bench.released[WHOLE].contract, **fields, _op="u", _sequence=at + n, observed_at=at)
    )


def raw_places(bench: Bench, topic: str = PAY) -> list[int]:
    return [r["offset"] for r in bench.rows("raw", "events", 'topic, "offset"', '"offset"') if r["topic"] == topic]


def stored(bench: Bench) -> bytes:
    """All values in raw's present files, deleted rows of these files included."""
    table = DeltaTable(bench.lake.table("raw", "events"))
    found = [value for uri in table.file_uris() for value in parquet.read_table(uri)["value"].to_pylist()]
    return b"".join(value or b"" for value in found)


def commands(bench: Bench) -> tuple[Purging, Retaining]:
    purging = Purging(bench.batches.shop, bench.batches)
    return purging, Retaining(bench.batches.shop, bench.batches, purging)


def test_plaintext_is_purged_and_audited(
    spark: SparkSession, offline_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By code: who and why are required, a trial run deletes nothing, a death between audit and deletion is made good;
    the bytes leave raw's files; a record that goes without an audit, or comes back, is found."""
    bench = Bench(spark, offline_settings, [released()[PAY]])
    bench.batch([pay(bench, 0), plain(bench, 1), plain(bench, 2), Message(PAY, b"k", b"no"), plain(bench, 3)])
    bench.batch([plain(bench, 4), pay(bench, 5)])
    assert SECRET.encode() in stored(bench)
    purging, _ = commands(bench)
    asked = {"contract": PAY, "code": "CDL-PLAINTEXT", **WHO}
    wrong: list[dict[str, Any]] = [
        {**asked, "reason": " "}, {**asked, "by": None}, {**asked, "before": "P9Y"}, {**WHO, "contract": PAY},
        {**asked, "code": "CDL-RULE-AMOUNT"}, {**WHO, "before": "P1D"},
    ]  # fmt: skip
    for one in wrong:
        with pytest.raises(UsageError):
            purging.run("wrong", one)
    trial = purging.run("trial", {**asked, "dry_run": True})
    assert (trial["records"], trial["contracts"][0]["ranges"], raw_places(bench)) == (4, 3, list(range(7)))

    def die(point: str) -> None:
        raise Killed(point)

    monkeypatch.setattr("streaming.purge.crashpoint", die)
    with pytest.raises(Killed, match="mid-purge"):
        purging.run("one", asked)
    monkeypatch.setattr("streaming.purge.crashpoint", fault.crashpoint)
    assert (raw_places(bench), bench.findings()) == (list(range(7)), [])
    bench.restart()
    purging, _ = commands(bench)
    purging.settle()
    assert (raw_places(bench), bench.findings()) == ([0, 3, 6], [])
    assert SECRET.encode() not in stored(bench)
    before = DeltaTable(bench.lake.table("raw", "events")).version()
    assert purging.run("one", asked)["records"] == 4
    assert purging.run("two", asked)["records"] == 0
    lines = bench.rows("ops", "purges", order='"first"')
    assert [(r["first"], r["last"], r["records"], r["by"], r["reason"]) for r in lines] == [
        (1, 2, 2, "ana", "INC-7"), (4, 4, 1, "ana", "INC-7"), (5, 5, 1, "ana", "INC-7"),
    ]  # fmt: skip
    # What nothing can heal any more does not wait to be healed.
    groups = {group["code"]: (group["open"], group["resolved"]) for group in groups_of(bench.lake, Wanted())}
    assert groups == {"CDL-PLAINTEXT": (0, 4), "CDL-MAGIC": (1, 0)}
    assert {r["resolution"] for r in listed(bench.lake, Wanted(code="CDL-PLAINTEXT"), 9)} == {"purged"}
    shown = Figures(bench.lake, Reader(bench.lake, groups=("live", "full"), open_tables=4)).dead_letters()
    assert shown is not None
    assert [(group["code"], group["records"]) for group in shown] == [("CDL-MAGIC", 1)]
    message = plain(bench, 4)
    assert message.key is not None
    assert message.value is not None
    whole = "".join(hashlib.sha256(part).hexdigest() for part in (message.key, message.value))
    assert lines[2]["digest"] == hashlib.sha256(hashlib.sha256(whole.encode()).hexdigest().encode()).hexdigest()

    path = bench.lake.spark_table("raw", "events")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE topic = '{PAY}' AND offset = 0")
    assert any("in the ledger" in finding for finding in bench.findings())
    spark.sql(f"RESTORE delta.`{path}` TO VERSION AS OF 2")
    assert any("in raw again" in finding for finding in bench.findings())
    spark.sql(f"RESTORE delta.`{path}` TO VERSION AS OF {before}")
    assert bench.findings() == []


def test_what_contracts_do_not_keep_goes(spark: SparkSession, offline_settings: Settings, tmp_path: Path) -> None:
    """By age: rows leave silver and history, counted; then raw; what came later stays, and the table made anew from
    what raw still has is the same."""
    bench = Bench(spark, offline_settings, [released()[PAY], change_contracts(tmp_path)[0]])
    bench.batch([pay(bench, 0), pay(bench, 1), change(bench, "k", 1), change(bench, "l", 2)])
    bench.batch([pay(bench, 1), pay(bench, 2), change(bench, "k", 3)])
    _, retaining = commands(bench)
    assert [one["rows"] for one in retaining.run("young", {})["tables"]] == [0, 0]
    bench.clock.advance(LATER - NOON)
    bench.kafka_ms = LATER
    new = [pay(bench, 3, LATER), pay(bench, 0, LATER), change(bench, "k", 4, LATER)]
    bench.batch(new)

    def content() -> list[list[dict[str, Any]]]:
        pay, whole = bench.released[PAY].contract, bench.released[WHOLE].contract
        rows = [bench.rows("silver", t, order='"_offset"') for t in (pay.table, whole.table, whole.history_table)]
        return [[{name: r[name] for name in r if name != "_version"} for r in found] for found in rows]

    def counts() -> list[dict[str, int]]:
        return [bench.ledger(name) for name in (PAY, WHOLE)]

    trial = retaining.run("trial", {"dry_run": True, "raw": True})
    removed = [(one["rows"], one["versions"]) for one in trial["tables"]]
    assert removed == [(3, 0), (1, 2)]
    assert (trial["raw"]["records"], bench.findings()) == (7, [])
    done = retaining.run("silver", {"contract": None})
    bench.batches.flush()
    assert [(one["rows"], one["versions"]) for one in done["tables"]] == removed
    assert [len(rows) for rows in content()] == [2, 1, 2]
    assert [count["expired"] for count in counts()] == [3, 1]
    assert done["raw"]["records"] == 7
    assert bench.findings() == []
    assert [len(raw_places(bench, name)) for name in (PAY, WHOLE)] == [2, 1]
    live, ledger = content(), counts()
    again = retaining.run("again", {"raw": True})
    assert ([one["rows"] for one in again["tables"]], again["raw"]["records"]) == ([0, 0], 0)

    # What is left of raw gives the same tables.
    assert [one["differ"] for one in asked.compare(bench.batches, "deep", {"contract": WHOLE})] == [0]
    bench.restart()
    done = asked.rebuild(bench.batches, "anew", {"contract": PAY})
    assert (done["from_batch"], set(done["changes"].values())) == (3, {0})
    bench.batches.flush()
    assert (content(), counts()) == (live, ledger)
    with pytest.raises(Purged):
        asked.rebuild(bench.batches, "older", {"contract": WHOLE, "from": "2"})
    bench.batch(new)
    assert bench.findings() == []
    assert [len(rows) for rows in content()] == [2, 1, 2]
