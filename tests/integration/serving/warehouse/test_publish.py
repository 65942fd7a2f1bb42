from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from pyarrow import parquet
from pydantic import SecretStr

from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import LakeSettings, Settings
from serving.warehouse import app
from serving.warehouse.errors import Away, Unfit, Unreconciled, WarehouseError
from serving.warehouse.plan import Declared
from serving.warehouse.publish import publish
from serving.warehouse.settings import WarehouseSettings
from tests.support.deletion_vector import delete_by_vector
from tests.support.servers import S3Access
from tests.support.warehouse import CUSTOMERS, DECLARED, ORDERS, Gold, Login, database, order, rows
from tests.support.warehouse import settings as with_url

ALL = "SELECT * FROM gold.fct_orders"


def held(gold: Gold) -> list[tuple[Any, ...]]:
    """What the lake's newest version holds, as PostgreSQL's rows are."""
    found = pa.table(gold.table("fct_orders").scan().read_all()).to_pylist()
    return sorted((tuple(row.values()) for row in found), key=repr)


def test_every_type_arrives_exactly(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """Money to the last digit, times to the microsecond, empty text and null apart, whatever characters there are."""
    schema = pa.schema(
        [
            ("tenant_id", pa.string()), ("money", pa.decimal128(38, 18)), ("big", pa.int64()), ("small", pa.int32()),
            ("share", pa.float64()), ("yes", pa.bool_()), ("day", pa.date32()), ("at", pa.timestamp("us", "UTC")),
            ("words", pa.list_(pa.string())), ("text", pa.string()), ("bytes", pa.binary()),
        ]
    )  # fmt: skip
    values = {
        "tenant_id": "t1", "money": Decimal("12345678901234567890.000000000000000001"), "big": -(2**63), "small": 7,
        "share": 0.1 + 0.2, "yes": True, "day": dt.date(1, 1, 1),
        "at": dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC), "words": ["", 'a"b\\', "NULL", None, "{,}"],
        "text": "\\.\n\t\r\\N'\";--é", "bytes": b"x",
    }  # fmt: skip
    gold.write("fct_types", schema, [values, {"tenant_id": "t2", "text": ""}])
    gold.publish("fct_types")
    app.once(settings, {"fct_types": Declared("fct_types", ("tenant_id",))})
    names = [name for name in schema.names if name != "bytes"]
    listed = ", ".join(f'"{name}"' for name in names)
    [full, empty] = rows(publisher, f"SELECT {listed} FROM gold.fct_types ORDER BY tenant_id")
    assert full == tuple(values[name] for name in names)
    assert empty == ("t2", *[None] * (len(names) - 2), "")


