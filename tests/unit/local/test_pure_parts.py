"""The parts of the platform that need no server."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from caudal.errors import SettingsError
from caudal.local import kafka, logs, plan, postgres, record, s3
from caudal.local.child import Child, Step
from caudal.local.effective import child_environment, effective
from caudal.local.entry import Entry, start_waves, stop_waves
from caudal.local.ports import Ports, any_free
from caudal.local.status import breakers, stages
from caudal.metrics import Sample, Snapshot
from caudal.settings import Settings, load


def child(name: str, *, wait: bool = True, **gives: object) -> Child:
    return Child(name, ("true",), wait=wait, gives={k.replace("__", "."): v for k, v in gives.items()})


def step() -> Step:
    return Step("step", lambda settings, stop: None)


def test_a_busy_port_moves_to_the_next_free_one(tmp_path: Path) -> None:
    """A port that somebody listens on is passed over."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        assert Ports(tmp_path).take(taken) > taken


def test_two_installs_never_take_the_same_port(tmp_path: Path) -> None:
    """A port claimed by one install is not given to another that has not seen it listened on yet."""
    first, second = Ports(tmp_path), Ports(tmp_path)
    wanted = any_free(first)[0]
    assert second.take(wanted) != wanted
    first.release([wanted])
    assert second.take(wanted) == wanted


def test_servers_side_by_side_then_steps_then_stages() -> None:
    """Neighbours that others wait for start together; a step or a stage is a wave of its own."""
    kafka_, registry, web, batch, between = (
        child("k"),
        child("r"),
        child("w", wait=False),
        child("b", wait=False),
        step(),
    )
    assert start_waves([kafka_, registry, between, web, batch]) == [[kafka_, registry], [between], [web], [batch]]


def test_the_stop_goes_backwards_with_stages_together() -> None:
    """Stages end side by side before the servers they use, which end one after the other."""
    entries = [Entry(child(n, wait=w), None) for n, w in [("k", True), ("r", True), ("b", False), ("w", False)]]  # type: ignore[arg-type]
    names = [[entry.child.name for entry in wave] for wave in stop_waves(entries)]
    assert names == [["w", "b"], ["r"], ["k"]]


def test_what_children_give_becomes_settings(offline_settings: Settings) -> None:
    """Endpoints replace defaults, secrets stay secret, folders are absolute."""
    plan_ = [
        child("k", kafka__bootstrap="127.0.0.1:1"),
        step(),
        child("s", lake__s3_secret_key="k3y", lake__uri="s3://b"),
    ]
    found = effective(offline_settings, plan_)
    assert (found.kafka.bootstrap, found.lake_uri) == ("127.0.0.1:1", "s3://b")
    assert found.lake.s3_secret_key == SecretStr("k3y")
    assert "k3y" not in repr(found)
    assert found.data_dir.is_absolute()


def test_children_give_settings_of_stages_too(tmp_path: Path) -> None:
    """A section that only a stage has a model of keeps what the user said beside what a server gives."""
    before = load({"data_dir": str(tmp_path), "serving.warehouse.poll_s": "3", "serving.batch": "7"}, environ={})
    given = [child("p", serving__warehouse__url="postgresql://x")]
    assert effective(before, given).model_extra == {
        "serving": {"warehouse": {"poll_s": "3", "url": "postgresql://x"}, "batch": "7"}
    }


def test_an_extra_has_a_server_unless_the_user_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the warehouse come PostgreSQL and the stage that fills it; a named server is used as it is."""
    monkeypatch.setattr(postgres, "binaries", lambda: tmp_path)
    given = {
        "CAUDAL_DATA_DIR": str(tmp_path), "CAUDAL_KAFKA__BOOTSTRAP": "b:1", "CAUDAL_REGISTRY__URL": "http://r",
        "CAUDAL_REDIS__URL": "redis://s",
    }  # fmt: skip
    named = {**given, "CAUDAL_SERVING__WAREHOUSE__URL": "postgresql://x"}
    for environ, expected in ((given, ["postgres", "warehouse"]), (named, ["warehouse"])):
        items = plan.local_plan(
            load(environ=environ), stages=(), contracts=False, extras=("warehouse",), ports=Ports(tmp_path / "ports")
        )
        assert [item.name for item in items] == expected
    assert postgres.passwords(tmp_path / "postgres") == postgres.passwords(tmp_path / "postgres")
    assert (tmp_path / "postgres" / "passwords.json").stat().st_mode & 0o077 == 0


def test_children_load_the_same_settings(tmp_path: Path) -> None:
    """What a child reads from its environment is what the supervisor runs with, and no left-behind endpoint."""
    run = tmp_path / "run"
    record.write_endpoints(run, {"kafka.bootstrap": "stale:1", "registry.url": "http://stale"}, {})
    flags = {"data_dir": str(tmp_path), "producers.deadline_s": "7"}
    before = load(flags, environ={"CAUDAL_LOG__LEVEL": "debug"})
    gives = {"kafka.bootstrap": "127.0.0.1:1", "redis.url": "redis://x"}
    environment = child_environment(effective(before, [child("k", **{"kafka__bootstrap": "127.0.0.1:1"})]), gives)
    record.forget_endpoints(run)
    found = load(environ=environment)
    assert (found.kafka.bootstrap, found.log.level, found.data_dir) == ("127.0.0.1:1", "debug", tmp_path)
    assert found.redis.url.get_secret_value() == "redis://x"
    assert "stale" not in json.dumps(environment)
    assert environment["CAUDAL_PRODUCERS__DEADLINE_S"] == "7"


def test_a_server_that_the_user_names_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broker, registry and feature store given by the environment are used as they are."""
    given = {
        "CAUDAL_DATA_DIR": str(tmp_path),
        "CAUDAL_KAFKA__BOOTSTRAP": "broker:9092",
        "CAUDAL_REGISTRY__URL": "http://registry:8081",
        "CAUDAL_REDIS__URL": "redis://store:6379/0",
    }
    items = plan.local_plan(load(environ=given), stages=("web",), ports=Ports(tmp_path / "ports"))
    assert [item.name for item in items] == ["contracts", "contracts watch", "web"]


