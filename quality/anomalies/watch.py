"""All contracts of a lake: read their new hours, and tell what is not as usual now."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime

from caudal.lake import Lake
from quality.anomalies.detect import Anomaly, anomalies, kinds_of
from quality.anomalies.profile import hour_of, refresh, signals
from schemas.contract import Contract


def look(
    lake: Lake, contracts: Iterable[Contract], now: datetime, holidays: Collection[date], since_hours: int = 24
) -> tuple[tuple[Anomaly, ...], int]:
    """Anomalies of the last hours, the newest first, and how many series were looked at. The running hour is left out:
    it is not whole."""
    until = hour_of(now)
    found: list[Anomaly] = []
    looked = 0
    for contract in contracts:
        hours = refresh(lake, contract, until)
        if hours is None:
            continue
        first, series = signals(hours, until)
        for signal, values in series.items():
            looked += 1
            kinds = kinds_of(range(first, first + len(values)), holidays)
            found += [
                one
                for one in anomalies(contract.table, signal, first, values, kinds)
                if one.last >= until - since_hours
            ]
    return tuple(sorted(found, key=lambda one: -one.last)), looked
