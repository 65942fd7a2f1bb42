"""Checks follow from the contracts and from the marts' YAML, and from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from quality import marts, suites
from quality.errors import SuiteError
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]


def test_every_mart_compiles() -> None:
    """Each mart has a group, typed columns, a tenant and a suite that checks its columns and its identity.

    Marts of operations may be without a tenant: nobody but operators sees their rows then.
    """
    found = marts.read(ROOT / "dbt")
    assert {
        "dim_accounts", "dim_customers", "fct_fraud_decisions", "fct_orders", "fct_product_events_daily",
        "fct_refunds", "fct_transactions", "revenue_by_shop", "product_active_users_daily", "fraud_performance_daily",
        "ops_costs_monthly",
    } <= {mart.name for mart in found}  # fmt: skip
    for mart in found:
        kinds = {check.kind for check in suites.for_mart(mart).checks}
        assert "tenant_id" in mart.columns or mart.name.startswith("ops_")
        assert {"columns", "unique_together", "not_null"} <= kinds


def test_every_mart_has_its_model() -> None:
    """One YAML beside each model."""
    folder = ROOT / "dbt" / "models" / "marts"
    described = {mart.name for mart in marts.read(ROOT / "dbt")}
    assert described == {path.stem for path in folder.glob("*.sql")}


def test_a_contracts_rules_become_checks_with_their_severity() -> None:
    """A rule that refuses rows blocks gold, a rule that warns does not."""
    contract = load_catalog(ROOT / "schemas" / "contracts")["commerce.order"]
    suite = suites.for_contract(contract)
    severity = {check.code: check.severity for check in suite.checks}
    assert severity["RULE:NEG_TOTAL"] == "critical"
    assert severity["RULE:NO_CUSTOMER"] == "warning"
    assert {f"NOT_NULL:{name}" for name in ("shop_id", "order_id", "event_id", "updated_at")} <= set(severity)
    assert "rule_neg_total" in suite.flags


def test_a_test_that_the_gate_does_not_know_is_refused(tmp_path: Path) -> None:
    """A declared check is never passed over in silence."""
    mart = marts.Mart("m", "live", "", {"a": "string"}, (marts.Test("relationships", "a", {}),))
    with pytest.raises(SuiteError, match="relationships"):
        suites.for_mart(mart)


@pytest.mark.parametrize("tags", ["[]", "[live, full]"])
def test_a_mart_belongs_to_one_publish_group(tmp_path: Path, tags: str) -> None:
    """Without exactly one group nobody would know when it is published."""
    folder = tmp_path / "models" / "marts"
    folder.mkdir(parents=True)
    (folder / "m.yml").write_text(f"models: [{{name: m, config: {{tags: {tags}}}}}]", encoding="utf-8")
    with pytest.raises(SuiteError, match="publish groups"):
        marts.read(tmp_path)
