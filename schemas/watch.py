"""Apply changes of the contracts folder while the stack runs: a new contract or version needs no restart."""

import threading
from collections.abc import Collection
from pathlib import Path

from caudal import log
from caudal.alerts import Alerts
from caudal.settings import Settings
from schemas.app import apply_all
from schemas.errors import Unreachable
from schemas.load import CONTRACT_FILE
from schemas.settings import SchemasSettings

Snapshot = dict[str, tuple[tuple[str, int, int], ...]]
"""Contract id to (file name, time of change in ns, size in bytes) of each of its files."""


def watch(settings: Settings, stop: threading.Event) -> None:
    """Look at the folder every `schemas.watch_s` seconds until `stop` is set; apply what changed.

    A change is applied once two looks in a row see the same files, so that half-written ones are not read. Nothing is
    raised: a contract in error is logged and left until its files change again, a broker that is away is tried again.
    """
    own = settings.section("schemas", SchemasSettings)
    alerts = Alerts.open(settings)
    applied: Snapshot = {}
    last: Snapshot = {}
    while not stop.is_set():
        now = snapshot(settings.contracts_dir)
        changed = {name for name in now if now[name] != applied.get(name)}
        if changed and now == last and apply_changed(settings, changed, alerts):
            applied = now
        last = now
        stop.wait(own.watch_s)


def snapshot(root: Path) -> Snapshot:
    """What can be seen of each contract's files without reading them."""
    found: Snapshot = {}
    for file in root.glob(f"*/*/{CONTRACT_FILE}"):
        folder = file.parent
        seen: list[tuple[str, int, int]] = []
        for entry in sorted(folder.iterdir()):
            try:
                stat = entry.stat()
            except FileNotFoundError:
                continue
            seen.append((entry.name, stat.st_mtime_ns, stat.st_size))
        found[f"{folder.parent.name}.{folder.name}"] = tuple(seen)
    return found


def apply_changed(settings: Settings, changed: Collection[str], alerts: Alerts) -> bool:
    """Load and apply these contracts; false when broker or registry is away and it should be tried again."""
    logger = log.get("schemas.watch")
    try:
        for result in apply_all(settings, only=changed):
            if result.error is not None:
                summary = f"contract {result.contract} was refused: {result.error.what}"
                alerts.raise_(result.error.code, summary, result.contract)
    except Unreachable as error:
        logger.warning("contracts wait", **error.facts())
        return False
    except Exception:  # one contract that breaks our own code must not end the watch over all others
        logger.exception("contracts could not be applied", contracts=sorted(changed))
    return True
