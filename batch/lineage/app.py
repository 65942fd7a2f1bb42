"""Where lineage is wired: the graph of this install, the follower beside the batch process, what the verbs ask for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from batch.lineage import assemble, catalogue, follow, pages
from batch.lineage.events import Places
from batch.lineage.follow import Follower
from batch.lineage.graph import Graph
from batch.lineage.send import HttpReceiver
from batch.lineage.settings import LineageSettings
from batch.settings import BatchSettings
from caudal import log
from caudal.clock import SystemClock
from caudal.lake import Lake
from caudal.settings import Settings
from schemas.load import load_catalog
from schemas.manifest import load_current


def graph(settings: Settings) -> Graph:
    """The graph of this install. Raises ContractError, RulesError or ProjectError when its files cannot be read."""
    return assemble.graph(load_catalog(settings.contracts_dir).values(), settings.section("batch", BatchSettings))


def places(settings: Settings) -> Places:
    """Where this install's data is, in OpenLineage's naming."""
    own = settings.section("lineage", LineageSettings)
    broker = settings.kafka.bootstrap.split(",")[0].strip()
    return Places(Lake.open(settings).uri, broker, own.namespace)


def export(settings: Settings, since_ms: int) -> Iterator[list[dict[str, Any]]]:
    """The events of all runs since then that the lake still knows, page by page. Writes nothing."""
    lake, kept = Lake.open(settings), _kept(settings)
    for news in follow.news(lake, kept, follow.Position(since_ms)):
        yield follow.told(news.runs, kept, places(settings))


@contextmanager
def following(settings: Settings) -> Iterator[None]:
    """Look for new runs in a thread of its own as long as the block lasts."""
    own = settings.section("lineage", LineageSettings)
    if not own.enabled:
        yield
        return
    receiver, kept = HttpReceiver(own) if own.url else None, _kept(settings)
    follower = Follower(Lake.open(settings), kept, places(settings), SystemClock(), own.keep_mib << 20, receiver)
    stop = threading.Event()
    both = (follower.once, Pages(settings, kept, own.catalogue_every_s).once)
    thread = threading.Thread(target=_look, args=(both, stop, own.every_s), name="lineage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
        if receiver is not None:
            receiver.close()


class Pages:
    """The catalogue in the data folder, where the dashboard shows it."""

    def __init__(self, settings: Settings, kept: Callable[[], Graph], every_s: float) -> None:
        self._lake, self._graph, self._every_s = Lake.open(settings), kept, every_s
        self._folder = settings.catalogue_dir
        self._of, self._next_at = 0, 0.0

    def once(self) -> None:
        """Make it again when something was published since, and it is time."""
        manifest = load_current(self._lake)
        due = self._every_s > 0 and time.monotonic() >= self._next_at
        if manifest is None or manifest.number == self._of or not due:
            return
        current = self._graph()
        found = catalogue.build(self._lake, current, SystemClock().now_ms(), samples=False)
        pages.write(self._folder, pages.render(found, current))
        self._of, self._next_at = manifest.number, time.monotonic() + self._every_s


def _look(each: Iterable[Callable[[], object]], stop: threading.Event, every_s: float) -> None:
    while not stop.wait(every_s):
        for look in each:
            try:
                look()
            except Exception as error:  # noqa: BLE001 (storage may be away; lineage is no reason to stop anything)
                log.get("lineage").warning("nobody looked at what ran; the next look does", why=type(error).__name__)


def _kept(settings: Settings) -> Callable[[], Graph]:
    """The graph, made again only when a file that it is made of has changed."""
    held: list[tuple[frozenset[tuple[str, int]], Graph]] = []

    def current() -> Graph:
        files = assemble.sources(settings.contracts_dir, settings.section("batch", BatchSettings))
        if not held or held[0][0] != files:
            held[:] = [(files, graph(settings))]
        return held[0][1]

    return current
