import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caudal.alerts import Alerts, recent
from caudal.errors import CaudalError
from caudal.lake import LocalLake
from caudal.lease import Lease, LeaseHeld, holder
from caudal.metrics import Metrics, read_all
from caudal.outgoing import CircuitOpen, Outgoing, Policy
from caudal.tokens import TokenStore


def test_a_lease_has_one_holder_and_says_who(tmp_path: Path) -> None:
    """A second owner is refused at once and told who holds the lease."""
    path = tmp_path / "lease"
    with Lease(path).acquire("streaming"):
        found = holder(path)
        assert found is not None
        assert (found.pid, found.name) == (os.getpid(), "streaming")
        with pytest.raises(LeaseHeld, match=str(os.getpid())):
            Lease(path).acquire("other")
    assert holder(path) is None


def test_a_lease_ends_with_its_process(tmp_path: Path) -> None:
    """A killed holder leaves nothing to clean up."""
    path = tmp_path / "lease"
    code = (
        f"import os; from pathlib import Path; from caudal.lease import Lease; Lease(Path({str(path)!r})).acquire('x')"
    )
    subprocess.run([sys.executable, "-c", f"{code}; os.kill(os.getpid(), 9)"], check=False)
    Lease(path).acquire("next").release()


def test_a_one_time_token_works_once(tmp_path: Path) -> None:
    """The second use of a one-time token is refused, and no token is stored in clear."""
    store = TokenStore(tmp_path / "t.sqlite")
    plain = store.issue("reader", "acme", once=True)
    first, second = store.resolve(plain), store.resolve(plain)
    store.close()
    assert first is not None
    assert first.tenant == "acme"
    assert second is None
    assert plain.encode() not in (tmp_path / "t.sqlite").read_bytes()


def test_tokens_bind_role_tenant_and_contracts(tmp_path: Path) -> None:
    """An ingest token writes only its contracts; expired and revoked tokens are nobody."""
    store = TokenStore(tmp_path / "t.sqlite")
    principal = store.resolve(store.issue("ingest", "acme", ("product.event",)))
    expired = store.issue("reader", "acme", lifetime_s=-1)
    revoked = store.issue("reader", "acme")
    store.revoke(revoked)
    assert principal is not None
    assert principal.may_write("product.event")
    assert not principal.may_write("commerce.order")
    assert store.resolve(expired) is None
    assert store.resolve(revoked) is None
    with pytest.raises(ValueError, match="needs a tenant"):
        store.issue("reader")
    store.close()


def test_metrics_are_written_whole_and_read_back(tmp_path: Path) -> None:
    """Counters add, gauges replace, ages give quantiles, and a torn file of another process is passed over."""
    metrics = Metrics("streaming", tmp_path)
    metrics.count("caudal_rows_total", 2, stage="raw")
    metrics.count("caudal_rows_total", 3, stage="raw")
    metrics.gauge("caudal_lag", 7, stage="raw")
    metrics.ages("raw", [1.0] * 99 + [50.0])
    metrics.mark("first_raw")
    metrics.flush()
    (tmp_path / "torn.json").write_text("{", encoding="utf-8")

    [found] = read_all(tmp_path)

    assert [(s.name, s.value) for s in found.counters] == [("caudal_rows_total", 5)]
    assert found.ages[0]["p50"] == 1.0
    assert found.ages[0]["n"] == 100
    assert "first_raw" in found.marks


def test_files_of_the_lake_are_replaced_whole(tmp_path: Path) -> None:
    """A written file is read back, replaced and removed; nothing else stays in the folder."""
    lake = LocalLake(str(tmp_path))
    assert lake.read_bytes("_manifest/current.json") is None
    lake.write_atomic("_manifest/current.json", b"1")
    lake.write_atomic("_manifest/current.json", b"22")
    assert lake.read_bytes("_manifest/current.json") == b"22"
    assert lake.list("_manifest") == ["_manifest/current.json"]
    lake.delete("_manifest/current.json")
    assert not lake.exists("_manifest/current.json")


class Flaky:
    """A host that fails a number of times and counts its calls."""

    def __init__(self, failures: int) -> None:
        self.failures, self.calls = failures, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise ConnectionError
        return "answer"


QUICK = Policy(attempts=3, first_wait_s=0.001, threshold=2, rest_s=60)


def test_a_passing_failure_is_retried() -> None:
    """What fails once and then answers is an answer."""
    host = Flaky(1)
    assert Outgoing("test", QUICK).call("host", host) == "answer"
    assert host.calls == 2


