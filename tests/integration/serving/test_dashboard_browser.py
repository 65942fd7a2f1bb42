from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from quality.results import Result, save
from serving.dashboard.statements import PAGES
from tests.support import dashboard_lake
from tests.support import gold_lake as gold
from tests.support import page as support
from tests.support.dashboard_install import (
    CONTRAST,
    FITS,
    HOSTILE,
    NAMELESS,
    Install,
    around,
    checks,
    prepared,
)
from tests.support.silver_trail import trail

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
PATHS = ["/", *(f"/{name}" for name in PAGES if name != "overview")]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with support.browser() as opened:
        yield opened


@pytest.fixture
def stopped(tmp_path: Path) -> Install:
    return prepared(tmp_path)


@pytest.fixture
def install(stopped: Install) -> Iterator[Install]:
    with support.served(stopped.settings) as stopped.url:
        yield stopped


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """One install with something in every part of every page."""
    made = prepared(tmp_path_factory.mktemp("full"))
    dashboard_lake.fill(made.lake)
    trail(made.lake, "bank-a", "bank-a-e1", dashboard_lake.NOW)
    around(made)
    with support.served(made.settings) as made.url:
        yield made


@pytest.fixture
def page(full: Install, chromium: Browser) -> Iterator[Page]:
    """A page of the full install with a session; whatever it complained about fails the test."""
    context = chromium.new_context(timezone_id="America/Sao_Paulo", locale="en-GB")
    assert context.request.get(f"{full.url}/?token={full.token()}", max_redirects=0).status == 303
    full.complaints.clear()
    full.hosts.clear()
    yield full.watched(context)
    context.close()
    assert full.complaints == []
    assert full.hosts <= {urlsplit(full.url).netloc}


def test_the_road_moves(install: Install, chromium: Browser) -> None:
    """Counters, curves and gold change on the open page without a reload, from this host alone, without an error."""
    from playwright.sync_api import expect

    gold.publish_live(install.lake)
    gold.publish_full(install.lake)
    around(install)
    context = chromium.new_context()
    page = install.signed_in(context)
    assert page.url == f"{install.url}/"
    raw = page.locator('[data-stage="raw"] .rows')
    assert raw.inner_text() == "1,000"
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


FIRST = "#now div:first-child dd:not(.sub)"
SILVER = "#silver tbody tr:first-child td:nth-child(2)"


def total(rows: list[dashboard_lake.Record], column: str = "") -> str:
    return f"{sum(row[column] for row in rows) if column else len(rows):,}"


@pytest.mark.parametrize(
    ("path", "mart", "rows", "column", "place"),
    [
        ("/commerce", "revenue_by_shop", dashboard_lake.commerce, "orders", FIRST),
        ("/payments", "fct_transactions", dashboard_lake.payments, "", FIRST),
        ("/product", "fct_product_events_daily", dashboard_lake.product, "events", FIRST),
        ("/fraud", "fct_fraud_decisions", dashboard_lake.fraud, "", FIRST),
        (
            "/operations",
            "ops_freshness",
            dashboard_lake.operations,
            "rows",
            SILVER,
        ),
    ],
)
def test_numbers_of_gold_move(
    full: Install,
    page: Page,
    path: str,
    mart: str,
    rows: Callable[[int], dict[str, list[dashboard_lake.Record]]],
    column: str,
    place: str,
) -> None:
    """A new version of a mart is on the open page with its number, its version and no reload."""
    from playwright.sync_api import expect

    before, after = (rows(scale)[mart] for scale in (1, 2))
    if mart == "ops_freshness":
        before, after = before[:1], after[:1]
    full.open(page, path)
    expect(page.locator(place)).to_have_text(total(before, column))
    source = page.locator(f'[data-mart="{mart}"]').first
    expect(source).to_contain_text("version 0, ")
    dashboard_lake.publish_one(full.lake, mart, after)
    expect(page.locator(place)).to_have_text(total(after, column))
    expect(source).to_contain_text("version 1, ")
    assert page.locator("main section > :empty").count() == 0
    assert page.locator("main .empty").count() == 0


