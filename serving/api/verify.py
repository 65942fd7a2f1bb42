"""Invariant 6, isolation: no row, name, count or error of one tenant is reachable with another's token.

Throw-away tokens of the tenants that published gold really holds, and of one that never was, are tried on every
route. Where a tenant asks for what is another's, status and body must be those that the one who never was gets. A
positive control comes first: the owner does see its rows, all of them and no others.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from caudal import tokens
from caudal.lake import Lake
from caudal.proof import Check
from caudal.query import text
from caudal.settings import Settings
from serving.api.calls import Caller, reach
from serving.api.errors import NotPublished
from serving.api.gold import Gold, Mart, Reader
from serving.api.query import TENANT, quoted
from serving.api.scope import select
from serving.api.settings import ApiSettings

# Routes that no description lists: the dashboard's pages, their stream and what they ask for.
DASHBOARD = ("/", "/commerce", "/rows/{mart}", "/live", "/look/marts/{mart}", "/look/rows/{mart}", "/look/road/{mart}",
             "/look/letters", "/look/letters/{coordinates}")  # fmt: skip
HIDDEN = tuple(("GET", path) for path in (*DASHBOARD, "/assets/app.js", "/openapi.json", "/nowhere"))
OPERATORS_ONLY = ("/v1/status", "/metrics", *DASHBOARD)
# A verify that is cut off leaves no token behind for longer than this.
LIFETIME_S = 300.0
MOST_FINDINGS = 20
# Published versions in a row that a mart may be asked again at, when it moves between two answers.
MOST_MOVES = 5


@dataclass(frozen=True)
class Pair:
    """Two tenants of one mart, and one object (column, value) that only `owner` has."""

    mart: Mart
    stranger: str
    owner: str
    column: str
    value: str


def checks(settings: Settings) -> list[Check]:
    """Probe the running web process, or the same routes inside this process when it is down.

    `examined` is the number of route × token probes. Needs no JVM and no broker.
    """
    lake = Lake.open(settings)
    limits = settings.section("serving.api", ApiSettings)
    reader = Reader(lake, groups=limits.groups, open_tables=limits.open_tables)
    try:
        gold: Gold | None = reader.current()
    except NotPublished:
        gold = None
    pairs = [p for mart in _marts(gold) if (p := _pair(reader, mart)) is not None]
    with _issued(settings) as issue, reach(settings, issue(f"nobody-{secrets.token_hex(6)}")) as (call, how):
        proof = Proof(call, issue)
        found = proof.routes(pairs)
        for pair in pairs:
            found += _settled(proof, pair, reader)
        detail = f"{len(pairs)} marts with several tenants, {how}"
        return [Check(6, "isolation", not found, call.made, detail, tuple(found[:MOST_FINDINGS]))]


def _settled(proof: Proof, pair: Pair, reader: Reader) -> list[str]:
    """Findings on a mart that did not move while it was asked; what was true of one version may not be of the next."""
    for _ in range(MOST_MOVES):
        found = proof.mart(pair, reader)
        now = reader.current().mart(pair.mart.name)
        if not found or now == pair.mart:
            break
        moved = _pair(reader, now)
        if moved is None:
            return []
        pair = moved
    return found


class Proof:
    """Makes the probes and says what they found. Findings name routes and marts, never tenants or values."""

    def __init__(self, call: Caller, issue: Issue) -> None:
        self._call, self._issue = call, issue
        self._nobody = f"nobody-{secrets.token_hex(6)}"

    def routes(self, pairs: list[Pair]) -> list[str]:
        """Every route with tokens of two tenants and with none: only operators' routes refuse, nobody is named."""
        found: list[str] = []
        described = self._call("GET", "/openapi.json").body
        paths = described.get("paths", {}) if isinstance(described, dict) else {}
        listed = [(m.upper(), p) for p, entry in paths.items() for m in entry if m in ("get", "post", "put", "delete")]
        if ("GET", "/v1/gold") not in listed:
            found.append("/openapi.json does not describe the API")
        first = pairs[0] if pairs else None
        a, b = (first.stranger, first.owner) if first else (f"{self._nobody}-1", f"{self._nobody}-2")
        others = {a: b, b: a}
        for method, path in (*listed, *HIDDEN):
            where = _filled(path, first)
            for tenant, other in others.items():
                reply = self._call(method, where, self._issue(tenant))
                if path in OPERATORS_ONLY and reply.status not in (401, 403, 405):
                    found.append(f"{method} {path} answers {reply.status} to a tenant")
                if other in reply.strings():
                    found.append(f"{method} {path} names another tenant")
            bare = self._call(method, where)
            if path.startswith("/v1/") and bare.status not in (401, 403, 405):
                found.append(f"{method} {path} answers {bare.status} without a token")
        return found

    def mart(self, pair: Pair, reader: Reader) -> list[str]:
        """One mart: the owner's rows, and nothing of them for a stranger."""
        base = f"/v1/gold/{quote(pair.mart.name)}"
        found = self._own(pair, base, reader)
        never = f"never-{secrets.token_hex(6)}"
        for path in (
            f"{base}?{TENANT}=%s&limit=5",
            f"{base}/{TENANT}/%s",
            *([f"{base}/{pair.column}/%s", f"{base}?{pair.column}=%s"] if pair.column else []),
        ):
            real = pair.owner if TENANT in path else pair.value
            found += self._same(path % quote(real, safe=""), path % never, pair.stranger)
        page = self._call("GET", f"{base}?limit=1", self._issue(pair.owner)).body
        if isinstance(page, dict) and (cursor := page.get("next_cursor")):
            found += self._same(f"{base}?limit=1&cursor={cursor}", f"{base}?limit=1&cursor={never}", pair.stranger)
        return found

    def _own(self, pair: Pair, base: str, reader: Reader) -> list[str]:
        """The positive control: what is the owner's is found, and the count is that of its rows alone."""
        found: list[str] = []
        token = self._issue(pair.owner)
        if pair.column and self._call("GET", f"{base}/{pair.column}/{quote(pair.value, safe='')}", token).status != 200:
            found.append(f"{pair.mart.name}: the owner does not find its own row")
        page = self._call("GET", f"{base}?limit=200", token).body
        rows = page.get("rows", []) if isinstance(page, dict) else []
        if not rows or any(row.get(TENANT) != pair.owner for row in rows):
            found.append(f"{pair.mart.name}: a page holds rows that are not the token's")
        listing = self._call("GET", "/v1/gold", token).body
        listed = listing.get("marts", []) if isinstance(listing, dict) else []
        for entry in listed:
            judged = entry["mart"] == pair.mart.name and entry["version"] == pair.mart.version
            if judged and entry["rows"] != _count(reader, pair.mart, pair.owner):
                found.append(f"{pair.mart.name}: the listing counts rows that are not the token's")
        return found

    def _same(self, path: str, twin: str, stranger: str) -> list[str]:
        """A stranger gets for another's object what it gets for one that never was, and what nobody gets.

        Gold may move between two answers, so a difference is asked again.
        """
        token, nobody = self._issue(stranger), self._issue(self._nobody)
        for _ in range(3):
            mine = self._call("GET", path, token)
            if mine.like(self._call("GET", twin, token)) and mine.like(self._call("GET", path, nobody)):
                return []
        route = "/".join(path.split("?")[0].split("/")[:5])
        return [f"GET {route}: another tenant's object shows, with status {mine.status}"]