def test_a_dead_host_is_left_alone_and_seen() -> None:
    """After repeated failures the breaker answers at once, other hosts go on, and the gauge shows it."""
    metrics, host = Metrics("test"), Flaky(1_000)
    outgoing = Outgoing("test", QUICK, metrics=metrics)
    with pytest.raises((ConnectionError, CircuitOpen)):
        outgoing.call("dead", host)
    before = host.calls
    with pytest.raises(CircuitOpen):
        outgoing.call("dead", host)
    assert host.calls == before
    assert outgoing.call("alive", Flaky(0)) == "answer"
    gauges = {g["labels"]["host"]: g["value"] for g in metrics.snapshot()["gauges"]}
    assert gauges == {"dead": 1.0, "alive": 0.0}


def test_what_is_no_passing_failure_is_not_retried() -> None:
    """A refusal is told at once."""
    calls = []

    def refuse() -> None:
        calls.append(1)
        raise CaudalError("refused")

    with pytest.raises(CaudalError, match="refused"):
        Outgoing("test", QUICK).call("host", refuse)
    assert len(calls) == 1


def test_alarms_are_grouped_and_link_to_the_runbook(tmp_path: Path) -> None:
    """The same group speaks once a minute; each alarm has a code and a place in the runbook."""
    file = tmp_path / "alerts.jsonl"
    alerts = Alerts(file, [], "docs/runbook.md")
    for _ in range(5):
        alerts.raise_("CDL-PLAINTEXT", "a value arrived in clear", "payments.transaction", rows=3)
    alerts.raise_("CDL-PLAINTEXT", "a value arrived in clear", "commerce.order")
    newest, oldest = recent(file)
    assert (newest["group"], oldest["group"]) == ("commerce.order", "payments.transaction")
    assert newest["runbook"] == "docs/runbook.md#cdl-plaintext"


def test_an_armed_crashpoint_kills_the_group_once(tmp_path: Path) -> None:
    """The nth passage dies with SIGKILL and leaves its marker; a restarted process passes."""
    code = "from caudal.fault import crashpoint\nfor i in range(3): crashpoint('after-raw'); print(i, flush=True)"
    env = {**os.environ, "CAUDAL_CRASHPOINT": "after-raw:2", "CAUDAL_CRASH_DIR": str(tmp_path)}

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False, start_new_session=True
        )

    killed, again = start(), start()
    assert (killed.returncode, killed.stdout.split()) == (-9, ["0"])
    assert (tmp_path / "after-raw").exists()
    assert (again.returncode, again.stdout.split()) == (0, ["0", "1", "2"])


def test_a_process_at_work_is_armed_by_a_file(tmp_path: Path) -> None:
    """Passages before the file is there do not count, other points neither."""
    code = (
        "import pathlib, sys\nfrom caudal.fault import crashpoint\n"
        "for i in range(9):\n"
        "    if i == 3: pathlib.Path(sys.argv[1]).write_text('mid-care:2')\n"
        "    crashpoint('mid-care'); crashpoint('after-raw'); print(i, flush=True)"
    )
    armed = tmp_path / "armed"
    env = {**os.environ, "CAUDAL_CRASHPOINT": f"@{armed}", "CAUDAL_CRASH_DIR": str(tmp_path)}
    died = subprocess.run(
        [sys.executable, "-c", code, str(armed)],
        env=env, capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    assert (died.returncode, died.stdout.split()) == (-9, ["0", "1", "2", "3"])
    assert (tmp_path / "mid-care").exists()


def test_an_error_tells_its_facts() -> None:
    """What, where, why, fix and code are there for people and for programs."""
    error = CaudalError("it broke", where="here", why="that", fix="do this", code="CDL-X")
    assert str(error) == "CDL-X: it broke; at here; because that; fix: do this"
    assert json.loads(json.dumps(error.facts()))["code"] == "CDL-X"


def test_logs_never_reach_standard_output() -> None:
    """Loggers are made at import, before a verb sets logging up; standard output stays clean all the same."""
    code = (
        "from caudal import log; early = log.get('x'); early.info('before');"
        "from caudal.settings import Settings; log.setup(Settings(log={'format': 'json'}), 'p');"
        "early.info('after', n=1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert "before" in first
    assert json.loads(second) | {"component": "x", "event": "after", "process": "p", "n": 1} == json.loads(second)