def test_checks_move(full: Install, page: Page) -> None:
    """The newest gate's verdict and the checks that failed follow what the gate writes."""
    from playwright.sync_api import expect

    checks(full, failing=1)
    full.open(page, "/quality")
    expect(page.locator("#verdicts")).to_contain_text("1 of 2 checks failed")
    assert page.locator("#failed tbody tr").count() == 1
    checks(full, failing=0)
    expect(page.locator("#verdicts")).to_contain_text("2 checks passed")
    expect(page.locator("#failed")).to_contain_text("Every check passed.")


def test_dead_letters_are_grouped_explained_and_healed(full: Install, page: Page) -> None:
    """From a group to its letters to one letter and the command that heals it; groups grow while one looks."""
    from playwright.sync_api import expect

    full.open(page, "/dead-letters")
    group = page.locator("#groups tr", has_text="CDL-GARBAGE")
    expect(group.locator("td.num").first).to_have_text("2")
    group.locator("a").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#letters tbody tr")).to_have_count(2)
    expect(page.locator("#heal code")).to_have_text(
        "caudal deadletters replay --contract shop.order --code CDL-GARBAGE --path total --dry-run"
    )
    page.locator("#letters tbody button").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#letter .facts")).to_contain_text("cdl-garbage")
    expect(page.locator("#letter code")).to_have_text(
        "caudal deadletters replay --contract shop.order --at shop.order:0:0 --dry-run"
    )
    gold.dead_letters(full.lake, ["CDL-NULL"] * 5)
    expect(page.locator("#groups tr", has_text="CDL-NULL").locator("td.num").first).to_have_text("5")
    expect(page.locator("#letter .facts")).to_contain_text("cdl-garbage")


def test_a_number_leads_to_its_rows_and_an_events_road(full: Install, page: Page) -> None:
    """By keyboard from a bank to its payments to one payment's stages, with times in the viewer's zone."""
    from playwright.sync_api import expect

    full.open(page, "/payments")
    page.locator("#banks a", has_text="bank-a").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/rows/fct_transactions?tenant_id.eq=bank-a&currency.eq=BRL")
    expect(page.locator("#rows tbody tr")).to_have_count(50)
    expect(page.locator("#rows")).to_contain_text("4 May 2026, 09:00:00")
    page.get_by_text("Further rows").click()
    page.wait_for_url("**cursor=**")
    expect(page.locator("#rows tbody tr").first).to_be_visible()
    full.open(page, "/rows/fct_transactions?tenant_id.eq=bank-a&event_id.eq=bank-a-e1")
    page.locator("#rows tbody button").focus()
    page.keyboard.press("Enter")
    hops = page.locator(".trail li")
    expect(hops).to_have_count(7)
    stages = ["source", "sealed", "kafka", "raw", "silver", "gold", "decision"]
    assert [hop.get_attribute("data-hop") for hop in hops.all()] == stages
    expect(hops.nth(2)).to_contain_text("payments.transaction:3:41")
    expect(hops.nth(4)).to_contain_text("09:00:02 (2 s after sealing)")
    full.open(page, "/rows/fct_transactions?tenant_id.eq=nobody")
    expect(page.locator("#rows")).to_contain_text("No row is like that.")


def test_a_refused_question_is_told(full: Install, page: Page) -> None:
    """A mart that does not exist is told in the server's words, with the nearest name."""
    from playwright.sync_api import expect

    full.open(page, "/rows/fct_order")
    expect(page.locator("#rows [role=alert]")).to_contain_text("did you mean fct_orders?")
    # the browser itself notes that the answer was a 400
    assert [text for text in full.complaints if "400" not in text] == []
    full.complaints.clear()


