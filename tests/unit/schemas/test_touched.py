"""What depends on a contract, in the project's own models and features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import schemas
from schemas.contract import Rule
from schemas.diff import diff
from schemas.load import BUILT_IN_ROOT, load_catalog
from schemas.touched import touched

ROOT = Path(schemas.__file__).parent
DBT, FEATURES = ROOT.parent / "dbt", ROOT / "features"


def test_models_behind_a_contract_are_found_through_others() -> None:
    """An order's marts, the one behind an intermediate model included, and no payment's."""
    contract = load_catalog(BUILT_IN_ROOT)["commerce.order"]
    found = touched(DBT, FEATURES, contract, diff(None, contract))
    assert {"stg_commerce_order", "int_customer_orders", "fct_orders", "dim_customers"} <= set(found["models"])
    assert {"fct_orders", "dim_customers"} <= set(found["marts"])
    assert "fct_transactions" not in found["models"]
    assert "fct_orders.currency" in found["columns"]
    assert found["features"] == []


def test_rules_and_features_are_named() -> None:
    """A payment's contract feeds the fraud features; a new rule is a check that changes, and no column does."""
    before = load_catalog(BUILT_IN_ROOT)["payments.transaction"]
    after = replace(before, quality=(*before.quality, Rule("SMALL", "amount < 100", "reject")))
    found = touched(DBT, FEATURES, after, diff(before, after))
    assert (found["features"], found["checks"], found["columns"]) == (["payments"], ["SMALL"], [])
    assert "fct_transactions" in found["marts"]


def test_models_behind_a_history_and_an_earlier_state_are_found() -> None:
    """An account's contract also feeds what is made of its history, an order's what needs to know the old group."""
    catalog = load_catalog(BUILT_IN_ROOT)
    account, order = catalog["payments.account"], catalog["commerce.order"]
    assert {"fct_account_changes", "dim_accounts"} <= set(touched(DBT, FEATURES, account, diff(None, account))["marts"])
    assert "int_orders_before" in touched(DBT, FEATURES, order, diff(None, order))["models"]
