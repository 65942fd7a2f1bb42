"""What the contract verbs read: settings, the folder of contracts, and what the running stack holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.errors import UsageError

if TYPE_CHECKING:
    from caudal.settings import Settings
    from schemas.contract import Catalog, Contract

ContractsOption = Annotated[Path | None, typer.Option("--contracts", help="their folder", show_default=False)]


def settings_of(data: str | None, contracts: Path | None) -> Settings:
    from caudal import settings

    return settings.load({"data_dir": data, "contracts_dir": contracts})


def catalog_of(settings: Settings) -> Catalog:
    from schemas.load import load_catalog

    return load_catalog(settings.contracts_dir)


def released_by(settings: Settings) -> dict[str, Contract]:
    from schemas.distribution import ContractFeed

    feed = ContractFeed(settings)
    try:
        return {name: found.contract for name, found in feed.read_to_end().items()}
    finally:
        feed.close()


def one_of(catalog: Catalog, name: str) -> Contract:
    known((name,), catalog)
    return catalog[name]


def known(names: Any, known: Any) -> None:
    """Refuse ids that nobody wrote, with the nearest one that somebody did."""
    from schemas.document import nearest

    for name in names:
        if name not in known:
            raise UsageError(f"there is no contract `{name}`", fix=nearest(name, known))
