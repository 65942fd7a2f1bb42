from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.api.exposition import LABELS, NAMES

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTED = set(re.findall(r"`(caudal_\w+)", (ROOT / "docs" / "metrics.md").read_text()))
BOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
SCRAPES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
PACKAGES = ("caudal", "schemas", "privacy", "producers", "streaming", "quality", "batch", "serving")
METRIC = re.compile(r"\bcaudal_[a-z_]+\b")
DURATION = re.compile(r"\d+(ms|s|m|h|d)")


def expressions() -> Iterator[tuple[str, str]]:
    for board in BOARDS:
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{board.stem}: {panel['title']}", target["expr"]
    for group in RULES:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("where", "text"), list(expressions()))
def test_expressions_ask_for_real_numbers(where: str, text: str) -> None:
    """Every metric and label a panel or an alarm names exists, and its brackets close."""
    assert set(METRIC.findall(text)) <= set(NAMES), where
    assert set(METRIC.findall(text)) <= DOCUMENTED, where
    labels = {n for part in re.findall(r"\{([^}]*)\}", text) for n in re.findall(r"(\w+)\s*[=!]", part)}
    labels |= {n.strip() for part in re.findall(r"by \(([^)]*)\)", text) for n in part.split(",")}
    assert labels <= LABELS, where
    for opened, closed in ("()", "[]", "{}"):
        assert text.count(opened) == text.count(closed), where
    assert all(DURATION.fullmatch(window) for window in re.findall(r"\[([^\]]*)\]", text)), where


def test_metrics_of_the_code_are_documented() -> None:
    """Each name that the code counts stands in docs/metrics.md; a new one is added there."""
    called = re.compile(r"\.(?:count|gauge)\(\s*\"(caudal_\w+)\"")
    found = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in called.findall(path.read_text(encoding="utf-8"))
    }
    assert set() == found - DOCUMENTED
    assert set() == set(NAMES) - DOCUMENTED


def test_alarms_lead_to_the_runbook() -> None:
    """Each alarm has a summary, a severity, and a heading of the runbook that its link names."""
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in (ROOT / "docs" / "runbook.md").read_text().splitlines()
        if line.startswith("#")
    }
    for group in RULES:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "warn")
            assert rule["annotations"]["summary"]
            file, _, anchor = rule["annotations"]["runbook"].partition("#")
            assert (file, anchor in headings) == ("docs/runbook.md", True), rule["alert"]
            assert DURATION.fullmatch(rule.get("for", "0s"))


def test_prometheus_scrapes_the_web_process() -> None:
    """The scrape's target is a service of the compose file, its token comes from a file, its rules exist."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    job = next(j for j in SCRAPES["scrape_configs"] if j["job_name"] == "caudal")
    assert job["metrics_path"] == "/metrics"
    [target] = job["static_configs"][0]["targets"]
    assert target.split(":")[0] in services
    assert job["authorization"]["credentials_file"] == "/scrape/token"
    assert all((ROOT / "deploy" / "prometheus" / name).is_file() for name in SCRAPES["rule_files"])
    known = {"global", "rule_files", "scrape_configs"}
    assert set(SCRAPES) <= known
    assert all(DURATION.fullmatch(v) for v in SCRAPES["global"].values())


@pytest.mark.parametrize("path", BOARDS, ids=lambda p: p.stem)
def test_boards_are_provisioned_and_whole(path: Path) -> None:
    """Boards use the provisioned data source, panels have ids of their own and do not overlap."""
    board: dict[str, Any] = json.loads(path.read_text())
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    uids = {s["uid"] for s in sources["datasources"]}
    panels = board["panels"]
    assert {p["datasource"]["uid"] for p in panels} <= uids
    assert len({p["id"] for p in panels}) == len(panels)
    cells = [
        (x, y)
        for p in panels
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
