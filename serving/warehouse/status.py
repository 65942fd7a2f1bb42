"""What PostgreSQL shows now, beside what gold has published."""

from __future__ import annotations

from dataclasses import dataclass

from caudal.lake import Lake
from caudal.settings import Settings
from schemas.manifest import load_current
from serving.warehouse import roles
from serving.warehouse.app import connected


@dataclass(frozen=True)
class Shown:
    """A mart as BI tools see it. `age_s` counts from when its group was published in the lake."""

    mart: str
    group: str
    cycle: str
    version: int
    rows: int
    age_s: float


@dataclass(frozen=True)
class Status:
    """The newest manifest of gold, the one that PostgreSQL shows (0: none), and its marts."""

    published: int
    shown: int
    marts: tuple[Shown, ...]

    @property
    def behind(self) -> bool:
        return self.shown != self.published


def status(settings: Settings) -> Status:
    """Ask PostgreSQL and the lake. Raises Off, Away, Unfit."""
    manifest = load_current(Lake.open(settings))
    with connected(settings) as (link, _), link.transaction():
        roles.prepare(link)
        rows = link.execute(
            "SELECT mart, publish_group, cycle, version, rows, "
            "extract(epoch FROM now() - published_at)::double precision FROM caudal.published ORDER BY mart"
        ).fetchall()
        [(shown,)] = link.execute("SELECT coalesce(max(manifest), 0) FROM caudal.published").fetchall()
    return Status(manifest.number if manifest else 0, shown, tuple(Shown(*row) for row in rows))
