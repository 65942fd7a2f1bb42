from __future__ import annotations

import re
from pathlib import Path

import pytest

from serving.dashboard import app

ASSETS = Path(app.__file__).parent / "assets"
# The name of SVG's namespace is no address that anything loads.
NAMESPACE = "http://www.w3.org/2000/svg"


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


def test_imports_exist() -> None:
    """Every module a script imports is bundled."""
    for path in ASSETS.glob("*.js"):
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text()):
            assert (ASSETS / name).is_file()
