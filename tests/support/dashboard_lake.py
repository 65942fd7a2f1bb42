"""Published gold for every page of the dashboard: all marts that it asks, with the columns of their own YAML."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from caudal.lake import Lake
from schemas.manifest import Group, Manifest, publish
from serving.dashboard.statements import PAGES
from tests.support.gold_lake import write

MODELS = Path(__file__).resolve().parents[2] / "dbt" / "models" / "marts"
NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
TODAY = NOW.date()
# Marts that a drill leads to, beside those that a figure asks.
DRILLED = ("fct_orders", "fct_order_items", "fct_refunds")
MARTS = tuple(sorted({s.mart for figures in PAGES.values() for s in figures.values()} | {*DRILLED}))
Record = dict[str, Any]


@cache
def _model(mart: str) -> Record:
    [model] = yaml.safe_load((MODELS / f"{mart}.yml").read_text(encoding="utf-8"))["models"]
    return dict(model)


@cache
def schema(mart: str) -> pa.Schema:
    """The mart's columns as its YAML promises them."""
    return pa.schema([(column["name"], _type(column["data_type"])) for column in _model(mart)["columns"]])


def group(mart: str) -> str:
    """The publish group of the mart."""
    return str(_model(mart)["config"]["tags"][0])


def _type(spark: str) -> pa.DataType:
    if spark.startswith("decimal"):
        precision, scale = spark.removeprefix("decimal(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    if spark.startswith("array"):
        return pa.list_(pa.string())
    return {
        "string": pa.string(), "bigint": pa.int64(), "int": pa.int32(), "double": pa.float64(), "boolean": pa.bool_(),
        "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"),
    }[spark]  # fmt: skip


def days(number: int) -> list[dt.date]:
    """The newest days, oldest first."""
    return [TODAY - dt.timedelta(days=number - 1 - n) for n in range(number)]


def fill(lake: Lake, scale: int = 1, changed: Mapping[str, list[Record]] | None = None) -> Manifest:
    """Publish both groups with rows in every mart; `changed` replaces those of some."""
    found = {
        **commerce(scale),
        **payments(scale),
        **product(scale),
        **fraud(scale),
        **operations(scale),
        **(changed or {}),
    }
    for name in ("full", "live"):
        tables = {mart: write(lake, "gold", mart, schema(mart), found[mart]) for mart in MARTS if group(mart) == name}
        manifest = publish(lake, name, Group(f"{name}-1", int(time.time() * 1000), {}, tables))
    return manifest


def publish_one(lake: Lake, mart: str, rows: Iterable[Record]) -> None:
    """Publish a mart's new rows with all else of its group as it is."""
    from schemas.manifest import load_current

    current = load_current(lake)
    assert current is not None
    old = current.groups[group(mart)]
    tables = {**old.tables, mart: write(lake, "gold", mart, schema(mart), [*rows])}
    publish(lake, group(mart), Group(f"{old.cycle}+", int(time.time() * 1000), {}, tables))


def commerce(scale: int) -> dict[str, list[Record]]:
    """Two shops with some weeks of orders."""
    shops = ("casa-verde", "north-outfit")
    daily = [
        {
            "tenant_id": shop, "shop_id": shop, "ordered_date": day, "currency": ("BRL", "USD")[part],
            "orders": (10 + n % 7) * scale, "cancelled_orders": n % 3, "orders_without_customer": n % 2, "items": 30,
            "revenue": Decimal(1000 + 90 * (n % 7)) * scale, "discounts": Decimal(10), "published_at": NOW,
        }
        for part, shop in enumerate(shops)
        for n, day in enumerate(days(40))
    ]  # fmt: skip
    orders = [
        {
            "tenant_id": shop, "shop_id": shop, "order_id": f"{shop}-{n}", "currency": ("BRL", "USD")[part],
            "region": "BR-SP", "total": Decimal(100 + n), "ordered_at": NOW, "ordered_date": TODAY, "published_at": NOW,
        }
        for part, shop in enumerate(shops)
        for n in range(30 * scale)
    ]  # fmt: skip
    months = [dt.date(2025, 12, 1), dt.date(2026, 1, 1), dt.date(2026, 2, 1)]
    return {
        "revenue_by_shop": daily,
        "fct_orders": orders,
        "fct_order_items": [{**orders[0], "line_number": 1, "product_id": "p-1", "title": "Bowl"}],
        "fct_refunds": [{"tenant_id": shops[0], "event_id": "r-1", "order_id": "casa-verde-1", "amount": Decimal(9)}],
        "revenue_hourly": [
            {
                "tenant_id": shops[0], "shop_id": shops[0], "ordered_hour": NOW - dt.timedelta(hours=n),
                "region": ("BR-SP", "BR-RJ", None)[n % 3], "currency": "BRL", "orders": (5 + n % 9) * scale,
                "cancelled_orders": n % 2, "revenue": Decimal(500 + n),
            }
            for n in range(48)
        ],
        "refund_rates": [
            {"tenant_id": shops[0], "currency": "BRL", "ordered_date": day, "orders": 20 * scale, "refunded_orders": 2,
             "total": Decimal(2000), "refunded": Decimal(150)}
            for day in days(10)
        ],
        "cohort_retention": [
            {"tenant_id": shops[0], "shop_id": shops[0], "cohort_month": month, "month_number": step,
             "cohort_size": 100 * scale, "customers": (100, 40, 25, 12)[step] * scale}
            for n, month in enumerate(months)
            for step in range(4 - n)
        ],
        "dim_products": [
            {"tenant_id": shops[0], "shop_id": shops[0], "product_id": f"p-{n}", "title": f"Bowl {n}",
             "currency": "BRL", "units_sold": (50 - n) * scale, "revenue": Decimal(900 - n)}
            for n in range(12)
        ],
        "dim_customers": [
            {"tenant_id": shops[0], "customer_id": str(n), "segment": ("new", "returning", "loyal")[n % 3],
             "currency": "BRL", "orders_count": n % 5, "lifetime_value": Decimal(n)}
            for n in range(30 * scale)
        ],
    }  # fmt: skip


