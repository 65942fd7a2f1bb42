"""Settings of personal data: section `privacy` of caudal.toml."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from caudal.settings import Settings


class PrivacySettings(BaseModel):
    """Where the vault lies, who wraps its keys, and how far its caches and the scan may go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vault: Path | None = Field(default=None, description="vault file; default <data>/vault/vault.db")
    provider: Literal["local", "aws-kms"] = Field(default="local", description="who wraps the tenants' keys")
    keyset: Path | None = Field(default=None, description="local provider's key file; default <data>/vault/keyset.json")
    kms_key_id: str = Field(default="", description="aws-kms: id, alias or ARN of the wrapping key")
    kms_endpoint: str = Field(default="", description="aws-kms: another address than Amazon's own")
    kms_region: str = Field(default="us-east-1", description="aws-kms: region")
    # 100,000 entries are about 40 MiB: the people of a busy day, and a miss costs one indexed read.
    cache_entries: int = Field(default=100_000, ge=1, description="identifiers and keys held in memory, each")
    epoch_check_s: float = Field(default=1.0, ge=0, le=1, description="how old a look at the vault's epoch may be")
    busy_s: float = Field(default=5.0, gt=0, description="how long a write waits for another process's write")
    scan_subjects: int = Field(default=400, ge=1, description="live people per contract whose values verify looks for")
    scan_bytes: int = Field(default=64 << 20, ge=1024, description="bytes read per store, newest first")
    scan_s: float = Field(default=15.0, gt=0, description="seconds the whole scan may take")

    def vault_file(self, settings: Settings) -> Path:
        """The vault's file in this install."""
        return self.vault or settings.data_dir / "vault" / "vault.db"

    def keyset_file(self, settings: Settings) -> Path:
        """The local provider's key file in this install."""
        return self.keyset or settings.data_dir / "vault" / "keyset.json"
