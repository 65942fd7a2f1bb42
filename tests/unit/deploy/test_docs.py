from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("caudal", "schemas", "privacy", "producers", "streaming", "quality", "batch", "serving")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PAGES = ("architecture.md", "runbook.md", "metrics.md")
# A whole code, not the beginning of a family such as CDL-RULE-.
CODE = re.compile(r"[\"'](CDL-[A-Z][A-Z0-9]*(?:-[A-Z0-9]+)*)[\"']")


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as a renderer makes them."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
        for line in text.splitlines()
        if re.match(r"#{1,6} ", line)
    }


def test_every_code_has_its_section() -> None:
    """Each code that an error, an alarm or a dead letter can carry has a section in the runbook; add one there."""
    found = {
        code
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for code in CODE.findall(path.read_text(encoding="utf-8"))
    }
    known = {c for c in found if not c.startswith(("CDL-CONTRACT", "CDL-RULE"))}
    assert len(known) > 50
    assert {c for c in known if c.lower() not in anchors(RUNBOOK)} == set()


def test_every_section_says_what_to_do() -> None:
    """A code's section has a resolution, a symptom's has diagnosis and resolution."""
    for section in RUNBOOK.split("\n### ")[1:]:
        assert "**Do.**" in section, section.splitlines()[0]
    for section in RUNBOOK.split("# Codes")[0].split("\n## ")[1:]:
        assert "**Diagnosis.**" in section, section.splitlines()[0]
        assert "**Resolution.**" in section, section.splitlines()[0]


def test_the_architecture_names_every_service() -> None:
    """Each service of the compose file, and each image of ours, stands in the architecture."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {name for name in services if f"`{name}`" not in ARCHITECTURE} == set()
    diagram = "\n".join(re.findall(r"```mermaid\n(.*?)```", ARCHITECTURE, re.S))
    for name in ("kafka", "registry", "valkey", "s3", "streaming", "batch", "scorer", "web", "contracts"):
        assert re.search(rf"\b{name}\b", diagram), name


def test_the_architecture_admits_what_was_not_run() -> None:
    """The docs say plainly that the containers were not run where there is no engine."""
    assert "Not run yet" in ARCHITECTURE


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Links between the pages, and anchors within them, exist."""
    text = (ROOT / "docs" / page).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        path = ROOT / "docs" / (file or page)
        assert path.is_file() or file == "contracts.md", target
        assert not anchor or anchor in anchors(path.read_text()), target