def payments(scale: int) -> dict[str, list[Record]]:
    """Two banks."""
    banks = ("bank-a", "bank-b")
    paid = [
        {
            "tenant_id": bank, "event_id": f"{bank}-e{n}", "transaction_id": f"{bank}-{n}",
            "account_id": f"acc-{n % 9}", "method": ("pix", "card", "transfer")[n % 3], "is_late": n % 20 == 0,
            "currency": "BRL", "amount": Decimal(10 + n), "occurred_at": NOW, "occurred_date": TODAY,
            "published_at": NOW,
        }
        for bank in banks
        for n in range(60 * scale)
    ]  # fmt: skip
    return {
        "fct_transactions": paid,
        "payments_daily": [
            {"tenant_id": bank, "occurred_date": day, "method": "pix", "currency": "BRL", "late_transactions": n % 3,
             "transactions": (40 + n % 11) * scale, "amount": Decimal(5000 + n), "largest_amount": Decimal(800)}
            for bank in banks
            for n, day in enumerate(days(30))
        ],
        "dim_accounts": [
            {"tenant_id": banks[0], "account_id": f"acc-{n}", "status": ("active", "blocked")[n % 5 == 0],
             "is_over_limit": n % 7 == 0}
            for n in range(20 * scale)
        ],
        "account_velocity_daily": [
            {"tenant_id": banks[0], "account_id": f"acc-{n}", "occurred_date": TODAY, "currency": "BRL", "devices": 2,
             "max_transactions_1h": (20 - n) * scale, "max_amount_1h": Decimal(700 - n)}
            for n in range(12)
        ],
        "fct_account_changes": [
            {"tenant_id": banks[0], "account_id": f"acc-{n}", "operation": ("update", "create", "delete")[n % 3],
             "is_late": n % 9 == 0}
            for n in range(30 * scale)
        ],
        "regulatory_monthly": [
            {"tenant_id": banks[0], "month": dt.date(2026, n, 1), "method": "pix", "currency": "BRL",
             "transactions": 1000 * scale, "amount": Decimal(90_000), "reported_transactions": 4,
             "reported_amount": Decimal(60_000)}
            for n in range(1, 5)
        ],
    }  # fmt: skip


