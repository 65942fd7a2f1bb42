from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from quality.results import Result, save
from tests.support import gold_lake as gold
from tests.support import page as support

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
HOSTILE = '<img src=x onerror="document.title=1">'


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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with support.browser() as opened:
        yield opened


@pytest.fixture
def stopped(tmp_path: Path) -> Install:
    settings = Settings.model_validate({"data_dir": tmp_path, "serving": {"dashboard": {"every_s": 0.3}}})
    (settings.run_dir / "metrics").mkdir(parents=True)
    streaming = Metrics("streaming", settings.run_dir / "metrics")
    streaming.ready()
    return Install(settings, Lake.open(settings), streaming)


@pytest.fixture
def install(stopped: Install) -> Iterator[Install]:
    with support.served(stopped.settings) as stopped.url:
        yield stopped


def fill(install: Install) -> None:
    gold.publish_live(install.lake)
    gold.publish_full(install.lake)
    gold.dead_letters(install.lake, ["CDL-GARBAGE", "CDL-GARBAGE", "CDL-MAGIC"])
    install.move(1000)
    results = [Result("fct_orders", "gold", code, code != "TOTALS", "critical", 30, 1) for code in ("UNIQUE", "TOTALS")]
    save(install.lake, "live-1", "live", 1, results)
    alarm = {"at": time.time(), "code": "CDL-PLAINTEXT", "group": "g", "summary": HOSTILE, "runbook": "r", "facts": {}}
    (install.settings.run_dir / "alerts.jsonl").write_text(json.dumps(alarm) + "\n")


def test_numbers_on_the_page_move(install: Install, chromium: Browser) -> None:
    """Counters, curves and gold change on the open page without a reload, from this host alone, without an error."""
    from playwright.sync_api import expect

    fill(install)
    context = chromium.new_context()
    page = install.signed_in(context)
    assert page.url == f"{install.url}/"
    raw = page.locator('[data-stage="raw"] .rows')
    assert raw.inner_text() == "1,000"
    assert page.locator("#shops tbody tr").count() == 2
    assert page.locator("#dead").inner_text().count("CDL-GARBAGE") == 1
    assert "1 of 2 checks failed" in page.locator("#quality").inner_text()

    install.move(234)
    expect(raw).to_have_text("1,234")
    expect(page.locator('[data-stage="raw"] .rate')).not_to_have_text("0/s")
    orders = page.locator("#now div:nth-child(3) dd:not(.sub)")
    expect(orders).to_have_text("30")
    gold.publish_live(install.lake, scale=3)
    expect(orders).to_have_text("90")
    page.wait_for_selector("polyline.spark-line", state="attached")

    assert install.complaints == []
    assert install.hosts == {urlsplit(install.url).netloc}
    context.close()


def test_strings_of_events_stay_strings(install: Install, chromium: Browser) -> None:
    """A hostile shop name, tier and alarm are shown as they are written and never become markup."""
    hostile = gold.rows()["revenue_by_shop"]
    hostile[0]["tenant_id"] = HOSTILE
    hostile[1]["currency"] = '"><script>1</script>'
    gold.publish_live(install.lake, changed={"revenue_by_shop": hostile})
    fill_alarm = {"at": 1, "code": HOSTILE, "group": "g", "summary": HOSTILE, "runbook": HOSTILE, "facts": {}}
    (install.settings.run_dir / "alerts.jsonl").write_text(json.dumps(fill_alarm) + "\n")
    context = chromium.new_context()
    page = install.signed_in(context)
    assert HOSTILE in page.locator("#shops").inner_text()
    assert HOSTILE in page.locator("#alerts").inner_text()
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "Caudal"
    assert install.complaints == []
    context.close()


def test_an_empty_install_says_what_is_missing(install: Install, chromium: Browser) -> None:
    """Before anything is published each section says so in words, and nothing is broken."""
    context = chromium.new_context()
    page = install.signed_in(context)
    assert "first cycle has to pass its gate" in page.locator("#gold").inner_text()
    for section in ("shops", "decisions", "payments", "tiers", "dead", "quality", "alerts"):
        assert page.locator(f"#{section} .empty").count() == 1, section
    assert install.complaints == []
    context.close()


def test_a_silent_server_is_told(stopped: Install, chromium: Browser) -> None:
    """When the server is away the page keeps its numbers, says of when they are, and is live again by itself."""
    from playwright.sync_api import expect

    fill(stopped)
    context = chromium.new_context()
    with support.served(stopped.settings) as stopped.url:
        page = stopped.signed_in(context)
    page.evaluate("performance.now = ((now) => () => now.call(performance) + 60000)(performance.now)")
    page.wait_for_selector("#stale:not([hidden])")
    assert page.locator("#connection").inner_text() in ("not live", "reconnecting")
    assert page.locator('[data-stage="raw"] .rows').inner_text() == "1,000"
    stopped.move(11)
    with support.served(stopped.settings, port=int(stopped.url.rsplit(":", 1)[1])):
        expect(page.locator('[data-stage="raw"] .rows')).to_have_text("1,011", timeout=20_000)
        expect(page.locator("#connection")).to_have_text("live")
        assert page.locator("#stale").is_hidden()
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1360), ("dark", 1360), ("light", 390)])
def test_it_fits_and_can_be_used_by_keyboard(
    install: Install, chromium: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    """No sideways scroll on a phone, readable contrast in both themes, and the theme button works by keyboard."""
    fill(install)
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
    page = install.signed_in(context)
    wide = page.evaluate(
        "w => [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > w + 1)"
        ".map((e) => `${e.tagName} ${e.className} ${e.textContent.slice(0, 20)}`)",
        width,
    )
    assert (page.evaluate("document.documentElement.scrollWidth") <= width, wide) == (True, [])
    assert page.evaluate("performance.getEntriesByType('paint')[0].startTime") < 3000
    contrast = page.evaluate(
        """() => {
          const light = (css) => { const [r, g, b] = css.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
            .map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
          const ratio = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
          const card = light(getComputedStyle(document.querySelector('.panel')).backgroundColor);
          return [...document.querySelectorAll('.panel h2, .panel td, .panel th, .empty, .quiet, .mark')]
            .filter((e) => e.textContent && e.closest('.panel'))
            .map((e) => ratio(light(getComputedStyle(e).color), card)); }"""
    )
    assert min(contrast) >= 4.5
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Tab")
    label = page.locator("#theme").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#theme").inner_text() != label
    page.screenshot(path=str(tmp_path / f"{scheme}-{width}.png"), full_page=True)
    assert install.complaints == []
    context.close()


def test_the_api_describes_itself_offline(install: Install, chromium: Browser) -> None:
    """The API's page is drawn from its own description by bundled scripts."""
    context = chromium.new_context()
    page = install.watched(context)
    page.goto(f"{install.url}/docs")
    page.wait_for_selector(".route")
    text = page.locator("#routes").inner_text()
    assert all(path in text for path in ("/v1/gold/{mart}", "/v1/status", "/readyz"))
    assert install.complaints == []
    assert install.hosts == {urlsplit(install.url).netloc}
    context.close()
