"""Looking and beginning at a later raw batch, and going back to an older version: the same findings, the same table."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deltalake import DeltaTable

from caudal import fault
from caudal.errors import UsageError
from caudal.settings import Settings
from schemas.distribution import Released
from streaming import asked
from streaming.errors import VersionGone
from streaming.letters import Wanted, groups
from streaming.recount import Recount
from streaming.restore import Restoring
from tests.support.change_contracts import WHOLE, change_contracts
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
PAY = "payments.transaction"


class Killed(BaseException):
    """The process died here."""


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Released]]:
    """Four batches, a minute apart, of an append and a change contract with history; made once, then copied: the data
    folder and its contracts."""
    folder = tmp_path_factory.mktemp("versions")
    mine = [released()[PAY], change_contracts(folder)[0]]
    bench = Bench(spark, Settings(data_dir=folder / "data", contracts_dir=folder), mine)
    for n in range(1, 5):
        bench.kafka_ms = NOON + n * 60_000
        bench.batch(batch_of(bench, n))
    return folder / "data", mine


@pytest.fixture
def bench(spark: SparkSession, offline_settings: Settings, built: tuple[Path, list[Released]]) -> Bench:
    """A lake of this test alone."""
    shutil.copytree(built[0], offline_settings.data_dir, dirs_exist_ok=True)
    found = Bench(spark, offline_settings, built[1])
    found.clock.advance(5 * 60_000)
    return found


def batch_of(bench: Bench, n: int) -> list[Message]:
    """Payments in each one, changes in every other one."""
    pay = [
        bench.message(PAY, record(bench.released[PAY].contract, event_id=f"e{i}", tenant_id="t")) for i in (n, n - 1)
    ]
    return [
        *pay,
        Message(PAY, b"k", b"not ours"),
        *[change(bench, f"{name}{n}", sequence, str(n)) for name, sequence in (("c", n), ("late", -n)) if n % 2],
    ]


def change(bench: Bench, event_id: str, sequence: int, a: str) -> Message:
    fields = {
        "event_id": event_id,
        "tenant_id": "t",
        "thing_id": "k",
        "happened_at": NOON + sequence,
        "a": a,
        "b": None,
    }
    return bench.message(WHOLE, record(bench.released[WHOLE].contract, **fields, _op="u", _sequence=sequence))


def content(bench: Bench, name: str, history: bool = False) -> list[dict[str, Any]]:
    contract = bench.released[name].contract
    rows = bench.rows("silver", contract.history_table if history else contract.table, order='"_batch", "_offset"')
    return [{name: row[name] for name in row if name != "_version"} for row in rows]


def all_of(bench: Bench) -> list[list[dict[str, Any]]]:
    return [content(bench, PAY), content(bench, WHOLE), content(bench, WHOLE, history=True)]


def counted(bench: Bench) -> list[dict[str, int]]:
    """The ledgers. Which of a key's records were applied in between depends on where slices end, their sum does not."""
    pay, whole = bench.ledger(PAY), bench.ledger(WHOLE)
    whole["applied"] = whole.get("applied", 0) + whole.pop("superseded", 0)
    return [pay, whole]


def open_letters(bench: Bench) -> int:
    return sum(group["open"] for group in groups(bench.lake, Wanted(contract=PAY)))


def seen(bench: Bench, since: int) -> Recount:
    return Recount(bench.lake, [one.contract for one in bench.released.values()], since)


