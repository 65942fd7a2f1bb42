"""Which publish groups are due. Pure: what is, in; what to do, out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from quality.marts import GROUPS

LIVE, FULL = GROUPS
CREATED = 0
"""The version of a table's creation: streaming creates by DDL, so rows come with version 1."""


@dataclass(frozen=True)
class State:
    """What the loop knows about one group. Versions are by silver table; `inputs` are the tables its marts read."""

    inputs: Collection[str]
    published: Mapping[str, int] | None
    """Silver versions of the published gold; None when the group was never published."""


@dataclass(frozen=True)
class Due:
    """A group to run and why: `first`, `moved`, or `models` (their SQL changed)."""

    group: str
    why: str


def moved(state: State, heads: Mapping[str, int]) -> bool:
    """Whether silver holds anything that the group's gold does not. A table that was just created holds nothing."""
    if state.published is None:
        return any(heads.get(table, CREATED) > CREATED for table in state.inputs)
    return any(heads.get(table, -1) > state.published.get(table, -1) for table in state.inputs)


def due(
    states: Mapping[str, State],
    heads: Mapping[str, int],
    *,
    live_since_full: int,
    seconds_since_full: float,
    full_every: int,
    full_after_s: float,
    changed_models: Collection[str] = (),
) -> tuple[Due, ...]:
    """The groups to run now, in order. At the very first the full group follows the live one at once."""
    found: list[Due] = []
    for group in GROUPS:
        state = states.get(group)
        if state is None:
            continue
        if group in changed_models:
            found.append(Due(group, "models"))
            continue
        if not moved(state, heads):
            continue
        first = state.published is None
        early = seconds_since_full < full_after_s
        if first:
            # What dashboards show comes first: its cold first cycle is the longest wait a newcomer has.
            waits = group == FULL and early and LIVE in states and states[LIVE].published is None and not found
        else:
            waits = group == FULL and early and live_since_full < full_every
        if not waits:
            found.append(Due(group, "first" if first else "moved"))
    return tuple(found)
