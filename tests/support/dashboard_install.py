"""An install of which a browser sees the dashboard, and what the browser asks its pages about themselves."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from quality.results import Result, save
from tests.support import gold_lake as gold

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

HOSTILE = '<img src=x onerror="document.title=1">'


# What of the page sticks out on the right, what is hard to read, and what a screen reader cannot name.
FITS = """(w) => [...document.querySelectorAll('body *')]
  .filter((e) => !e.closest('.scroll, .pages, svg') && e.getBoundingClientRect().right > w + 1)
  .map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 20)}`)"""
CONTRAST = """() => {
  const light = (css) => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
    .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
  const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const card = light(getComputedStyle(document.querySelector('.panel')).backgroundColor);
  const texts = document.querySelectorAll('h2, td, th, .empty, .quiet, .mark, .from, .legend li');
  return Math.min(...[...texts].filter((e) => e.textContent && e.closest('.panel'))
    .map((e) => ratio(light(getComputedStyle(e).color), card))); }"""
NAMELESS = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const ids = all('[id]').map((e) => e.id);
  const named = (e) => (e.textContent + (e.getAttribute('aria-label') ?? '')).trim();
  const there = (e, attribute) => document.getElementById(e.getAttribute(attribute));
  return [
    ...ids.filter((id, i) => ids.indexOf(id) !== i),
    ...all('a, button, h1, h2, h3, th, summary, caption').filter((e) => !named(e)),
    ...all('svg, [role=region]').filter((e) => !e.getAttribute('aria-label')),
    ...all('main section').filter((e) => !named(there(e, 'aria-labelledby'))),
    ...all('table').filter((e) => !e.caption || !e.querySelector('th[scope]')),
    ...all('[aria-controls]').filter((e) => !there(e, 'aria-controls')),
  ].map((e) => e.outerHTML ?? e); }"""


@dataclass
class Install:
    """An install without its processes: the test writes what they would."""

    settings: Settings
    lake: Lake
    streaming: Metrics
    url: str = ""
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def move(self, rows: int) -> None:
        """Rows go through every stage."""
        for stage in ("source", "kafka", "raw", "silver", "gold", "decision"):
            self.streaming.count("caudal_rows_total", rows, stage=stage, contract="commerce.order")
            self.streaming.ages(stage, [1.5] * 10)
        self.streaming.gauge("caudal_lag", 42, stage="raw", contract="commerce.order")
        self.streaming.flush()

    def token(self) -> str:
        store = tokens.open_store(self.settings.data_dir)
        plain = store.issue("operator", once=True)
        store.close()
        return plain

    def watched(self, context: BrowserContext) -> Page:
        """A page whose complaints and requests are kept."""
        page = context.new_page()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.complaints.append(str(e)))
        page.on("request", lambda r: self.hosts.add(urlsplit(r.url).netloc))
        return page

    def signed_in(self, context: BrowserContext) -> Page:
        page = self.watched(context)
        page.goto(f"{self.url}/?token={self.token()}")
        page.wait_for_selector("#connection.good")
        return page

    def open(self, page: Page, path: str) -> None:
        """Go to a page and wait for its first state or answer."""
        page.goto(f"{self.url}{path}")
        page.wait_for_selector("body:not(.loading)")


def prepared(folder: Path) -> Install:
    settings = Settings.model_validate({"data_dir": folder, "serving": {"dashboard": {"every_s": 0.3}}})
    (settings.run_dir / "metrics").mkdir(parents=True)
    streaming = Metrics("streaming", settings.run_dir / "metrics")
    streaming.ready()
    return Install(settings, Lake.open(settings), streaming)


def around(install: Install) -> None:
    """What is on the pages beside gold: metrics, dead letters, checks, alarms."""
    gold.dead_letters(install.lake, ["CDL-GARBAGE", "CDL-GARBAGE", "CDL-MAGIC"])
    install.streaming.gauge("caudal_freshness_seconds", 3, contract="commerce.order")
    install.streaming.gauge("caudal_freshness_promise_seconds", 60, contract="commerce.order")
    install.move(1000)
    checks(install, failing=1)
    alarm = {"at": time.time(), "code": "CDL-GATE", "group": "g", "summary": HOSTILE, "runbook": "r", "facts": {}}
    (install.settings.run_dir / "alerts.jsonl").write_text(json.dumps(alarm) + "\n")


def checks(install: Install, failing: int) -> None:
    """The gate's newest results: two checks, of which some fail."""
    found = [Result("fct_orders", "gold", f"C{n}", n >= failing, "critical", 30, 1) for n in range(2)]
    save(install.lake, "live-1", "live", 1, found)
