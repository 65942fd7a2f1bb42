"""The load of `caudal bench serving`: questions at a steady rate, each timed from when it was due."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from caudal.cli.bench import serving_lake as data

# Connections of the load: more than can be waiting at 100 requests/s while answers come within half a second.
CALLERS = 32


@dataclass(frozen=True)
class Question:
    """One question of one tenant: the parameters of a GET, and the same in SQL."""

    tenant: str
    parameters: tuple[tuple[str, str], ...]
    sql: str


@dataclass(frozen=True)
class Timed:
    """An answer: HTTP status, and milliseconds since the request was due."""

    status: int
    ms: float


def questions(tenants: int, seed: int) -> Iterator[Question]:
    """Questions without end: tenants uniformly, filters, ranges, orders, aggregates and columns in turn."""
    chance = random.Random(seed)
    for kind in itertools.cycle((_filtered, _columns, _daily, _shares)):
        parameters, sql = kind(chance)
        yield Question(data.tenant(chance.randrange(tenants)), parameters, sql)


Kind = tuple[tuple[tuple[str, str], ...], str]
"""Parameters, and SQL that means the same."""


def _filtered(chance: random.Random) -> Kind:
    status = chance.choice(data.STATUSES)
    return (
        (("status", status), ("order", "-updated_at"), ("limit", "100")),
        f"SELECT * FROM mart WHERE status = '{status}' ORDER BY updated_at DESC LIMIT 101",
    )


def _columns(chance: random.Random) -> Kind:
    least, region = chance.randrange(100, 900_000), chance.choice(data.REGIONS)
    return (
        (("total.gte", str(least)), ("region", region), ("columns", "order_id,total")),
        f"SELECT order_id, total FROM mart WHERE total >= {least} AND region = '{region}' ORDER BY order_id LIMIT 101",
    )


def _daily(chance: random.Random) -> Kind:
    day = data.START_US // 86_400_000_000 + chance.randrange(data.DAYS - 7)
    start, end = (time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(d * 86_400)) for d in (day, day + 7))
    return (
        (("from", start), ("to", end), ("group", "updated_at.day"), ("measures", "count,sum.total")),
        "SELECT date_trunc('day', updated_at) AS d, count(*), sum(total) FROM mart WHERE updated_at >= TIMESTAMPTZ"
        f" '{start}' AND updated_at < TIMESTAMPTZ '{end}' GROUP BY d ORDER BY d LIMIT 101",
    )


def _shares(chance: random.Random) -> Kind:
    most = chance.randrange(2, 9)
    return (
        (("items.lte", str(most)), ("group", "status,region"), ("measures", "count,avg.items"), ("order", "-count")),
        f"SELECT status, region, count(*) AS n, avg(items) FROM mart WHERE items <= {most} GROUP BY status, region"
        " ORDER BY n DESC LIMIT 101",
    )


def load(url: str, asked: Sequence[Question], token: Callable[[str], str], rate: float) -> list[Timed]:
    """Ask each question when it is due, `rate` a second, whether or not earlier ones were answered.

    A question that waits for a free connection waits on our clock: its time runs from when it was due.
    """

    def ask(due: float, question: Question) -> Timed:
        headers = {"Authorization": f"Bearer {token(question.tenant)}"}
        answer = client.get(f"/v1/gold/{data.MART}", params=list(question.parameters), headers=headers)
        return Timed(answer.status_code, (time.perf_counter() - due) * 1000)

    limits = httpx2.Limits(max_connections=CALLERS, max_keepalive_connections=CALLERS)
    with (
        httpx2.Client(base_url=url, timeout=60, trust_env=False, verify=False, limits=limits) as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        started = time.perf_counter()
        waiting = []
        for number, question in enumerate(asked):
            due = started + number / rate
            if (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            waiting.append(pool.submit(ask, due, question))
        return [one.result() for one in waiting]


def duckdb(files: Sequence[str], asked: Sequence[Question]) -> list[float] | None:
    """Milliseconds of the same questions by plain DuckDB on the same files, one after the other; None without it."""
    try:
        import duckdb as engine
    except ImportError:
        return None
    session: Any = engine.connect()
    session.execute("SET timezone = 'UTC'")
    session.execute(f"CREATE VIEW gold AS SELECT * FROM read_parquet({list(files)!r})")
    found = []
    for question in asked:
        started = time.perf_counter()
        session.execute(
            f"WITH mart AS (SELECT * FROM gold WHERE tenant_id = '{question.tenant}') {question.sql}"
        ).fetchall()
        found.append((time.perf_counter() - started) * 1000)
    return found


def first(count: int, tenants: int, seed: int) -> list[Question]:
    """The first `count` questions of a seed."""
    return list(itertools.islice(questions(tenants, seed), count))
