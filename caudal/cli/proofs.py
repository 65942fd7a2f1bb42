"""Runs every stage's proofs and folds them into one verdict per invariant."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from caudal.errors import CaudalError, UsageError
from caudal.proof import Check
from caudal.settings import Settings

INVARIANTS = {
    1: "conservation",
    2: "no plaintext",
    3: "only tested gold",
    4: "one truth for features",
    5: "replay",
    6: "isolation",
    7: "idempotence",
}
# (module with `checks(settings)`, the invariants that it proves)
PROVERS: tuple[tuple[str, frozenset[int]], ...] = (
    ("streaming.verify", frozenset({1, 7})),
    ("privacy.scan", frozenset({2})),
    ("batch.verify", frozenset({3})),
    ("serving.features.verify", frozenset({4})),
    ("serving.fraud.replay", frozenset({5})),
    ("serving.api.verify", frozenset({6})),
    ("serving.warehouse.verify", frozenset({3, 6})),
)

BY_BATCH = frozenset({"streaming.verify"})
"""Provers that can leave out what came before a raw batch."""


def prove(
    settings: Settings,
    only: Iterable[int] = (),
    report: Callable[[str, float], None] = lambda name, seconds: None,
    since: str | None = None,
) -> list[Check]:
    """All checks of the wanted invariants (all when none is named). A prover that breaks is a failed check.

    `since` (a duration, a time or a raw batch) is for provers that go by raw's batches. Raises UsageError when it is
    none of these.
    """
    wanted = frozenset(only) or frozenset(INVARIANTS)
    found: list[Check] = []
    for module, invariants in PROVERS:
        if not invariants & wanted:
            continue
        started = time.monotonic()
        found += [check for check in _run(module, invariants, settings, since) if check.invariant in wanted]
        report(module, time.monotonic() - started)
    return sorted(found, key=lambda check: check.invariant)


def verdict(checks: Iterable[Check]) -> dict[str, Any]:
    """One entry per invariant: it holds when all its checks hold and something was examined."""
    entries = []
    by_invariant: dict[int, list[Check]] = {}
    for check in checks:
        by_invariant.setdefault(check.invariant, []).append(check)
    for invariant, group in sorted(by_invariant.items()):
        examined = sum(check.examined for check in group)
        entries.append(
            {
                "invariant": invariant,
                "name": INVARIANTS[invariant],
                "ok": all(check.ok for check in group) and examined > 0,
                "examined": examined,
                "parts": [check.record() for check in group],
            }
        )
    return {"ok": bool(entries) and all(entry["ok"] for entry in entries), "checks": entries}


def _run(module: str, invariants: frozenset[int], settings: Settings, since: str | None) -> list[Check]:
    more = {"since": since} if since and module in BY_BATCH else {}
    try:
        checks: list[Check] = importlib.import_module(module).checks(settings, **more)
    except UsageError:
        raise
    except CaudalError as error:
        return [_broken(invariant, module, error.code, str(error)) for invariant in sorted(invariants)]
    except Exception as error:  # noqa: BLE001  a proof that cannot run has proved nothing
        # The text of a foreign error may hold a value, so only its type is shown.
        return [_broken(i, module, "CDL-UNEXPECTED", type(error).__name__) for i in sorted(invariants)]
    missing = invariants - {check.invariant for check in checks}
    return [*checks, *(_broken(i, module, "CDL-UNPROVED", "the prover returned nothing") for i in sorted(missing))]


def _broken(invariant: int, module: str, code: str, why: str) -> Check:
    return Check(invariant, module, ok=False, examined=0, detail=why, findings=(code,))
