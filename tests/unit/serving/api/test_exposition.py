from __future__ import annotations

import re
from pathlib import Path

from caudal.metrics import Metrics, read_all
from serving.api.exposition import MOST_SERIES, NAMES, render
from serving.api.gold import Gold, Mart

LINE = re.compile(r'^[a-z_]+(\{[a-z]+="(?:[^"\\\n]|\\["\\n])*"(,[a-z]+="(?:[^"\\\n]|\\["\\n])*")*\})? -?[0-9.e+-]+$')
GOLD = Gold(3, {"fct_orders": Mart("fct_orders", "live", "c1", 1_000_000, "p", "id", 4, 20)}, ())


def written(folder: Path) -> Metrics:
    metrics = Metrics("streaming", folder)
    metrics.count("caudal_rows_total", 5, stage="raw", contract="commerce.order")
    metrics.gauge("caudal_lag", 12, stage="raw", contract="commerce.order")
    metrics.ages("raw", [1.0, 2.0, 3.0])
    return metrics


def test_text_is_well_formed(tmp_path: Path) -> None:
    """Each line is a sample or a comment, each name has one type, and known numbers come out."""
    written(tmp_path).flush()
    page = render(read_all(tmp_path), GOLD, now=1_010.0)
    samples = [line for line in page.splitlines() if not line.startswith("#")]
    assert all(LINE.match(line) for line in samples), page
    assert 'caudal_rows_total{contract="commerce.order",process="streaming",stage="raw"} 5' in samples
    assert 'caudal_age_seconds{process="streaming",quantile="0.95",stage="raw"} 2' in samples
    assert 'caudal_gold_age_seconds{group="live"} 10' in samples
    types = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(set(types)) == len(types)
    assert {s.split("{")[0].split(" ")[0] for s in samples} <= set(NAMES)


def test_labels_are_bounded(tmp_path: Path) -> None:
    """A label that nobody foresaw is left out, a hostile value is escaped, and series cannot grow without end."""
    metrics = written(tmp_path)
    metrics.count("caudal_rejects_total", 1, stage="source", code='a"b\\c\nd', tenant="acme")
    for number in range(MOST_SERIES + 50):
        metrics.count("caudal_rejects_total", 1, stage="source", code=f"C{number}")
    metrics.flush()
    page = render(read_all(tmp_path), None)
    assert "acme" not in page
    assert 'code="a\\"b\\\\c\\nd"' in page
    assert sum(not line.startswith("#") for line in page.splitlines()) == MOST_SERIES
