"""What each page asks of published gold: one statement per figure, over the relation `mart` (see serving.api.scope).

Money is summed by currency, and what is ranked has an end, so that a page stays small however much gold holds. Days are
the newest that the mart has, newest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One figure: the mart it comes from, and its SQL."""

    mart: str
    sql: str


OUTCOMES = Statement(
    "fct_fraud_decisions",
    "SELECT outcome, count(*) AS decisions, sum(amount) AS amount,"
    " approx_percentile_cont(latency_ms, 0.95) AS p95_ms FROM mart GROUP BY outcome ORDER BY outcome LIMIT 8",
)

OVERVIEW = {
    "orders": Statement(
        "revenue_by_shop",
        "SELECT coalesce(sum(orders), 0) AS orders, count(DISTINCT tenant_id) AS shops FROM mart",
    ),
    "payments": Statement("fct_transactions", "SELECT count(*) AS payments FROM mart"),
    "decisions": OUTCOMES,
}

COMMERCE = {
    "totals": Statement(
        "revenue_by_shop",
        "SELECT currency, sum(orders) AS orders, sum(cancelled_orders) AS cancelled, sum(items) AS items,"
        " sum(orders_without_customer) AS without_customer, sum(revenue) AS revenue, sum(discounts) AS discounts,"
        " (SELECT count(DISTINCT tenant_id) FROM mart) AS shops FROM mart GROUP BY currency"
        " ORDER BY orders DESC, currency LIMIT 6",
    ),
    "days": Statement(
        "revenue_by_shop",
        "SELECT ordered_date, currency, sum(orders) AS orders, sum(revenue) AS revenue FROM mart"
        " GROUP BY ordered_date, currency ORDER BY ordered_date DESC, currency LIMIT 240",
    ),
    "shops": Statement(
        "revenue_by_shop",
        "SELECT tenant_id AS shop, currency, sum(orders) AS orders, sum(revenue) AS revenue,"
        " sum(cancelled_orders) AS cancelled FROM mart GROUP BY tenant_id, currency"
        " ORDER BY orders DESC, shop, currency LIMIT 12",
    ),
    "hours": Statement(
        "revenue_hourly",
        "SELECT ordered_hour, sum(orders) AS orders, sum(cancelled_orders) AS cancelled FROM mart"
        " GROUP BY ordered_hour ORDER BY ordered_hour DESC LIMIT 72",
    ),
    "regions": Statement(
        "revenue_hourly",
        "SELECT region, currency, sum(orders) AS orders, sum(revenue) AS revenue FROM mart"
        " GROUP BY region, currency ORDER BY orders DESC, region, currency LIMIT 12",
    ),
    "refunds": Statement(
        "refund_rates",
        "SELECT currency, sum(orders) AS orders, sum(refunded_orders) AS refunded_orders, sum(total) AS total,"
        " sum(refunded) AS refunded FROM mart GROUP BY currency ORDER BY orders DESC, currency LIMIT 6",
    ),
    "cohorts": Statement(
        "cohort_retention",
        "SELECT cohort_month AS cohort, month_number AS step, sum(customers) AS people FROM mart"
        " WHERE month_number < 12 GROUP BY cohort_month, month_number"
        " ORDER BY cohort_month DESC, month_number LIMIT 144",
    ),
    "products": Statement(
        "dim_products",
        "SELECT tenant_id AS shop, product_id, title, currency, units_sold, revenue FROM mart"
        " ORDER BY units_sold DESC, shop, product_id LIMIT 10",
    ),
    "segments": Statement(
        "dim_customers",
        "SELECT segment, currency, count(*) AS customers, sum(orders_count) AS orders, sum(lifetime_value) AS value"
        " FROM mart GROUP BY segment, currency ORDER BY customers DESC, segment, currency LIMIT 12",
    ),
}

