"""Where the contracts' real things are wired: the catalog of the settings, applied."""

from caudal.settings import Settings
from schemas.apply import Applied, apply
from schemas.contract import Catalog
from schemas.load import load_catalog


def catalog(settings: Settings) -> Catalog:
    """All contracts of the install. Raises ContractError."""
    return load_catalog(settings.contracts_dir)


def apply_all(settings: Settings) -> list[Applied]:
    """Apply every contract of the install. Raises ContractError or Unreachable."""
    return apply(settings, catalog(settings))
