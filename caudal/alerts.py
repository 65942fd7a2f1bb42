"""Alarms behind one small port: grouped, coded, with a link to the runbook.

Every alarm goes to the log and to `<data>/run/alerts.jsonl`, which the dashboard and `caudal status` show; addresses in
`[alerts] urls` get it through apprise. The same group speaks once per `QUIET_S`.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from caudal import log
from caudal.settings import Settings

# An alarm of the same group within this time adds nothing for the person who reads it.
QUIET_S = 60.0


class Alerts:
    """The alarm port of one process."""

    def __init__(self, file: Path | None, urls: list[str], runbook: str) -> None:
        self._file, self._urls, self._runbook = file, urls, runbook
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()
        self._log = log.get("alerts")

    @staticmethod
    def open(settings: Settings) -> Alerts:
        """The port as the settings configure it."""
        urls = [url.get_secret_value() for url in settings.alerts.urls]
        return Alerts(settings.run_dir / "alerts.jsonl", urls, settings.alerts.runbook)

    def raise_(self, code: str, summary: str, group: str, **facts: object) -> None:
        """Raise an alarm. Never raises itself: an alarm that cannot be sent must not stop the work."""
        with self._lock:
            if time.monotonic() - self._last.get(group, float("-inf")) < QUIET_S:
                return
            self._last[group] = time.monotonic()
        link = f"{self._runbook}#{code.lower()}"
        record = {
            "at": time.time(),
            "code": code,
            "group": group,
            "summary": summary,
            "runbook": link,
            "facts": facts,
        }
        self._log.warning("alarm", code=code, group=group, summary=summary, runbook=link, **facts)
        self._keep(record)
        if self._urls:
            threading.Thread(target=self._send, args=(code, summary, link), daemon=True).start()

    def _keep(self, record: dict[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, default=str) + "\n")
        except OSError as error:
            self._log.warning("alarm not kept", why=type(error).__name__)

    def _send(self, code: str, summary: str, link: str) -> None:
        import apprise

        channel = apprise.Apprise()
        for url in self._urls:
            channel.add(url)
        if not channel.notify(title=f"Caudal {code}", body=f"{summary}\n{link}"):
            self._log.warning("alarm not delivered", code=code)


def recent(file: Path, limit: int = 50) -> list[dict[str, Any]]:
    """The latest alarms, newest first. A line that is being written is left for the next reading."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()[-limit:]
    except OSError:
        return []
    found = []
    for line in reversed(lines):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