PAYMENTS = {
    "totals": Statement(
        "fct_transactions",
        "SELECT currency, count(*) AS payments, sum(amount) AS amount, max(amount) AS largest,"
        " count(*) FILTER (WHERE is_late) AS late, (SELECT count(DISTINCT tenant_id) FROM mart) AS banks FROM mart"
        " GROUP BY currency ORDER BY payments DESC, currency LIMIT 6",
    ),
    "methods": Statement(
        "fct_transactions",
        "SELECT method, currency, count(*) AS payments, sum(amount) AS amount FROM mart"
        " GROUP BY method, currency ORDER BY payments DESC, method, currency LIMIT 10",
    ),
    "days": Statement(
        "payments_daily",
        "SELECT occurred_date, sum(transactions) AS payments, sum(late_transactions) AS late FROM mart"
        " GROUP BY occurred_date ORDER BY occurred_date DESC LIMIT 90",
    ),
    "banks": Statement(
        "payments_daily",
        "SELECT tenant_id AS bank, currency, sum(transactions) AS payments, sum(amount) AS amount,"
        " max(largest_amount) AS largest FROM mart GROUP BY tenant_id, currency"
        " ORDER BY payments DESC, bank, currency LIMIT 12",
    ),
    "accounts": Statement(
        "dim_accounts",
        "SELECT status, count(*) AS accounts, count(*) FILTER (WHERE is_over_limit) AS over_limit FROM mart"
        " GROUP BY status ORDER BY accounts DESC, status LIMIT 8",
    ),
    "busiest": Statement(
        "account_velocity_daily",
        "SELECT tenant_id AS bank, account_id, occurred_date, currency, max_transactions_1h, max_amount_1h, devices"
        " FROM mart ORDER BY max_transactions_1h DESC, max_amount_1h DESC, bank, account_id, occurred_date LIMIT 10",
    ),
    "changes": Statement(
        "fct_account_changes",
        "SELECT operation, count(*) AS changes, count(*) FILTER (WHERE is_late) AS late FROM mart"
        " GROUP BY operation ORDER BY changes DESC, operation LIMIT 8",
    ),
    "reported": Statement(
        "regulatory_monthly",
        'SELECT "month", currency, sum(transactions) AS payments, sum(amount) AS amount,'
        " sum(reported_transactions) AS reported, sum(reported_amount) AS reported_amount FROM mart"
        ' GROUP BY "month", currency ORDER BY "month" DESC, currency LIMIT 12',
    ),
}

PRODUCT = {
    "totals": Statement(
        "fct_product_events_daily",
        "SELECT coalesce(sum(events), 0) AS events, count(DISTINCT tenant_id) AS tenants,"
        " count(DISTINCT event_date) AS days FROM mart",
    ),
    "tiers": Statement(
        "fct_product_events_daily",
        "SELECT tier, sum(events) AS events, count(DISTINCT tenant_id) AS tenants FROM mart"
        " GROUP BY tier ORDER BY events DESC, tier LIMIT 8",
    ),
    "days": Statement(
        "fct_product_events_daily",
        "SELECT event_date, event_type, sum(events) AS events FROM mart"
        " GROUP BY event_date, event_type ORDER BY event_date DESC, event_type LIMIT 240",
    ),
    "active": Statement(
        "product_active_users_daily",
        "SELECT event_date, sum(daily_users) AS daily, sum(weekly_users) AS weekly, sum(monthly_users) AS monthly"
        " FROM mart GROUP BY event_date ORDER BY event_date DESC LIMIT 90",
    ),
    "features": Statement(
        "fct_feature_usage_daily",
        "SELECT event_type, name, sum(events) AS events, count(DISTINCT tenant_id) AS tenants FROM mart"
        " GROUP BY event_type, name ORDER BY events DESC, event_type, name LIMIT 12",
    ),
    "funnels": Statement(
        "product_funnels_daily",
        "SELECT funnel, step, step_name, sum(users) AS users FROM mart"
        " GROUP BY funnel, step, step_name ORDER BY funnel, step, step_name LIMIT 60",
    ),
    "retention": Statement(
        "product_retention_weekly",
        "SELECT cohort_week AS cohort, weeks_after AS step, sum(users) AS people FROM mart"
        " WHERE weeks_after < 12 GROUP BY cohort_week, weeks_after ORDER BY cohort_week DESC, weeks_after LIMIT 144",
    ),
    "quota": Statement(
        "product_quota_usage_monthly",
        "SELECT tenant_id AS tenant, tier, usage_month, events, events_share, users_share, is_over_quota FROM mart"
        " WHERE usage_month = (SELECT max(usage_month) FROM mart)"
        " ORDER BY is_over_quota DESC, events_share DESC NULLS LAST, tenant LIMIT 12",
    ),
}