def test_a_data_folder_keeps_the_kind_of_its_lake(tmp_path: Path) -> None:
    """The other kind is refused, none means the same as before."""
    settings = Settings(data_dir=tmp_path)
    own = Ports(tmp_path / "ports")
    assert plan._lake(settings, "local", own) == []
    assert plan._lake(settings, None, own) == []
    with pytest.raises(SettingsError, match="local"):
        plan._lake(settings, "s3", own)


def test_the_brokers_configuration_has_no_automatic_topics(tmp_path: Path) -> None:
    """The configuration is written with the ports, one replica and small internal topics."""
    kafka._configure(tmp_path, 1111, 2222)
    lines = dict(line.split("=", 1) for line in (tmp_path / "server.properties").read_text().splitlines())
    assert lines["auto.create.topics.enable"] == "false"
    assert lines["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1111"
    assert lines["controller.quorum.voters"] == "1@127.0.0.1:2222"


def test_s3_keys_are_made_once_and_private(tmp_path: Path) -> None:
    """A restart finds the same keys, and nobody else can read them."""
    first = s3.keys(tmp_path)
    assert s3.keys(tmp_path) == first
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0


def test_a_full_log_is_set_aside(tmp_path: Path) -> None:
    """The process goes on in the same file, older parts move on and the oldest goes."""
    log = tmp_path / "x.log"
    with log.open("ab", buffering=0) as writer:
        for part in (b"first", b"second", b"third", b"fourth", b"fifth"):
            writer.write(part * 10)
            assert logs.rotate(log, limit=10)
            assert not logs.rotate(log, limit=10)
        writer.write(b"now")
    assert log.read_bytes() == b"now"
    assert [log.with_name(f"x.log.{n}").read_bytes()[:5] for n in (1, 2, 3)] == [b"fifth", b"fourt", b"third"]
    assert not log.with_name("x.log.4").exists()


def test_the_end_of_a_log(tmp_path: Path) -> None:
    """The last lines come without reading the whole file, and a missing log is empty."""
    log = tmp_path / "x.log"
    log.write_text("\n".join(f"line {n} {'x' * 500}" for n in range(1000)) + "\n")
    assert [line.split()[1] for line in logs.tail(log, 3)] == ["997", "998", "999"]
    assert logs.tail(tmp_path / "none.log", 3) == []


def test_a_log_is_followed_through_a_rotation(tmp_path: Path) -> None:
    """Lines appear whole, and a file that was emptied is read from its start."""
    log = tmp_path / "x.log"
    log.write_text("old\n")
    writes = iter(["one\ntw", "o\n", None, "three\n"])

    def pause() -> bool:
        text = next(writes, "end")
        if text is None:
            log.write_text("")
        elif text == "end":
            return False
        else:
            log.write_text(log.read_text() + text)
        return True

    assert list(logs.follow(log, pause)) == ["one", "two", "three"]


def snapshot(at: float, rows: float, p95: float = 0.0) -> Snapshot:
    counters = [Sample("caudal_rows_total", rows, {"stage": "raw", "contract": "a.b"})]
    gauges = [
        Sample("caudal_lag", 3, {"stage": "raw", "contract": "a.b"}),
        Sample("caudal_breaker_open", 1, {"component": "shop", "host": "h"}),
    ]
    ages = [{"stage": "raw", "labels": {}, "p50": 1.0, "p95": p95, "p99": 3.0, "n": 5}]
    return Snapshot("streaming", 1, at, True, counters, gauges, ages)


def test_status_shows_rates_and_open_breakers() -> None:
    """Rows per second come from two readings; lag, age and breakers from the last."""
    raw = next(s for s in stages([snapshot(10.0, 100)], [snapshot(12.0, 150, 2.5)]) if s["stage"] == "raw")
    assert (raw["rows"], raw["rows_per_s"], raw["lag"], raw["p95_age_s"]) == (150, 25.0, 3, 2.5)
    assert breakers([snapshot(1.0, 1)]) == [{"process": "streaming", "component": "shop", "host": "h", "state": "open"}]


def test_records_are_replaced_whole(tmp_path: Path) -> None:
    """A reader beside a writer sees one text or the other, never a part."""
    path = tmp_path / "r.json"
    texts = [json.dumps({"n": "x" * size}) for size in (10, 100_000)]
    record.write(path, texts[0])
    done = threading.Event()

    def work() -> None:
        for turn in range(200):
            record.write(path, texts[turn % 2])
        done.set()

    writer = threading.Thread(target=work)
    writer.start()
    while not done.is_set():
        assert record.read(path)
    writer.join()
    assert not [p for p in tmp_path.iterdir() if p != path]
