"""The rules of product analytics: what ships is good, and what does not fit is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import RulesError
from schemas.load import load_catalog
from schemas.product import load

ROOT = Path(__file__).resolve().parents[3]
TIERS = "id: product\nsource: product.event\ntiers: {free: {shows: [page]}}\n"


def test_the_rules_that_ship_name_a_contract_and_its_tiers() -> None:
    """Every tier that the contract lets in has a rule, or its events would be shown to nobody."""
    rules = load()
    contract = load_catalog(ROOT / "schemas" / "contracts")[rules.source]
    [allowed] = [rule.rule for rule in contract.quality if rule.code == "TIER"]
    assert all(f"'{tier}'" in str(allowed) for tier in rules.tiers)
    assert {"free", "pro", "enterprise"} == set(rules.tiers)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tiers: {}", "tiers"),
        ("tiers: {free: {shows: ['a b']}}", "tiers.free.shows.0"),
        ("tiers: {free: {shows: [page], events_per_month: 0}}", "tiers.free.events_per_month"),
        ("tiers: {free: {show: [page]}}", "tiers.free"),
        (
            "funnels: {f: {within: PT5H, steps: [{event_type: a, name: b}, {event_type: a, name: c}]}}",
            "funnels.f.within",
        ),
        ("funnels: {f: {within: P1D, steps: [{event_type: a, name: b}, {event_type: a, name: b}]}}", "funnels.f.steps"),
        ("funnels: {f: {within: P1D, steps: [{event_type: a, name: b}]}}", "funnels.f.steps"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    """The message leads to the entry."""
    file = tmp_path / "rules.yml"
    file.write_text(TIERS + text if text.startswith("funnels") else TIERS.rpartition("tiers")[0] + text, "utf-8")
    with pytest.raises(RulesError) as refused:
        load(file)
    assert place in refused.value.where


@pytest.mark.parametrize("text", ["tiers: [", "- a list", "\x00"])
def test_what_is_no_rules_file_is_refused(tmp_path: Path, text: str) -> None:
    """Broken YAML and other documents do not end in a trace."""
    file = tmp_path / "rules.yml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RulesError):
        load(file)


def test_the_digest_follows_the_rules_and_not_the_text(tmp_path: Path) -> None:
    """A comment builds nothing anew; a shown type does."""
    one, same, other = (tmp_path / name for name in ("one.yml", "same.yml", "other.yml"))
    one.write_text(TIERS, encoding="utf-8")
    same.write_text("# plans\n" + TIERS, encoding="utf-8")
    other.write_text(TIERS.replace("[page]", "[page, feature]"), encoding="utf-8")
    assert load(one).digest == load(same).digest != load(other).digest