def test_strings_of_events_stay_strings(install: Install, chromium: Browser) -> None:
    """Hostile text in any column of any mart, in checks, letters and alarms is shown as written, on every page."""
    full = {**dashboard_lake.commerce(1), **dashboard_lake.payments(1), **dashboard_lake.product(1)}
    full |= {**dashboard_lake.fraud(1), **dashboard_lake.operations(1)}
    hostile = {}
    for mart, rows in full.items():
        words = [field.name for field in dashboard_lake.schema(mart) if str(field.type) == "string"]
        hostile[mart] = [{**row, **dict.fromkeys(words, HOSTILE)} for row in rows[:3]]
    dashboard_lake.fill(install.lake, changed=hostile)
    gold.dead_letters(install.lake, [HOSTILE, HOSTILE])
    save(install.lake, "live-1", "live", 1, [Result(HOSTILE, "gold", HOSTILE, False, "critical", 1, 1, HOSTILE)])  # type: ignore[arg-type]
    alarm = {"at": 1, "code": HOSTILE, "group": "g", "summary": HOSTILE, "runbook": HOSTILE, "facts": {}}
    (install.settings.run_dir / "alerts.jsonl").write_text(json.dumps(alarm) + "\n")
    install.move(1)
    context = chromium.new_context()
    page = install.signed_in(context)
    for path in [*PATHS, "/rows/fct_orders", f"/dead-letters?contract=shop.order&code={quote(HOSTILE)}"]:
        install.open(page, path)
        assert HOSTILE in page.locator("main").inner_text(), path
        assert page.locator("main img, main script, main iframe").count() == 0
        assert page.title().endswith("Caudal")
        addresses = page.eval_on_selector_all("main a", "links => links.map((a) => new URL(a.href).origin)")
        assert set(addresses) <= {install.url}
    command = page.locator("#heal code").inner_text()
    assert command == f"caudal deadletters replay --contract shop.order --code '{HOSTILE}' --dry-run"
    assert install.complaints == []
    context.close()


def test_an_empty_install_says_what_is_missing(install: Install, chromium: Browser) -> None:
    """Before anything is published each section of each page says so in words, and nothing is broken."""
    context = chromium.new_context()
    page = install.signed_in(context)
    for path in PATHS:
        install.open(page, path)
        sections = page.locator("main section.panel")
        silent = [s.inner_text() for s in sections.all() if not s.locator(".empty, tbody tr").count()]
        assert (sections.count() >= 5, silent) == (True, []), path
    assert install.complaints == []
    context.close()


def test_a_table_that_cannot_be_read_is_told(stopped: Install, chromium: Browser) -> None:
    """A section whose files are away says so as an alert; the others show their numbers."""
    dashboard_lake.fill(stopped.lake)
    for file in Path(stopped.lake.table("gold", "dim_products").removeprefix("file://")).glob("*.parquet"):
        file.unlink()
    context = chromium.new_context()
    with support.served(stopped.settings) as stopped.url:
        page = stopped.signed_in(context)
        stopped.open(page, "/commerce")
        assert "cannot be read" in page.locator("#products [role=alert]").inner_text()
        assert page.locator("#shops tbody tr").count() == 2
    context.close()


def test_a_silent_server_is_told(stopped: Install, chromium: Browser) -> None:
    """When the server is away the page keeps its numbers, says of when they are, and is live again by itself."""
    from playwright.sync_api import expect

    gold.publish_live(stopped.lake)
    stopped.move(1000)
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


@pytest.mark.parametrize("path", [*PATHS, "/rows/fct_orders"])
def test_every_page_fits_reads_and_has_names(full: Install, page: Page, path: str) -> None:
    """Readable contrast in both themes, no sideways scroll on a phone, a name for whatever can be heard or reached.

    With CAUDAL_TEST_SCREENSHOTS, a folder, there are pictures to look at.
    """
    full.open(page, path)
    assert page.evaluate(NAMELESS) == []
    for scheme, width in (("light", 1360), ("dark", 1360), ("light", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(CONTRAST) >= 4.5
        assert page.evaluate(FITS, width) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("CAUDAL_TEST_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/{scheme}-{width}{path.replace('/', '-')}.png", full_page=True)


def test_the_page_is_used_by_keyboard(full: Install, page: Page) -> None:
    """Skip link, theme and navigation are reached in order; a new state leaves the focus where it is."""
    from playwright.sync_api import expect

    full.open(page, "/commerce")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(2):
        page.keyboard.press("Tab")
    label = page.locator("#theme").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#theme").inner_text() != label
    expect(page.locator(".pages a[aria-current]")).to_have_text("Commerce")
    page.locator("#shops a").first.focus()
    shop = page.evaluate("document.activeElement.textContent")
    orders = page.locator("#shops tbody tr:first-child td:nth-child(2)")
    before = orders.inner_text()
    dashboard_lake.publish_one(full.lake, "revenue_by_shop", dashboard_lake.commerce(5)["revenue_by_shop"])
    expect(orders).not_to_have_text(before)
    assert page.evaluate("document.activeElement.textContent") == shop


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