def product(scale: int) -> dict[str, list[Record]]:
    """Nine tenants on three plans."""
    tiers = ("free", "pro", "enterprise")
    return {
        "fct_product_events_daily": [
            {"tenant_id": f"t{n}", "event_date": day, "tier": tiers[n % 3], "event_type": kind,
             "events": (10 + place % 5) * scale}
            for n in range(9)
            for place, day in enumerate(days(20))
            for kind in ("page", "feature")
        ],
        "product_active_users_daily": [
            {"tenant_id": "t1", "event_date": day, "daily_users": (20 + n % 6) * scale,
             "weekly_users": (60 + n) * scale, "monthly_users": (150 + n) * scale}
            for n, day in enumerate(days(30))
        ],
        "fct_feature_usage_daily": [
            {"tenant_id": "t1", "event_date": TODAY, "event_type": "feature", "name": name, "events": n * scale}
            for n, name in enumerate(("export", "invite_member", "search"), 5)
        ],
        "product_funnels_daily": [
            {"tenant_id": "t1", "funnel": "invitation", "entered_date": TODAY, "step": step, "step_name": name,
             "users": users * scale}
            for step, (name, users) in enumerate((("settings", 80), ("invite_member", 31)), 1)
        ],
        "product_retention_weekly": [
            {"tenant_id": "t1", "cohort_week": TODAY - dt.timedelta(weeks=back), "weeks_after": step,
             "users": 50 * scale // (step + 1)}
            for back in range(5)
            for step in range(back + 1)
        ],
        "product_quota_usage_monthly": [
            {"tenant_id": f"t{n}", "usage_month": dt.date(2026, 5, 1), "tier": tiers[n % 3],
             "events": 1000 * n * scale, "events_share": None if n % 3 == 2 else n / 6, "users_share": 0.4,
             "is_over_quota": n / 6 > 1 and n % 3 < 2}
            for n in range(9)
        ],
    }  # fmt: skip


def fraud(scale: int) -> dict[str, list[Record]]:
    """Decisions of one model, the older ones with labels."""
    outcomes = ("approve", "approve", "approve", "review", "reject")
    return {
        "fct_fraud_decisions": [
            {"tenant_id": "bank-a", "event_id": f"d-{n}", "transaction_id": f"bank-a-{n}", "score": n / 100,
             "transaction_event_id": f"bank-a-e{n}", "outcome": outcomes[n % 5], "amount": Decimal(10 + n),
             "latency_ms": 5.0 + n % 7, "model_version": "m-1", "decided_at": NOW + dt.timedelta(milliseconds=40),
             "decided_date": TODAY, "published_at": NOW, "reasons": ["velocity"]}
            for n in range(50 * scale)
        ],
        "fraud_performance_daily": [
            {"tenant_id": "bank-a", "decided_date": day, "model_version": "m-1", "decisions": 100 * scale,
             "approved": 80 * scale, "reviewed": 12 * scale, "rejected": 8 * scale, "labelled": 10 if n < 20 else 0,
             "frauds": 8 if n < 20 else 0, "caught": 6 + n % 2, "false_alarms": 3 + n % 3,
             "card_precision_100": 0.07 if n < 20 else None, "amount_saved": Decimal(900), "latency_p99_ms": 18.5,
             "amount_blocked_by_mistake": Decimal(120), "amount_lost": Decimal(40)}
            for n, day in enumerate(days(30))
        ],
        "fraud_decisions_daily": [
            {"tenant_id": "bank-a", "decided_date": TODAY, "model_version": "m-1", "outcome": outcome, "reason": reason,
             "decisions": n * scale}
            for n, (reason, outcome) in enumerate(
                ((r, o) for r in ("velocity", "new_device", "night") for o in ("review", "reject")), 3)
        ],
        "fraud_feature_drift_daily": [
            {"tenant_id": "bank-a", "decided_date": TODAY, "feature": name, "psi": psi, "drift": "stable"}
            for name, psi in (("card_amount_1h", 0.31), ("device_payees_24h", 0.14), ("card_count_1h", 0.02))
        ],
    }  # fmt: skip


def operations(scale: int) -> dict[str, list[Record]]:
    """Volumes, dead letters, checks and costs of two contracts."""
    contracts = ("commerce.order", "payments.transaction")
    return {
        "ops_freshness": [
            {"contract": c, "table_name": c, "rows": 1000 * scale, "files": 12, "bytes": 5_000_000, "promised_s": 60,
             "newest_event_at": NOW, "newest_published_at": NOW, "newest_commit_at": NOW}
            for c in contracts
        ],
        "ops_volumes_daily": [
            {"contract": c, "committed_date": day, "read": 100 * scale, "applied": 95, "duplicate": 2, "superseded": 1,
             "dead_letter": 2, "parked": 0, "late": 3}
            for c in contracts
            for day in days(14)
        ],
        "ops_costs_monthly": [
            {"tenant_id": tenant, "contract": c, "published_month": dt.date(2026, n, 1), "rows": 100 * scale,
             "bytes": 1e6, "currency": "USD", "processing_cost": Decimal("0.0123"),
             "storage_cost_per_month": Decimal("0.0004")}
            for tenant in ("casa-verde", "")
            for c in contracts
            for n in (3, 4, 5)
        ],
        "ops_dead_letters_daily": [
            {"contract": contracts[0], "code": "CDL-GARBAGE", "path": "", "dead_date": day, "letters": 6 * scale,
             "open": 3 * scale, "healed": 2, "purged": 1}
            for day in days(10)
        ],
        "ops_quality_results": [
            {"group_name": name, "cycle": "c-1", "layer": layer, "table_name": "fct_orders", "code": f"C{n}",
             "is_ok": n < 9, "severity": "warn", "checked": 100 * scale, "failing": 0, "checked_at": NOW}
            for name in ("live", "full")
            for layer in ("gold", "silver")
            for n in range(10)
        ],
    }  # fmt: skip
