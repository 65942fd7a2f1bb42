"""Checks follow from the contracts and from the marts' YAML, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from quality import marts
from quality.compile_contract import for_contract
from quality.compile_mart import for_mart
from quality.errors import SuiteError
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]


def test_every_mart_compiles() -> None:
    """Each mart has a group, typed columns, a tenant and a suite that checks its columns and its identity.

    Marts of operations may be without a tenant: nobody but operators sees their rows then.
    """
    found = marts.read(ROOT / "dbt")
    assert {
        "account_balances_daily", "account_velocity_daily", "cohort_retention", "dim_accounts", "dim_accounts_history",
        "dim_customers", "dim_products", "dim_shops", "fct_account_changes", "fct_fraud_decisions", "fct_order_items",
        "fct_orders", "fct_product_events_daily", "fct_refunds", "fct_transactions", "fraud_performance_daily",
        "ops_costs_monthly", "payments_daily", "product_active_users_daily", "refund_rates", "regulatory_monthly",
        "revenue_by_shop", "revenue_hourly",
    } <= {mart.name for mart in found}  # fmt: skip
    groups = {mart.name: mart.group for mart in found}
    for mart in found:
        suite = for_mart(mart, groups)
        kinds = {check.code.partition(":")[0] for check in suite.checks}
        assert "tenant_id" in mart.columns or mart.name.startswith("ops_")
        assert {"COLUMNS", "UNIQUE", "NOT_NULL"} <= kinds
        assert "tenant_id" in suite.identity or mart.name.startswith("ops_")
        # what its copies elsewhere go by
        assert set(mart.key) <= set(mart.columns)
        assert mart.key
    assert {mart.name: mart.masks for mart in found if mart.masks} == {
        "dim_customers": {"customer_name", "customer_email"}
    }


def test_every_mart_has_its_model() -> None:
    """One YAML beside each model."""
    folder = ROOT / "dbt" / "models" / "marts"
    described = {mart.name for mart in marts.read(ROOT / "dbt")}
    assert described == {path.stem for path in folder.glob("*.sql")}


def test_a_contracts_rules_become_checks_with_their_severity() -> None:
    """A rule that refuses rows blocks gold, a rule that warns does not."""
    contract = load_catalog(ROOT / "schemas" / "contracts")["commerce.order"]
    suite = for_contract(contract)
    severity = {check.code: check.severity for check in suite.checks}
    assert severity["RULE:NEG_TOTAL"] == "critical"
    assert severity["RULE:NO_CUSTOMER"] == "warning"
    assert {f"NOT_NULL:{name}" for name in ("shop_id", "order_id", "event_id", "updated_at")} <= set(severity)
    assert {"ROWS", "RULE:ITEMS"} <= set(severity)


def test_a_range_has_two_ends() -> None:
    """A bound from above is a check of its own, and may only warn."""
    shops = next(mart for mart in marts.read(ROOT / "dbt") if mart.name == "dim_shops")
    [check] = [c for c in for_mart(shops).checks if c.code == "AT_MOST:without_customer_share"]
    assert (check.unit, check.severity) == ("rows", "warning")
    assert "`without_customer_share` <= 0.5" in check.measure


def test_a_test_that_the_gate_does_not_know_is_refused(tmp_path: Path) -> None:
    """A declared check is never passed over in silence."""
    mart = marts.Mart("m", "live", "", {"a": "string"}, (marts.Test("looks_nice", "a", {}),))
    with pytest.raises(SuiteError, match="looks_nice"):
        for_mart(mart)


@pytest.mark.parametrize("tags", ["[]", "[live, full]"])
def test_a_mart_belongs_to_one_publish_group(tmp_path: Path, tags: str) -> None:
    """Without exactly one group nobody would know when it is published."""
    folder = tmp_path / "models" / "marts"
    folder.mkdir(parents=True)
    (folder / "m.yml").write_text(f"models: [{{name: m, config: {{tags: {tags}}}}}]", encoding="utf-8")
    with pytest.raises(SuiteError, match="publish groups"):
        marts.read(tmp_path)


@pytest.mark.parametrize(
    ("kind", "arguments", "needs"),
    [
        ("accepted_values", {}, "values"),
        ("between", {}, "min_value"),
        ("relationships", {"to": "ref('elsewhere')", "field": "id"}, "leads to a mart"),
        ("measure_between", {"max_value": 1}, "measure"),
    ],
)
def test_a_test_without_what_it_needs_is_refused(kind: str, arguments: dict[str, object], needs: str) -> None:
    """The error names the mart and what is missing."""
    mart = marts.Mart("m", "live", "", {"a": "string"}, (marts.Test(kind, "a", arguments),))
    with pytest.raises(SuiteError, match=needs):
        for_mart(mart, {"m": "live"})


def test_a_relationship_looks_at_what_will_be_seen_together() -> None:
    """A mart of the same group at its new version, one of another group as it is published."""
    test = marts.Test("relationships", "a", {"to": "ref('d')", "field": "id"})
    mart = marts.Mart("m", "live", "", {"a": "string"}, (test,))
    assert "from gold.d" in for_mart(mart, {"m": "live", "d": "live"}).flags["_known_a"]
    assert "from published.d" in for_mart(mart, {"m": "live", "d": "full"}).flags["_known_a"]


def test_texts_in_a_suite_are_literals() -> None:
    """A quote in an accepted value ends no string."""
    mart = marts.Mart("m", "live", "", {"a": "string"}, (marts.Test("accepted_values", "a", {"values": ["d'or"]}),))
    assert "d\\'or" in for_mart(mart).checks[1].failing


def test_masks_have_the_form_of_their_class() -> None:
    """Each personal column of silver is checked against the one table of masks."""
    from privacy.masks import forms

    contract = load_catalog(ROOT / "schemas" / "contracts")["commerce.order"]
    checks = {check.code: check for check in for_contract(contract, forms()).checks}
    assert forms()["email"] in checks["MASK:customer_email"].failing
    assert checks["MASK:shipping_address"].severity == "critical"


@pytest.mark.parametrize(("given", "seconds"), [("06:00", 21600.0), ("23:59:30", 86370.0), (None, None)])
def test_a_mart_may_have_a_deadline(tmp_path: Path, given: str | None, seconds: float | None) -> None:
    """`available_by` is a time of the day in UTC."""
    folder = tmp_path / "models" / "marts"
    folder.mkdir(parents=True)
    meta = "" if given is None else f", meta: {{available_by: '{given}'}}"
    (folder / "m.yml").write_text(f"models: [{{name: m, config: {{tags: [live]{meta}}}}}]", encoding="utf-8")
    [mart] = marts.read(tmp_path)
    assert mart.deadline_s == seconds
