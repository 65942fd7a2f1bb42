"""The lake's half of verify: every contract's ledger, silver and dead letters recounted from raw, without a JVM.

A consistent cut: silver is pinned first, then what was written before it (dead letters, raw). The facts that belong to
the pinned silver version come from the ledger table and, for what is not flushed yet, from silver's own log.

With `since`, raw batches before it are left alone. A contract is then looked at from the end of its last line of the
ledger before that batch; one of which something was decided again since, from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from caudal.lake import Lake
from caudal.query import Query, text
from schemas.contract import Contract
from schemas.tables import RESOLVED_SQL, column_of
from streaming import purged
from streaming.facts import COUNTS, Facts, Replayed, counted
from streaming.positions import raw_commit_of, silver_position
from streaming.tables import DEAD_LETTERS, LEDGER, PARKED, RESOLUTIONS
from streaming.truncates import sweeps

# A finding names a few places; more would not help anybody.
SHOWN = 3


@dataclass(frozen=True)
class Pinned:
    """One contract's tables at one moment. `lines` are its ledger behind raw batch `after` up to `cut`, the one that
    silver covers; `cut_short` those of replays that silver has and whose letters nobody has marked as resolved yet."""

    contract: Contract
    version: int
    cut: int
    lines: tuple[Facts, ...]
    parked: tuple[tuple[int, int, int], ...] = ()
    after: int = 0
    cut_short: tuple[Facts, ...] = ()


@dataclass
class Found:
    """What was looked at, and what is wrong."""

    examined: int = 0
    findings: list[str] = field(default_factory=list)

    def say(self, finding: str) -> None:
        self.findings.append(finding)


class Recount:
    """All pinned tables in one set: `raw`, `dead`, and one `silver_…` table for each contract."""

    def __init__(self, lake: Lake, contracts: Iterable[Contract], since: int = 0) -> None:
        """`since` is the first raw batch to look at; 0 for all."""
        self.lake, self.query, self.since = lake, Query(lake), since
        present = [c for c in contracts if lake.has_table("silver", c.table)]
        versions = {c.id: self.query.table(_alias(c), "silver", c.table) for c in present}
        # Pinned after silver, since they are written before it.
        self.kept = [c for c in present if c.history and lake.has_table("silver", c.history_table)]
        for contract in self.kept:
            self.query.table(_history(contract), "silver", contract.history_table)
        self.query.table("letters", *DEAD_LETTERS)
        self.query.table("marks", *RESOLUTIONS)
        # A letter whose record was replayed is none any more: the record is in silver, or a copy of what is there.
        self.query.view(
            "dead",
            f"SELECT l.* FROM letters l LEFT ANTI JOIN ({RESOLVED_SQL}) r ON l.topic = r.topic AND "
            'l."partition" = r."partition" AND l."offset" = r."offset" AND l."_batch" = r."_batch"',
        )
        self.raw_version = purged.pin(self.query, lake)
        self.query.table("ledger", *LEDGER)
        self.query.table("parked", *PARKED)
        self.pinned = [self._pin(contract, versions[contract.id]) for contract in present]

    def conservation(self) -> Found:
        """Invariant 1 inside the lake."""
        found = Found()
        self._raw_once(found)
        for pinned in self.pinned:
            # That nothing came since is a finding too: raw and the ledger agree on it.
            found.examined += self.since > 0
            self._ledger(pinned, found)
            self._states(pinned, found)
        return found

    def idempotence(self) -> Found:
        """Invariant 7: nothing twice in silver."""
        found = Found()
        for pinned in self.pinned:
            contract, table = pinned.contract, _alias(pinned.contract)
            new = f'"_batch" > {pinned.after}'
            found.examined += int(self.query.one(f"SELECT count(*) FROM {table} WHERE {new}")) + (self.since > 0)
            sql = _near_copies(contract, self._near(pinned)) if contract.mode == "append" else self._copies(pinned)
            twice = int(self.query.one(f"SELECT count(*) FROM ({sql})"))
            if twice:
                what = "event ids" if contract.mode == "append" else "keys"
                found.say(f"{contract.id}: {twice} {what} are in silver more than once")
            if contract in self.kept:
                copies = _key_copies(contract, f"{_history(contract)} WHERE {new}", contract.event_id)
                twice = int(self.query.one(f"SELECT count(*) FROM ({copies})"))
                if twice:
                    found.say(f"{contract.id}: {twice} changes are in its history more than once")
            if contract.id == "fraud.decision":
                self._decisions(table, found)
        return found

    def _near(self, pinned: Pinned) -> str:
        """The rows that a new one may be a copy of: all when everything is new, else those within its reach."""
        table = _alias(pinned.contract)
        if not pinned.after:
            return table
        time = f'"{column_of(pinned.contract, pinned.contract.event_time)}"'
        [row] = self.query.rows(
            f'SELECT min({time}) AS low, max({time}) AS high FROM {table} WHERE "_batch" > {pinned.after}'
        )
        if row["low"] is None:
            return f"(SELECT * FROM {table} WHERE false)"
        try:
            low, high = row["low"] - pinned.contract.lateness, row["high"] + pinned.contract.lateness
        except OverflowError:
            return table
        between = f"{time} >= timestamp '{low.isoformat()}' AND {time} <= timestamp '{high.isoformat()}'"
        return f"(SELECT * FROM {table} WHERE {between})"

    def _copies(self, pinned: Pinned) -> str:
        table = _alias(pinned.contract)
        if not pinned.after:
            return _key_copies(pinned.contract, table)
        keys = [f'"{column_of(pinned.contract, name)}"' for name in pinned.contract.key]
        same = " AND ".join(f"a.{key} = n.{key}" for key in keys)
        listed = ", ".join(keys)
        new = f'(SELECT DISTINCT {listed} FROM {table} WHERE "_batch" > {pinned.after})'
        return _key_copies(pinned.contract, f"(SELECT a.* FROM {table} a LEFT SEMI JOIN {new} n ON {same})")

    def _pin(self, contract: Contract, version: int) -> Pinned:
        after = self._line_before(contract, version) if self.since else 0
        pinned = self._pinned(contract, version, after)
        # What was decided again belongs to records that came before.
        again = any(line.read == 0 and (line.dead_letter or line.parked or line.applied) for line in pinned.lines)
        return self._pinned(contract, version, 0) if after and again else pinned

    def _line_before(self, contract: Contract, version: int) -> int:
        return int(
            self.query.one(
                "SELECT coalesce(max(batch), 0) FROM (SELECT silver_version, batch FROM ledger "
                f"WHERE contract = '{contract.id}' AND silver_version <= {version} AND batch < {self.since} "
                "GROUP BY silver_version, batch HAVING sum(read) > 0)"
            )
        )

    def _pinned(self, contract: Contract, version: int, after: int) -> Pinned:
        lines: dict[tuple[int, int], dict[str, int]] = {}
        mine = f"contract = '{contract.id}' AND silver_version <= {version}"
        rows = self.query.rows(
            f"SELECT silver_version, batch, {', '.join(f'coalesce(sum({n}), 0) AS {n}' for n in COUNTS)} FROM ledger "
            f"WHERE {mine} AND batch > {after} GROUP BY silver_version, batch"
        )
        for row in rows:
            lines[row["silver_version"], row["batch"]] = {name: int(row[name]) for name in COUNTS}
        flushed = int(self.query.one(f"SELECT coalesce(max(silver_version), -1) FROM ledger WHERE {mine}"))
        at = silver_position(self.lake, contract.table, flushed, version)
        waiting = self._parked(contract, flushed)
        replays = [
            commit for _, commit in at.unflushed if commit.replay is not None and not self._marked(commit.replay)
        ]
        for number, commit in at.unflushed:
            for line in commit.lines:
                lines[number, line.batch] = {name: getattr(line, name) for name in COUNTS}
            for one in commit.parked:
                key = (one.first_batch, one.batch, one.schema_id)
                waiting[key] = waiting.get(key, 0) + one.records
        for number, commit in at.undone:
            # Taken back by a RESTORE, whether or not the ledger table says so yet.
            for line in commit.lines:
                lines.pop((number, line.batch), None)
        facts = [
            counted(batch, contract.id, counts)
            for (_, batch), counts in sorted(lines.items())
            if any(counts.values()) and batch > after
        ]
        parked = tuple(sorted(key for key, n in waiting.items() if n > 0))
        cut_short = tuple(line for commit in replays for line in commit.lines)
        return Pinned(contract, version, at.covered, tuple(facts), parked, after, cut_short)

    def _marked(self, piece: Replayed) -> bool:
        """Whether the letters that this part of a replay decided are marked as resolved: they are in one commit."""
        return bool(
            self.query.one(
                f"SELECT count(*) FROM marks WHERE replay = {text(piece.id)} "
                f'AND "_batch" >= {piece.first} AND "_batch" <= {piece.last}'
            )
        )

    def _parked(self, contract: Contract, flushed: int) -> dict[tuple[int, int, int], int]:
        rows = self.query.rows(
            "SELECT first_batch, batch, schema_id, sum(records) AS n FROM (SELECT DISTINCT first_batch, batch, "
            f"schema_id, records, silver_version FROM parked WHERE contract = '{contract.id}' "
            f"AND silver_version <= {flushed}) GROUP BY first_batch, batch, schema_id"
        )
        return {(row["first_batch"], row["batch"], row["schema_id"]): int(row["n"]) for row in rows}

    def _raw_once(self, found: Found) -> None:
        new = f'"_batch" >= {self.since}'
        found.examined += int(self.query.one(f"SELECT count(*) FROM raw WHERE {new}"))
        twice = self.query.rows(
            f'SELECT topic, "partition" AS p, "offset" AS o FROM raw WHERE {new} GROUP BY topic, "partition", "offset" '
            f"HAVING count(*) > 1 LIMIT {SHOWN}"
        )
        for row in twice:
            found.say(f"{row['topic']}/{row['p']}@{row['o']} is in raw more than once")
        for finding in purged.findings(self.query, self.lake, self.raw_version, SHOWN):
            found.say(finding)
        ends = self.ends_before()
        rows = self.query.rows(
            f'SELECT topic, "partition" AS p, min("offset") AS o FROM raw WHERE {new} GROUP BY topic, "partition"'
        )
        for row in rows:
            end = ends.get(row["topic"], {}).get(row["p"], 0)
            if row["o"] < end:
                found.say(f"{row['topic']}/{row['p']}: batch {self.since} and later begin again at {row['o']} of {end}")

    def ends_before(self) -> Mapping[str, Mapping[int, int]]:
        """Where raw stood before the first batch looked at, as far as its log still tells; nothing without `since`."""
        before = raw_commit_of(self.lake, self.since - 1, self.raw_version) if self.since > 1 else None
        return before.ends if before else {}

    def _ledger(self, pinned: Pinned, found: Found) -> None:
        """Each line balances, and read is the number of raw records of its batches."""
        name = pinned.contract.id
        mine = f'topic = \'{pinned.contract.topic}\' AND "_batch" > {pinned.after} AND "_batch" <= {pinned.cut}'
        rows = self.query.rows(
            "SELECT batch, sum(n) AS n FROM ("
            f'SELECT "_batch" AS batch, count(*) AS n FROM raw WHERE {mine} GROUP BY "_batch" UNION ALL '
            f'SELECT "_batch" AS batch, sum(records) AS n FROM purges WHERE {mine} GROUP BY "_batch") GROUP BY batch'
        )
        batches = {int(row["batch"]): int(row["n"]) for row in rows}
        read: dict[int, int] = {}
        for line in pinned.lines:
            states = line.applied + line.duplicate + line.superseded + line.dead_letter + line.parked
            if line.read != states:
                found.say(f"{name}, batch {line.batch}: read {line.read}, accounted for {states}")
            read[line.batch] = read.get(line.batch, 0) + line.read
        before = pinned.after
        for batch in sorted(batch for batch, n in read.items() if n):
            there = sum(n for b, n in batches.items() if before < b <= batch)
            if there != read[batch]:
                found.say(
                    f"{name}, batches {before + 1} to {batch}: {there} records in raw, {read[batch]} in the ledger"
                )
            before = batch
        rest = sum(n for b, n in batches.items() if b > before)
        if rest:
            found.say(f"{name}: {rest} records of raw are in no line of the ledger")

    def _states(self, pinned: Pinned, found: Found) -> None:
        """Silver and dead letters hold exactly what the ledger says, and nothing that raw does not."""
        name, cut = pinned.contract.id, pinned.cut
        new = f'"_batch" > {pinned.after}'
        table = f"(SELECT * FROM {_alias(pinned.contract)} WHERE {new})"
        rows = int(self.query.one(f"SELECT count(*) FROM {table}"))
        found.examined += rows
        total = {what: sum(getattr(line, what) for line in pinned.lines) for what in COUNTS}
        lost = (
            f"SELECT s.* FROM {table} s LEFT ANTI JOIN raw r ON r.topic = '{pinned.contract.topic}' "
            'AND s."_topic" = r.topic AND s."_partition" = r."partition" AND s."_offset" = r."offset" '
            'AND s."_batch" = r."_batch"'
        )
        known = (
            's."_topic" = p.topic AND s."_partition" = p."partition" AND s."_batch" = p."_batch" '
            'AND s."_offset" >= p."first" AND s."_offset" <= p."last"'
        )
        unknown = self.query.rows(
            f'SELECT s."_partition" AS p, s."_offset" AS o FROM ({lost}) s LEFT ANTI JOIN purges p ON {known} '
            f"LIMIT {SHOWN}"
        )
        for row in unknown:
            found.say(f"{name}: silver has {row['p']}@{row['o']}, which raw does not")
        purged_rows = int(self.query.one(f"SELECT count(*) FROM ({lost}) s LEFT SEMI JOIN purges p ON {known}"))
        places = int(
            self.query.one(f'SELECT count(*) FROM (SELECT DISTINCT "_topic", "_partition", "_offset" FROM {table})')
        )
        several = rows - places - self._removed(pinned)
        if several:
            found.say(f"{name}: {several} rows of silver come from a record that has a row already")
        # A replay that died before it marked its letters is finished by the next start.
        healed = sum(line.applied for line in pinned.cut_short)
        dead = self._dead(pinned) + sum(line.dead_letter for line in pinned.cut_short)
        if dead != total["dead_letter"]:
            found.say(f"{name}: {dead} dead letters, {total['dead_letter']} in the ledger")
        both = int(
            self.query.one(
                f"SELECT count(*) FROM {table} s LEFT SEMI JOIN dead d ON d.contract = '{name}' "
                'AND s."_topic" = d.topic AND s."_partition" = d."partition" AND s."_offset" = d."offset"'
            )
        )
        if both > healed:
            found.say(f"{name}: {both} records are applied and dead letters at once")
        if pinned.contract.mode == "append":
            least = most = total["applied"] - total["expired"]
        else:
            least, most = self._keys(pinned, cut)
            # A key whose row went for its age may have come again; a row whose record was purged has no key in raw.
            least, most = least - total["expired"], most + purged_rows + healed
        if pinned.after:
            # A key's row may be older than its newest records, and rows that went for their age than these lines.
            least, most = 0 if pinned.contract.mode != "append" else least, most + total["expired"]
        if not least <= rows <= most:
            found.say(f"{name}: {rows} rows in silver, {least} expected")
        self._versions(pinned, found)

    def _removed(self, pinned: Pinned) -> int:
        """Rows that a truncate removed: they have the truncate's place."""
        if not sweeps(pinned.contract):
            return 0
        table = _alias(pinned.contract)
        return int(
            self.query.one(
                f"SELECT count(*) FROM {table} s LEFT SEMI JOIN (SELECT * FROM {table} WHERE \"_op\" = 't') t "
                'ON s."_topic" = t."_topic" AND s."_partition" = t."_partition" AND s."_offset" = t."_offset" '
                f"WHERE coalesce(s.\"_op\", '') <> 't' AND s.\"_batch\" > {pinned.after}"
            )
        )

    def _versions(self, pinned: Pinned, found: Found) -> None:
        """A version that is current is the row in silver."""
        if pinned.contract not in self.kept:
            return
        wrong = int(
            self.query.one(
                f"SELECT count(*) FROM {_history(pinned.contract)} h LEFT ANTI JOIN {_alias(pinned.contract)} s "
                'ON s."_topic" = h."_topic" AND s."_partition" = h."_partition" AND s."_offset" = h."_offset" '
                f'WHERE h."_current" AND h."_batch" > {pinned.after} AND h."_batch" <= {pinned.cut}'
            )
        )
        if wrong and not pinned.contract.ignore_null_updates:
            found.say(f"{pinned.contract.id}: {wrong} versions are current in its history and not in silver")

    def _dead(self, pinned: Pinned) -> int:
        """Distinct dead letters up to the cut whose record is in raw or was purged."""
        mine = f'd.contract = \'{pinned.contract.id}\' AND d."_batch" > {pinned.after} AND d."_batch" <= {pinned.cut}'
        there = (
            'LEFT SEMI JOIN raw r ON d.topic = r.topic AND d."partition" = r."partition" AND d."offset" = r."offset"',
            f"LEFT SEMI JOIN purges p ON {purged.WITHIN.format('d')}",
        )
        return sum(
            int(
                self.query.one(
                    'SELECT count(*) FROM (SELECT DISTINCT d.topic, d."partition", d."offset" FROM dead d '
                    f"{join} WHERE {mine})"
                )
            )
            for join in there
        )

    def _keys(self, pinned: Pinned, cut: int) -> tuple[int, int]:
        """Distinct keys among the raw records that were neither dead letters nor parked: each has one row.

        A truncate has a row of its own. What else came under its key, a copy or a row's record, only raw's bytes tell:
        hence the least and the most.
        """
        waits = "".join(
            f' AND NOT (r.schema_id = {i} AND r."_batch" >= {first} AND r."_batch" <= {last})'
            for first, last, i in pinned.parked
        )
        fine = (
            f"SELECT r.* FROM raw r LEFT ANTI JOIN dead d ON d.contract = '{pinned.contract.id}' "
            'AND r.topic = d.topic AND r."partition" = d."partition" AND r."offset" = d."offset" '
            f"WHERE r.topic = '{pinned.contract.topic}' AND r.\"_batch\" > {pinned.after} "
            f'AND r."_batch" <= {cut}{waits}'
        )
        if not sweeps(pinned.contract):
            keys = int(self.query.one(f"SELECT count(DISTINCT key) FROM ({fine})"))
            return keys, keys
        [row] = self.query.rows(
            f'WITH fine AS ({fine}), marks AS (SELECT f.topic, f."partition", f."offset", f.key FROM fine f '
            f'JOIN {_alias(pinned.contract)} s ON s."_topic" = f.topic AND s."_partition" = f."partition" '
            'AND s."_offset" = f."offset" AND s."_op" = \'t\'), '
            "rest AS (SELECT f.key FROM fine f LEFT ANTI JOIN marks m ON m.topic = f.topic "
            'AND m."partition" = f."partition" AND m."offset" = f."offset") '
            "SELECT (SELECT count(*) FROM marks) AS marks, "
            "(SELECT count(DISTINCT r.key) FROM rest r LEFT ANTI JOIN marks m ON m.key = r.key) AS least, "
            "(SELECT count(DISTINCT key) FROM rest) AS most"
        )
        return int(row["marks"] + row["least"]), int(row["marks"] + row["most"])

    def _decisions(self, table: str, found: Found) -> None:
        twice = int(
            self.query.one(
                f"SELECT count(*) FROM (SELECT tenant_id, transaction_event_id FROM {table} "
                "GROUP BY tenant_id, transaction_event_id HAVING count(*) > 1)"
            )
        )
        if twice:
            found.say(f"{twice} transactions have more than one decision")