def test_looking_and_beginning_later(spark: SparkSession, bench: Bench) -> None:
    """`verify --since` finds what came since and counts no more than that; `rebuild --from` gives the live table; a
    version that was cleaned up is refused."""
    live, counts = all_of(bench), counted(bench)

    for text, first in (("2", 2), ("PT2M", 3), ("2026-01-05T12:03:00Z", 3), ("2026-01-05T12:02:30", 3), ("99", 5)):
        assert bench.batches.first_batch(text) == first, text
    with pytest.raises(UsageError):
        bench.batches.first_batch("yesterday")

    whole, part = seen(bench, 0), seen(bench, 3)
    found = [whole.conservation(), part.conservation()]
    assert [f.findings for f in found] == [[], []]
    assert found[1].examined < found[0].examined
    assert [one.after for one in part.pinned] == [2, 1]
    assert sum(line.read for one in part.pinned for line in one.lines) == 8
    assert part.idempotence().findings == []

    # A record that is lost is found since then, and not by who looks from a later batch on.
    path = bench.lake.spark_table("raw", "events")
    before = DeltaTable(path).version()
    spark.sql(f"DELETE FROM delta.`{path}` WHERE _batch = 3 AND topic = '{PAY}' AND offset = 7")
    assert any("2 records in raw, 3 in the ledger" in finding for finding in seen(bench, 3).conservation().findings)
    assert seen(bench, 4).conservation().findings == []
    spark.sql(f"RESTORE delta.`{path}` TO VERSION AS OF {before}")
    silver = bench.lake.spark_table("silver", bench.released[PAY].contract.table)
    spark.sql(f"DELETE FROM delta.`{silver}` WHERE event_id = 'e3'")
    spark.sql(f"INSERT INTO delta.`{silver}` SELECT * FROM delta.`{silver}` WHERE event_id = 'e4'")
    assert seen(bench, 3).conservation().findings != []
    assert any("more than once" in finding for finding in seen(bench, 4).idempotence().findings)
    assert seen(bench, 5).conservation().findings == []

    # The live table has lost a row of batch 3 and has one twice: made anew from there on it is as it was.
    bench.restart()
    different = asked.compare(bench.batches, "deep", {"since": "4"})
    assert [(one["contract"], one["from_batch"], one["differ"]) for one in different] == [(PAY, 4, 2)]
    for number, name in enumerate((PAY, WHOLE)):
        done = asked.rebuild(bench.batches, f"from-{number}", {"contract": name, "from": "2"})
        assert (done["from_batch"], sum(done["changes"].values())) == (2, 0), name
        assert (
            asked.rebuild(bench.batches, f"from-{number}", {"contract": name, "from": "2"})["version"]
            == done["version"]
        )
    bench.batches.flush()
    assert all_of(bench) == live
    assert counted(bench) == counts
    assert bench.findings() == []

    # Files of the old version are gone, as after a vacuum: refused, with the way out, and nothing has changed.
    live_files = {Path(uri).name for uri in DeltaTable(silver).file_uris()}
    for file in Path(silver).glob("**/*.parquet"):
        if file.parent.name != "_delta_log" and file.name not in live_files:
            file.unlink()
    with pytest.raises(VersionGone) as gone:
        asked.rebuild(bench.batches, "late", {"contract": PAY, "from": "2"})
    assert "caudal rebuild silver payments.transaction" in gone.value.fix
    assert all_of(bench) == live
    log = Path(silver, "_delta_log")
    DeltaTable(silver).create_checkpoint()
    for commit in log.glob("*.json"):
        if int(commit.stem) < 4:
            commit.unlink()
    with pytest.raises(VersionGone):
        asked.rebuild(bench.batches, "later", {"contract": PAY, "from": "2"})
    bench.batch(batch_of(bench, 5))
    assert bench.findings() == []


def test_a_restore_is_caught_up_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner puts a table back and brings it on from raw: same rows, same counts; a death after the RESTORE and a
    command that comes twice change nothing; healing that was undone is open again; what cannot be is refused."""
    restoring = Restoring(bench.batches.shop, bench.batches)
    fixed = bench.message(PAY, record(bench.released[PAY].contract, event_id="bad", tenant_id="t", amount=Decimal(-1)))
    bench.batch([fixed])
    order = {"contract": PAY, "by": "ops", "fixes": [{"set": "amount", "value": "1.00"}]}
    live, counts = all_of(bench), counted(bench)
    assert asked.replay(bench.batches, "heal", order)["applied"] == 1
    bench.batches.flush()
    assert open_letters(bench) == 4
    # Healed since then: of this contract everything is counted.
    since = seen(bench, 5)
    assert ([one.after for one in since.pinned], since.conservation().findings) == ([0, 3], [])

    def die(point: str) -> None:
        raise Killed(point)

    monkeypatch.setattr("streaming.restore.crashpoint", die)
    with pytest.raises(Killed, match="mid-restore"):
        restoring.run("one", {"contract": PAY, "to": "2", "by": "ops"})
    monkeypatch.setattr("streaming.restore.crashpoint", fault.crashpoint)
    bench.restart()
    restoring = Restoring(bench.batches.shop, bench.batches)
    done = restoring.run("one", {"contract": PAY, "to": "2", "by": "ops"})
    assert (done["restored"], done["undone"], done["batch"]) == (2, 4, 5)
    assert open_letters(bench) == 5
    version = done["version"]
    assert restoring.run("one", {"contract": PAY, "to": "2", "by": "ops"})["version"] == version
    back = restoring.run("more", {"contract": WHOLE, "to": "1"})
    assert (back["restored"], back["undone"], back["batch"]) == (1, 1, 5)
    assert all_of(bench) == live
    assert counted(bench) == counts
    assert bench.findings() == []

    # Undone versions, the newest one, a moment before the log, and healing with a history behind it.
    with pytest.raises(UsageError, match="undone by a restore"):
        restoring.run("two", {"contract": PAY, "to": "3"})
    with pytest.raises(UsageError, match="nothing to undo"):
        restoring.run("three", {"contract": PAY, "to": str(version)})
    with pytest.raises(VersionGone):
        restoring.run("four", {"contract": PAY, "to": "2020-01-01"})
    bench.batch([change(bench, "refused", 5, "bad")])
    before = bench.batches.workers[WHOLE].version
    heal = {"contract": WHOLE, "by": "ops", "fixes": [{"set": "a", "value": "good"}]}
    assert asked.replay(bench.batches, "whole", heal)["applied"] == 1
    with pytest.raises(UsageError, match="healed dead letters"):
        restoring.run("five", {"contract": WHOLE, "to": str(before)})
    bench.batch(batch_of(bench, 7))
    assert bench.findings() == []
