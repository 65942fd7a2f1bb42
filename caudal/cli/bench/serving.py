"""`caudal bench serving`: one tenant's questions to a large mart at a steady rate, over HTTP, beside plain DuckDB."""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psutil
from deltalake import DeltaTable

from caudal import tokens
from caudal.cli.bench import serving_lake as data
from caudal.cli.bench.measure import machine
from caudal.cli.bench.serving_load import Timed, duckdb, first, load
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.settings import Settings

# Requests of a fresh process that count as cold: the first of each kind opens the table and plans for the first time.
COLD = 100
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Plan:
    """Rows of the mart, its tenants, requests a second, and how long."""

    rows: int
    tenants: int
    rate: float
    seconds: float


@dataclass(frozen=True)
class Cost:
    """What the warm load took: seconds, the server's CPU seconds, and its highest memory in MiB."""

    took_s: float
    cpu_s: float
    peak_mib: float


def run(settings: Settings, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Fill a lake in the scratch folder of `settings`, serve it in a process of its own, and ask."""
    lake = Lake.open(settings)
    version = data.fill(lake, plan.rows, plan.tenants, say)
    cold = first(COLD, plan.tenants, seed=1)
    warm = first(round(plan.rate * plan.seconds), plan.tenants, seed=2)
    issued = _tokens(settings, {q.tenant for q in (*cold, *warm)})
    with _server(settings) as (url, process, peak):
        say(f"bench: {COLD} requests to a fresh process")
        at_first = load(url, cold, issued.__getitem__, plan.rate)
        say(f"bench: {len(warm):,} requests at {plan.rate:g}/s")
        started, cpu_s = time.perf_counter(), _cpu_s(process)
        later = load(url, warm, issued.__getitem__, plan.rate)
        took, cpu_s = time.perf_counter() - started, _cpu_s(process) - cpu_s
        peak_mib = peak()
    say("bench: the same by DuckDB")
    beside = duckdb(DeltaTable(version.path).file_uris(), warm[: min(len(warm), 1000)])
    return answer(plan, at_first, later, Cost(took, cpu_s, peak_mib), beside, {q.tenant for q in warm})


def answer(
    plan: Plan,
    cold: Sequence[Timed],
    warm: Sequence[Timed],
    cost: Cost,
    beside: Sequence[float] | None,
    asked: set[str],
) -> dict[str, Any]:
    """The JSON that the command prints; `ok` when every answer was one."""
    times = [one.ms for one in warm]
    failed = sum(one.status != 200 for one in (*cold, *warm))
    return {
        "ok": failed == 0,
        "p50_ms": _at(times, 50),
        "p99_ms": _at(times, 99),
        "max_ms": round(max(times), 1),
        "cold_p50_ms": _at([one.ms for one in cold], 50),
        "cold_p99_ms": _at([one.ms for one in cold], 99),
        "first_ms": round(cold[0].ms, 1),
        "rps": round(len(warm) / cost.took_s, 1),
        "cpu_ms": round(cost.cpu_s / len(warm) * 1000, 2),
        "rows": plan.rows,
        "tenants_asked": len(asked),
        "failed": failed,
        # answers are not kept; what is kept is the opened table, which every request but the first finds
        "cache_hits": {"answers": 0, "opened_table": len(cold) + len(warm) - 1},
        "duckdb_p50_ms": _at(beside, 50) if beside else None,
        "duckdb_p99_ms": _at(beside, 99) if beside else None,
        "duckdb": "in process, one question after the other" if beside else "the package duckdb is not installed",
        "peak_mib": round(cost.peak_mib),
        "plan": asdict(plan),
        "command": f"caudal bench serving --rows {plan.rows} --tenants {plan.tenants} --rate {plan.rate:g} "
        f"--seconds {plan.seconds:g} -o json",
        "machine": machine(),
    }


def _at(times: Sequence[float], percent: int) -> float:
    return round(statistics.quantiles(times, n=100, method="inclusive")[percent - 1], 1)


def _cpu_s(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def _tokens(settings: Settings, tenants: set[str]) -> dict[str, str]:
    store = tokens.open_store(settings.data_dir)
    try:
        return {tenant: store.issue("reader", tenant) for tenant in sorted(tenants)}
    finally:
        store.close()


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[str, psutil.Process, Callable[[], float]]]:
    """The API in a process of its own: its address, the process, and its highest memory so far in MiB."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(settings, listening), daemon=True)
        process.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            _ready(url, process)
            assert process.pid is not None
            server = psutil.Process(process.pid)
            with _watched(server) as peak:
                yield url, server, peak
        finally:
            process.terminate()
            process.join(timeout=10)


def _serve(settings: Settings, listening: socket.socket) -> None:
    import uvicorn
    from fastapi import FastAPI

    from caudal.metrics import Metrics
    from serving.api import app as api

    mounted = api.build(settings, Metrics("bench"))
    app = FastAPI()
    app.include_router(mounted.router)
    config = uvicorn.Config(app, log_level="error", access_log=False, ws="none", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
    mounted.close()


def _ready(url: str, process: Any) -> None:
    import httpx2

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.is_alive():
        try:
            if httpx2.get(f"{url}/healthz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise TransientError("the API of the benchmark did not start", fix="run it again; then see its output above")


@contextmanager
def _watched(process: psutil.Process) -> Iterator[Callable[[], float]]:
    """Samples a process; gives what reads its highest memory so far, in MiB (PSS on Linux, else RSS)."""
    highest, done = [0.0], threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            try:
                found = process.memory_full_info()
            except psutil.Error:
                return
            highest[0] = max(highest[0], getattr(found, "pss", found.rss) / 2**20)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield lambda: highest[0]
    finally:
        done.set()
        thread.join()
