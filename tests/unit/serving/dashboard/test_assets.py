from __future__ import annotations

import re
from pathlib import Path

import pytest

from serving.dashboard import app
from serving.dashboard.statements import PAGES

ASSETS = Path(app.__file__).parent / "assets"
# The name of SVG's namespace is no address that anything loads.
NAMESPACE = "http://www.w3.org/2000/svg"


def read(name: str) -> str:
    return (ASSETS / name).read_text()


@pytest.mark.parametrize("path", sorted(ASSETS.iterdir()), ids=lambda p: p.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    """No asset names an address outside this server."""
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"']*", path.read_text().replace(NAMESPACE, "")) == []


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.js")), ids=lambda p: p.name)
def test_no_string_becomes_markup(path: Path) -> None:
    """Scripts write text, never HTML, and evaluate nothing."""
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc|DOMParser"
    assert re.findall(forbidden, path.read_text()) == []


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.html")), ids=lambda p: p.name)
def test_pages_fit_the_policy(path: Path) -> None:
    """No inline script, style or handler, which the content security policy would stop."""
    text = path.read_text()
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text) == []
    for name in re.findall(r"/assets/([\w.]+)", text):
        assert (ASSETS / name).is_file()


def test_every_page_can_be_reached() -> None:
    """The links of the navigation, the pages of the script and those that the server feeds are the same."""
    text = (ASSETS / "index.html").read_text()
    links = re.findall(r'<a href="(/[\w-]*)">', text)
    assert [link[1:] or "overview" for link in links] == list(PAGES)
    assert '<a href="/catalogue/index.html">' in text
    script = (ASSETS / "app.js").read_text()
    assert re.findall(r'^  "?([\w-]+)"?: \{ title:', script, re.MULTILINE) == list(PAGES)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_figure_is_shown(page: str) -> None:
    """A page's script asks for exactly the figures that the server makes for it."""
    script = (ASSETS / f"{'letters' if page == 'dead-letters' else page}.js").read_text()
    listed = re.findall(r"(?:figures: |tileSection\()\[([^\]]*)\]", script)
    asked = {name for names in listed for name in re.findall(r'"(\w+)"', names)}
    assert asked == {*PAGES[page]}


def test_imports_exist() -> None:
    """Every module a script imports is bundled, and exports what is taken from it."""
    for path in ASSETS.glob("*.js"):
        for names, name in re.findall(r'import \{ ([^}]+) \} from "\./([\w.]+)"', path.read_text()):
            exported = set(
                re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", (ASSETS / name).read_text(), re.M)
            )
            wanted = {part.split(" as ")[0].strip() for part in names.split(",")}
            assert wanted <= exported, (path.name, name)
