"""The rules of product analytics as views that marts read. Pure: rules in, SELECTs out."""

from __future__ import annotations

from batch import sql
from schemas.product import ProductRules

SHOWN, QUOTAS, FUNNELS = "_shown", "_quotas", "_funnels"
RULE_VIEWS = frozenset({SHOWN, QUOTAS, FUNNELS})
"""Names in `pinned`. A mart that reads one of them is built anew when the rules change."""


def views(rules: ProductRules) -> dict[str, str]:
    """The SELECT behind each view, by its full name."""
    return {
        f"pinned.{SHOWN}": sql.rows(
            "tier string, event_type string",
            ((tier, kind) for tier, rule in sorted(rules.tiers.items()) for kind in sorted(rule.shows)),
        ),
        f"pinned.{QUOTAS}": sql.rows(
            "tier string, events_per_month bigint, users_per_month bigint",
            ((tier, rule.events_per_month, rule.users_per_month) for tier, rule in sorted(rules.tiers.items())),
        ),
        f"pinned.{FUNNELS}": sql.rows(
            "funnel string, step int, event_type string, step_name string, within_days int",
            (
                (name, number, step.event_type, step.name, funnel.days)
                for name, funnel in sorted(rules.funnels.items())
                for number, step in enumerate(funnel.steps, start=1)
            ),
        ),
    }
