"""Contracts as if they had been applied: registry ids are invented, nothing is connected."""

from pathlib import Path

from producers.publish_contracts import Contracts
from schemas.distribution import Released
from schemas.load import load_catalog

CATALOG = load_catalog(Path(__file__).resolve().parents[2] / "schemas" / "contracts")


def released() -> dict[str, Released]:
    """Every contract of the repository; version n of the k-th has registry id 100 k + n."""
    return {
        contract.id: Released(contract, {v.number: 100 * (k + 1) + v.number for v in contract.versions})
        for k, contract in enumerate(CATALOG.values())
    }


def contracts() -> Contracts:
    """The same behind the publisher's seam."""
    return Contracts.fixed(released())