def test_only_what_changed_is_written(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """New, changed and deleted rows, and no others, though files were written anew and compacted in between."""
    gold.write("fct_orders", ORDERS, [order("a", n) for n in range(100)])
    gold.publish("fct_orders")
    assert app.once(settings, DECLARED).copied[0].how == "whole"
    gold.write("fct_orders", ORDERS, [order("b", 1, region=None), order("b", 2, region="SP")])
    gold.table("fct_orders").update(updates={"total": "2.20"}, predicate="order_id = '7'")
    gold.table("fct_orders").optimize.compact()
    gold.table("fct_orders").delete("order_id = '8'")
    gold.publish("fct_orders")
    [copied] = app.once(settings, DECLARED).copied
    assert (copied.how, copied.gone, copied.came) == ("changes", 2, 3)
    assert rows(publisher, ALL) == held(gold)
    gold.write("fct_orders", ORDERS, [order("b", 3)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    gold.table("fct_orders").optimize.compact()
    gold.publish("fct_orders")
    [copied] = app.once(settings, DECLARED).copied
    assert (copied.how, copied.gone, copied.came) == ("changes", 0, 0)


def test_a_mart_that_is_already_further(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """Batch is building the next version while this one is copied: what is not published does not count."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    gold.write("fct_orders", ORDERS, [order("a", 2)])
    gold.publish("fct_orders")
    gold.table("fct_orders").optimize.compact()
    gold.write("fct_orders", ORDERS, [order("a", 3)])
    [copied] = app.once(settings, DECLARED).copied
    assert (copied.how, copied.came) == ("changes", 1)
    assert [number for _, number, *_ in rows(publisher, ALL)] == ["1", "2"]


def test_times_as_spark_writes_them(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """Spark writes times in a form of its own, which reaches further than Arrow's reading of it by default."""
    times = [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, 1, 2, 3, 4, dt.UTC), None]
    table = pa.table(
        {"tenant_id": pa.array(["a", "b", "c"]), "at": pa.array(times, pa.timestamp("us", "UTC"))},
    )
    write_deltalake(gold.lake.table("gold", "fct_times"), table)
    [file] = Path(gold.lake.table("gold", "fct_times")).glob("*.parquet")
    before = file.stat().st_size
    parquet.write_table(table, file, use_deprecated_int96_timestamps=True)
    [log] = (file.parent / "_delta_log").glob("*.json")
    log.write_text(log.read_text().replace(f'"size":{before}', f'"size":{file.stat().st_size}'))
    gold.publish("fct_times")
    app.once(settings, {"fct_times": Declared("fct_times", ("tenant_id",))})
    found = rows(publisher, "SELECT tenant_id, at FROM gold.fct_times")
    assert found == list(zip("abc", times, strict=True))


def test_a_second_publish_does_nothing(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """The same manifest again copies nothing; a group that published again without change is as new as it says."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    first = gold.publish("fct_orders")
    app.once(settings, DECLARED)
    assert app.once(settings, DECLARED).copied == ()
    gold.publish("fct_orders")
    report = app.once(settings, DECLARED)
    assert (report.manifest, report.copied) == (first + 1, ())
    assert rows(publisher, "SELECT mart, cycle, manifest FROM caudal.published") == [("fct_orders", "c2", first + 1)]
    assert rows(publisher, "SELECT mart, age < interval '1 hour' FROM caudal.freshness") == [("fct_orders", True)]


def test_rows_taken_out_by_vectors(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """Spark deletes rows by deletion vectors: files stay, and rows in them are gone, at first and later."""
    gold.write("fct_orders", ORDERS, [order("a", n) for n in range(10)])
    delete_by_vector(gold.lake.table("gold", "fct_orders"), [0, 9])
    gold.publish("fct_orders")
    assert app.once(settings, DECLARED).copied[0].rows == 8
    delete_by_vector(gold.lake.table("gold", "fct_orders"), [0, 4, 9])
    gold.publish("fct_orders")
    [copied] = app.once(settings, DECLARED).copied
    assert (copied.how, copied.gone, copied.came, copied.rows) == ("changes", 1, 0, 7)
    assert rows(publisher, ALL) == held(gold)
    assert [o[1] for o in rows(publisher, ALL)] == ["1", "2", "3", "5", "6", "7", "8"]


STEP = strategies.one_of(
    strategies.tuples(strategies.just("put"), strategies.integers(0, 9), strategies.sampled_from(["1.10", "2.20"])),
    strategies.tuples(strategies.just("delete"), strategies.integers(0, 9), strategies.just("")),
    strategies.tuples(
        strategies.sampled_from(["optimize", "publish", "rewrite"]), strategies.just(0), strategies.just("")
    ),
)


@hypothesis_settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.lists(STEP, max_size=10))
def test_any_history_ends_equal(
    settings: Settings, gold: Gold, publisher: psycopg.Connection, steps: list[tuple[str, int, str]]
) -> None:
    """Whatever was put, deleted, written anew and published in whichever order, PostgreSQL holds what the lake does."""
    gold.write("fct_orders", ORDERS, [order("a", 0)], mode="overwrite")
    for what, number, total in [*steps, ("publish", 0, "")]:
        table = gold.table("fct_orders")
        match what:
            case "put":
                region = "SP" if number % 2 else None
                table.delete(f"order_id = '{number}'")
                gold.write("fct_orders", ORDERS, [order("a", number, total, region=region)])
            case "delete":
                table.delete(f"order_id = '{number}'")
            case "optimize":
                table.optimize.compact()
            case "rewrite":
                found = pa.table(table.scan().read_all()).to_pylist()
                gold.write("fct_orders", ORDERS, found, mode="overwrite")
            case _:
                gold.publish("fct_orders")
                app.once(settings, DECLARED)
                assert rows(publisher, ALL) == held(gold)


def test_all_marts_of_a_publish_change_at_once(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """Readers that hammer during publishes, whole ones and small ones, never see two versions in one answer."""
    others = {**DECLARED, "fct_twins": Declared("fct_twins", ("tenant_id", "order_id", "region"))}

    def version(number: int) -> None:
        for mart in ("fct_orders", "fct_twins"):
            gold.write(mart, ORDERS, [order("a", n, f"{number}.00") for n in range(20)], mode="overwrite")
        gold.publish("fct_orders", "fct_twins")
        app.once(settings, others, whole=number % 3 == 0)

    version(1)
    seen: set[tuple[Any, ...]] = set()
    done = threading.Event()

    def hammer() -> None:
        with psycopg.connect(publisher.info.dsn, password=publisher.info.password, autocommit=True) as link:
            while not done.is_set():
                seen.update(
                    rows(
                        link,
                        "SELECT 'both', count(*), min(o.total), max(t.total) "
                        "FROM gold.fct_orders o JOIN gold.fct_twins t USING (tenant_id, order_id)",
                    )
                )

    readers = [threading.Thread(target=hammer) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2, 10):
        version(number)
    done.set()
    for reader in readers:
        reader.join()
    assert len(seen) > 2
    assert all(count == 20 and one == other for _, count, one, other in seen)


def test_a_wrong_copy_is_not_published_and_heals(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """A row that somebody changed in PostgreSQL is found by its sum; the mart is then copied anew by itself."""
    gold.write("fct_orders", ORDERS, [order("a", n) for n in range(5)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    publisher.execute("UPDATE gold.fct_orders SET total = total + 0.01 WHERE order_id = '3'")
    gold.write("fct_orders", ORDERS, [order("a", 5)])
    gold.publish("fct_orders")
    with pytest.raises(Unreconciled, match="sum of total") as error:
        app.once(settings, DECLARED)
    assert "1.11" not in str(error.value)
    assert len(rows(publisher, ALL)) == 5
    follower = app.Follower(settings, DECLARED, Metrics("test"))
    assert follower.turn() == 0
    assert follower.turn() == 0
    assert rows(publisher, ALL) == held(gold)


def test_a_whole_copy_where_nothing_else_will_do(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """A mart with new columns, one made anew, and one whose old files are gone are copied whole."""

    def how() -> str:
        gold.publish("fct_orders")
        [copied] = app.once(settings, DECLARED).copied
        return copied.how

    gold.write("fct_orders", ORDERS, [order("a", 1)])
    assert how() == "whole"
    wider = ORDERS.append(pa.field("note", pa.string()))
    gold.write("fct_orders", wider, [order("a", 1, note="new")], mode="overwrite")
    assert how() == "whole"
    assert rows(publisher, "SELECT note FROM gold.fct_orders") == [("new",)]
    shutil.rmtree(gold.lake.table("gold", "fct_orders"))
    for number in range(4):
        gold.write("fct_orders", wider, [order("a", number, note="again")])
    assert how() == "whole"
    gold.write("fct_orders", wider, [order("a", 9)], mode="overwrite")
    gold.table("fct_orders").vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert how() == "whole"
    assert len(rows(publisher, ALL)) == 1


def test_marts_that_left_the_manifest_are_dropped(
    settings: Settings, gold: Gold, publisher: psycopg.Connection
) -> None:
    """What gold no longer publishes, or no YAML declares, is not shown."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.write("dim_customers", CUSTOMERS, [{"tenant_id": "a", "customer_id": "1"}])
    gold.publish("fct_orders", "dim_customers")
    app.once(settings, DECLARED)
    gold.publish("fct_orders")
    report = app.once(settings, {})
    assert (report.dropped, report.undeclared) == (("dim_customers", "fct_orders"), ("fct_orders",))
    left = "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname LIKE 'gold%'"
    assert rows(publisher, left) == []


def test_a_publish_that_dies_changes_nothing(
    settings: Settings, gold: Gold, publisher: psycopg.Connection, tmp_path: Path
) -> None:
    """Killed when all was written and nothing committed: readers have the old state, and the next publish the new."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    gold.write("fct_orders", ORDERS, [order("a", 2)])
    gold.publish("fct_orders")
    where = publisher.info
    url = f"postgresql://{where.user}:secret@{where.host}:{where.port}/{where.dbname}"
    environ = {
        **os.environ,
        "CAUDAL_DATA_DIR": str(settings.data_dir),
        "CAUDAL_SERVING__WAREHOUSE__URL": url,
        "CAUDAL_CRASHPOINT": "warehouse-publish:1",
        "CAUDAL_CRASH_DIR": str(tmp_path / "crashes"),
    }
    command = [sys.executable, "-m", "caudal.cli.main", "warehouse", "publish", "-o", "json"]
    died = subprocess.run(command, env=environ, start_new_session=True, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (tmp_path / "crashes" / "warehouse-publish").exists()
    assert len(rows(publisher, ALL)) == 1
    [copied] = app.once(settings, DECLARED).copied
    assert (copied.came, len(rows(publisher, ALL))) == (1, 2)


def test_a_long_query_holds_up_only_what_must_be_replaced(
    settings: Settings, gold: Gold, publisher: psycopg.Connection, login: Login
) -> None:
    """Changes are published beside an open transaction of a tool; a whole copy waits a moment and is tried again."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    tool = login("a")
    with tool.transaction():
        assert len(rows(tool, ALL)) == 1
        gold.write("fct_orders", ORDERS, [order("a", 2)])
        gold.publish("fct_orders")
        app.once(settings, DECLARED)
        assert len(rows(tool, ALL)) == 2
        with pytest.raises(Away, match="LockNotAvailable"):
            app.once(settings, DECLARED, whole=True)
    app.once(settings, DECLARED, whole=True)
    assert len(rows(tool, ALL)) == 2


def test_one_publisher_at_a_time(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """A second one does not wait: it is told so, and tries again."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    section = settings.section("serving.warehouse", WarehouseSettings)
    with publisher.transaction():
        publish(publisher, gold.lake, DECLARED, section)
        with pytest.raises(Away, match="another process publishes"):
            app.once(settings, DECLARED)
    app.once(settings, DECLARED)


def test_a_mart_that_somebody_dropped_comes_back(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """By a whole copy, which needs nothing of what was there."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    publisher.execute("DROP TABLE gold.fct_orders")
    gold.write("fct_orders", ORDERS, [order("a", 2)])
    gold.publish("fct_orders")
    with pytest.raises(WarehouseError, match="UndefinedTable"):
        app.once(settings, DECLARED)
    app.once(settings, DECLARED, whole=True)
    assert len(rows(publisher, ALL)) == 2


def test_from_a_bucket(settings: Settings, publisher: psycopg.Connection, s3: S3Access, tmp_path: Path) -> None:
    """A lake on S3 is read the same way, by whole copies and by changes."""
    lake = LakeSettings(
        uri=f"s3://{s3.bucket}/{tmp_path.name}",
        s3_endpoint=s3.endpoint,
        s3_region=s3.region,
        s3_access_key=SecretStr(s3.access_key),
        s3_secret_key=SecretStr(s3.secret_key),
    )
    there = settings.with_(lake=lake)
    gold = Gold(Lake.open(there))
    for number, how in ((1, "whole"), (2, "changes")):
        gold.write("fct_orders", ORDERS, [order("a", number)])
        gold.publish("fct_orders")
        [copied] = app.once(there, DECLARED).copied
        assert (copied.how, copied.rows) == (how, number)
    assert rows(publisher, ALL) == held(gold)


def test_what_hangs_on_a_mart_is_not_torn_off(settings: Settings, gold: Gold, publisher: psycopg.Connection) -> None:
    """A view that somebody made keeps a mart from being replaced: an error with a code, and the old state stays."""
    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    app.once(settings, DECLARED)
    publisher.execute("CREATE VIEW gold.mine AS SELECT total FROM gold.fct_orders")
    with pytest.raises(WarehouseError, match="DependentObjectsStillExist"):
        app.once(settings, DECLARED, whole=True)
    assert len(rows(publisher, ALL)) == 1


def test_a_publisher_above_row_security_is_refused(
    settings: Settings, gold: Gold, postgres_admin: str, tmp_path: Path
) -> None:
    """An administrator would own tables whose views and functions show all rows to everybody."""
    database(postgres_admin, "wh_unfit")
    gold.publish()
    with pytest.raises(Unfit, match="above row-level security"):
        app.once(with_url(tmp_path / "data", postgres_admin.replace("/postgres", "/wh_unfit")), DECLARED)