# Until a day has its first label nothing is known about right and wrong on it.
_LABELLED = "FILTER (WHERE labelled > 0)"
FRAUD = {
    "outcomes": OUTCOMES,
    "known": Statement(
        "fraud_performance_daily",
        f"SELECT sum(labelled) AS labelled, sum(frauds) AS frauds, sum(caught) {_LABELLED} AS caught,"
        f" sum(false_alarms) {_LABELLED} AS false_alarms, max(latency_p99_ms) AS p99_ms,"
        " avg(card_precision_100) AS card_precision FROM mart",
    ),
    "days": Statement(
        "fraud_performance_daily",
        "SELECT decided_date, sum(approved) AS approved, sum(reviewed) AS reviewed, sum(rejected) AS rejected FROM mart"
        " GROUP BY decided_date ORDER BY decided_date DESC LIMIT 90",
    ),
    "right": Statement(
        "fraud_performance_daily",
        "SELECT decided_date, sum(caught) AS caught, sum(false_alarms) AS false_alarms, sum(frauds) AS frauds"
        " FROM mart WHERE labelled > 0 GROUP BY decided_date ORDER BY decided_date DESC LIMIT 90",
    ),
    "models": Statement(
        "fraud_performance_daily",
        "SELECT model_version, sum(decisions) AS decisions, sum(labelled) AS labelled,"
        f" sum(caught) {_LABELLED} AS caught, sum(false_alarms) {_LABELLED} AS false_alarms, sum(frauds) AS frauds,"
        " sum(amount_saved) AS saved, sum(amount_blocked_by_mistake) AS blocked, sum(amount_lost) AS lost FROM mart"
        " GROUP BY model_version ORDER BY decisions DESC, model_version LIMIT 6",
    ),
    "reasons": Statement(
        "fraud_decisions_daily",
        "SELECT reason, sum(decisions) AS decisions, sum(decisions) FILTER (WHERE outcome = 'reject') AS rejected"
        " FROM mart GROUP BY reason ORDER BY decisions DESC, reason LIMIT 12",
    ),
    "drift": Statement(
        "fraud_feature_drift_daily",
        "SELECT feature, decided_date, max(psi) AS psi FROM mart"
        " WHERE decided_date = (SELECT max(decided_date) FROM mart WHERE psi IS NOT NULL)"
        " GROUP BY feature, decided_date ORDER BY psi DESC NULLS LAST, feature LIMIT 12",
    ),
}

QUALITY = {
    "layers": Statement(
        "ops_quality_results",
        "SELECT layer, group_name, count(*) AS checks, count(*) FILTER (WHERE NOT is_ok) AS failed,"
        " sum(checked) AS rows_looked_at, max(checked_at) AS checked_at FROM mart"
        " GROUP BY layer, group_name ORDER BY layer, group_name LIMIT 12",
    ),
}

DEAD_LETTERS = {
    "days": Statement(
        "ops_dead_letters_daily",
        "SELECT dead_date, sum(open) AS open, sum(healed) AS healed, sum(purged) AS purged FROM mart"
        " GROUP BY dead_date ORDER BY dead_date DESC LIMIT 90",
    ),
}

OPERATIONS = {
    "silver": Statement(
        "ops_freshness",
        "SELECT contract, rows, files, bytes, promised_s, newest_event_at, newest_commit_at FROM mart"
        " ORDER BY rows DESC, contract LIMIT 40",
    ),
    "volumes": Statement(
        "ops_volumes_daily",
        'SELECT contract, sum("read") AS records, sum(applied) AS applied, sum(duplicate) AS duplicate,'
        " sum(superseded) AS superseded, sum(dead_letter) AS dead_letter, sum(parked) AS parked, sum(late) AS late"
        " FROM mart GROUP BY contract ORDER BY records DESC, contract LIMIT 40",
    ),
    "days": Statement(
        "ops_volumes_daily",
        'SELECT committed_date, sum("read") AS records, sum(dead_letter) AS dead_letter FROM mart'
        " GROUP BY committed_date ORDER BY committed_date DESC LIMIT 90",
    ),
    "costs": Statement(
        "ops_costs_monthly",
        "SELECT contract, currency, sum(rows) AS rows, sum(bytes) AS bytes, sum(processing_cost) AS processing,"
        " sum(storage_cost_per_month) AS storage FROM mart"
        " GROUP BY contract, currency ORDER BY processing DESC, contract, currency LIMIT 20",
    ),
    "tenants": Statement(
        "ops_costs_monthly",
        "SELECT tenant_id AS tenant, currency, sum(rows) AS rows, sum(processing_cost) AS processing,"
        " sum(storage_cost_per_month) AS storage FROM mart"
        " GROUP BY tenant_id, currency ORDER BY processing DESC, tenant, currency LIMIT 12",
    ),
    "months": Statement(
        "ops_costs_monthly",
        "SELECT published_month, currency, sum(processing_cost) AS processing, sum(storage_cost_per_month) AS storage"
        " FROM mart GROUP BY published_month, currency ORDER BY published_month DESC, currency LIMIT 24",
    ),
}

PAGES: Mapping[str, Mapping[str, Statement]] = {
    "overview": OVERVIEW,
    "commerce": COMMERCE,
    "payments": PAYMENTS,
    "product": PRODUCT,
    "fraud": FRAUD,
    "quality": QUALITY,
    "dead-letters": DEAD_LETTERS,
    "operations": OPERATIONS,
}
"""Every page by its name, which is also its address, with its figures by theirs."""
