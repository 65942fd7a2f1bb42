"""Where the contracts' real things are wired: the folder of the settings, applied."""

from collections.abc import Collection

from caudal.settings import Settings
from schemas.apply import Applied, apply
from schemas.contract import Catalog, Contract
from schemas.errors import ContractError
from schemas.load import load_catalog, load_each


def catalog(settings: Settings) -> Catalog:
    """All contracts of the install. Raises ContractError when one cannot be read."""
    return load_catalog(settings.contracts_dir)


def apply_all(settings: Settings, only: Collection[str] | None = None) -> list[Applied]:
    """Apply every contract of the install (or `only` some); those that cannot be read or released are reported.

    Raises Unreachable without broker or registry.
    """
    good: dict[str, Contract] = {}
    refused: list[Applied] = []
    for found in load_each(settings.contracts_dir):
        if isinstance(found, ContractError):
            folder = found.file.parent if found.file is not None else settings.contracts_dir
            refused.append(Applied(f"{folder.parent.name}.{folder.name}", error=found))
        else:
            good[found.id] = found
    results = [*apply(settings, Catalog(good), only), *refused]
    return [result for result in results if only is None or result.contract in only]
