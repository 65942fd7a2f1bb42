"""Where this stage's real things are chosen: the vault of an install, and sealers on it."""

from caudal.settings import Settings
from privacy.seal import Sealer
from privacy.vault import Vault
from schemas.contract import Contract


def vault(settings: Settings) -> Vault:
    """The vault of this install, with the key provider that the settings name."""
    return Vault.open(settings)


def sealer(settings: Settings, contract: Contract) -> Sealer:
    """A sealer for one contract on this install's vault."""
    return Sealer(vault(settings), contract)
