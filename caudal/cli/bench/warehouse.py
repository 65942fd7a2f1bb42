"""`caudal bench warehouse`: what a publish costs, and how fast logins of single tenants are answered by PostgreSQL."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from caudal.cli.bench import serving_lake as data
from caudal.cli.bench.measure import machine
from caudal.cli.bench.serving_load import Question, first
from caudal.lake import Lake
from caudal.local import postgres
from caudal.local.child import Running
from caudal.local.ports import CLAIMS, any_free
from caudal.settings import Settings
from schemas.manifest import Group, TableVersion, publish
from serving.warehouse import app, logins
from serving.warehouse.plan import Declared
from serving.warehouse.publish import Report

if TYPE_CHECKING:
    from psycopg import Connection

# Logins that ask, each with a connection of its own; PostgreSQL takes 100 connections by default.
LOGINS = 64
# Questions at a time: more than the cores of a small server.
CALLERS = 4
PROMISE_MS = 500.0
# Orders that the measured publish by changes brings: what a minute at 500 events/s leaves behind.
CHANGED = 30_000


@dataclass(frozen=True)
class Plan:
    """Rows of the mart, its tenants, and how many questions are asked."""

    rows: int
    tenants: int
    questions: int


def run(settings: Settings, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Fill a lake in the scratch folder of `settings`, publish it to a PostgreSQL of its own, and ask."""
    lake = Lake.open(settings)
    filled = data.fill(lake, plan.rows, plan.tenants, say)
    declared = {data.MART: Declared(data.MART, ("tenant_id", "order_id"))}
    with _server(settings.data_dir / "postgres") as url:
        own = settings.with_(serving={"warehouse": {"url": url}})
        say("bench: the first publish, which copies everything")
        whole = app.once(own, declared)
        _change(lake, filled, min(CHANGED, plan.rows // 10))
        say("bench: a publish of what changed")
        changes = app.once(own, declared)
        say(f"bench: {plan.questions:,} questions of {LOGINS} logins, {CALLERS} at a time")
        with ExitStack() as stack:
            links = [stack.enter_context(_login(own, number * plan.tenants // LOGINS)) for number in range(LOGINS)]
            times = ask(links, first(plan.questions, plan.tenants, seed=2))
    return answer(plan, whole, changes, times)


def ask(links: Sequence[Connection], questions: Sequence[Question]) -> list[float]:
    """Milliseconds of each question, asked by the logins in turn; every login sees its own tenant's rows."""

    def callers() -> Iterator[Sequence[tuple[Connection, Question]]]:
        # a connection answers one question at a time, so each caller has logins of its own
        for number in range(CALLERS):
            yield list(zip(itertools.cycle(links[number::CALLERS]), questions[number::CALLERS], strict=False))

    with ThreadPoolExecutor(CALLERS) as pool:
        return [ms for part in pool.map(lambda asked: [_timed(*one) for one in asked], callers()) for ms in part]


def answer(plan: Plan, whole: Report, changes: Report, times: Sequence[float]) -> dict[str, Any]:
    """The JSON that the command prints; `ok` when the promise to users was kept."""
    [first_copy], [second] = whole.copied, changes.copied
    p99 = _at(times, 99)
    return {
        "ok": p99 <= PROMISE_MS,
        "p50_ms": _at(times, 50),
        "p99_ms": p99,
        "max_ms": round(max(times), 1),
        "promise_ms": PROMISE_MS,
        "rows": plan.rows,
        "whole_s": first_copy.seconds,
        "changes_s": second.seconds,
        "changed_rows": second.gone + second.came,
        "changed_by": second.how,
        "plan": asdict(plan),
        "command": f"caudal bench warehouse --rows {plan.rows} --tenants {plan.tenants} "
        f"--questions {plan.questions} -o json",
        "machine": machine(),
    }


def _at(times: Sequence[float], percent: int) -> float:
    return round(statistics.quantiles(times, n=100, method="inclusive")[percent - 1], 1)


def _timed(link: Connection, question: Question) -> float:
    started = time.perf_counter()
    link.execute(_here(question.sql).encode()).fetchall()
    return (time.perf_counter() - started) * 1000


def _here(sql: str) -> str:
    """The question as PostgreSQL has it: the mart by its name, whose rows are the login's."""
    return sql.replace("FROM mart", f"FROM gold.{data.MART}", 1)


def _change(lake: Lake, before: TableVersion, rows: int) -> None:
    """Give some orders another total, and publish that."""
    table = DeltaTable(before.path)
    rewritten = f"order_id >= 'order-{before.rows - rows:09d}'"
    found = pa.table(table.scan(predicate=rewritten).read_all())
    table.delete(rewritten)
    dearer = pc.add(found["total"], pa.scalar(Decimal(1), data.MONEY)).cast(data.MONEY)
    found = found.set_column(found.column_names.index("total"), "total", dearer)
    write_deltalake(before.path, found, mode="append")
    after = DeltaTable(before.path)
    version = TableVersion(before.path, str(after.metadata().id), after.version(), before.rows)
    publish(lake, "live", Group("bench-2", int(time.time() * 1000), {}, {data.MART: version}))


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    [port] = any_free(CLAIMS)
    child = postgres.child(folder, port)
    running = Running(child, folder.parent / "logs" / "postgres.log")
    try:
        running.wait_ready()
        child.after()
        yield str(child.gives["serving.warehouse.url"])
    finally:
        running.stop()
        CLAIMS.release([port])


@contextmanager
def _login(settings: Settings, number: int) -> Iterator[Connection]:
    import psycopg

    name = f"bi_{number:06d}"
    with app.connected(settings) as (link, section):
        password = logins.add(link, name, data.tenant(number), masks=False, settings=section)
        url = section.url.get_secret_value()
    with psycopg.connect(url, user=name, password=password, autocommit=True) as own:
        yield own