def _alias(contract: Contract) -> str:
    return f"silver_{contract.table}"


def _history(contract: Contract) -> str:
    return f"silver_{contract.history_table}"


def _key_copies(contract: Contract, table: str, *also: str) -> str:
    keys = ", ".join(f'"{column_of(contract, name)}"' for name in (*contract.key, *also))
    return f"SELECT {keys} FROM {table} GROUP BY {keys} HAVING count(*) > 1"


def _near_copies(contract: Contract, table: str) -> str:
    """Rows whose event id was there before, within the lateness."""
    tenant, event = (f'"{column_of(contract, n)}"' for n in (contract.tenant, contract.event_id))
    time = f'CAST("{column_of(contract, contract.event_time)}" AS BIGINT)'
    before = f"lag({time}) OVER (PARTITION BY {tenant}, {event} ORDER BY {time})"
    return (
        f"SELECT 1 FROM (SELECT {time} - {before} AS gap FROM {table}) "
        f"WHERE gap IS NOT NULL AND gap <= {_reach(contract)}"
    )


def _reach(contract: Contract) -> int:
    """The lateness in microseconds, as timestamps are counted here."""
    return int(contract.lateness.total_seconds() * 1_000_000)


def totals(pinned: Iterable[Pinned]) -> Mapping[str, int]:
    """Sums over all contracts, for the report."""
    return {what: sum(getattr(line, what) for one in pinned for line in one.lines) for what in COUNTS}