class Issue:
    """Makes one short-lived reader token per tenant and ends them all."""

    def __init__(self, store: tokens.TokenStore) -> None:
        self._store = store
        self._made: dict[str, str] = {}

    def __call__(self, tenant: str) -> str:
        if tenant not in self._made:
            self._made[tenant] = self._store.issue("reader", tenant, lifetime_s=LIFETIME_S)
        return self._made[tenant]

    def end(self) -> None:
        """Revoke every token."""
        for plain in self._made.values():
            self._store.revoke(plain)


@contextmanager
def _issued(settings: Settings) -> Iterator[Issue]:
    store = tokens.open_store(settings.data_dir)
    issue = Issue(store)
    try:
        yield issue
    finally:
        issue.end()
        store.close()


def _marts(gold: Gold | None) -> list[Mart]:
    return sorted(gold.marts.values(), key=lambda m: m.name) if gold else []


def _pair(reader: Reader, mart: Mart) -> Pair | None:
    """Two tenants of the mart and an object of one of them; None when it has fewer than two."""
    table = reader.open(mart.path, mart.version, mart.table_id)
    columns = [c for c in reader.columns(table) if c.kind == "text" and c.name.endswith("_id") and c.name != TENANT]
    if TENANT not in {c.name for c in reader.columns(table)}:
        return None
    found = select(
        table,
        None,
        f"SELECT {TENANT} AS t FROM mart WHERE {TENANT} IS NOT NULL GROUP BY t ORDER BY count(*) DESC, t LIMIT 2",
    ).to_pylist()
    if len(found) < 2:
        return None
    stranger, owner = found[0]["t"], found[1]["t"]
    for column in columns:
        name = quoted(column.name)
        mine = select(
            table,
            None,
            f"SELECT {name} AS v FROM mart WHERE {TENANT} = {text(owner)} AND length({name}) BETWEEN 1 AND 100"
            f" AND {name} NOT IN (SELECT {name} FROM mart WHERE {TENANT} <> {text(owner)} AND {name} IS NOT NULL)"
            " GROUP BY v HAVING count(*) = 1 ORDER BY v LIMIT 1",
        ).to_pylist()
        if mine:
            return Pair(mart, stranger, owner, column.name, mine[0]["v"])
    return Pair(mart, stranger, owner, "", "")


def _count(reader: Reader, mart: Mart, tenant: str) -> int:
    """Counted from all rows, not through the scope that is on trial."""
    table = reader.open(mart.path, mart.version, mart.table_id)
    sql = f"SELECT count(*) AS n FROM mart WHERE {TENANT} = {text(tenant)}"
    return int(select(table, None, sql).to_pylist()[0]["n"])


def _filled(path: str, pair: Pair | None) -> str:
    """A route's template with names that exist where they can."""
    values: Mapping[str, Any] = {
        "mart": pair.mart.name if pair else "fct_orders",
        "column": (pair.column if pair else "") or TENANT,
        "value": (pair.value if pair else "") or "none",
        "contract": "commerce.order",
    }
    parts = [
        quote(str(values.get(part[1:-1].split(":")[0], "none")), safe="") if part.startswith("{") else part
        for part in path.split("/")
    ]
    # a stream that nobody bounds has no end
    return "/".join(parts) + ("?events=1" if path.startswith("/v1/stream/") else "")
