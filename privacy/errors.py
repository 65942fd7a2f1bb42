"""Errors of personal data. None of them holds a personal value.

CaudalError
├── PrivacyError
│   ├── KeysetUnusable   the key file is missing, open to others, or not a keyset (exit 3)
│   ├── KeyDestroyed     the key of a token is gone: the person was erased
│   └── TokenRefused     a token does not belong to this person, field or tenant, or was altered
└── TransientError
    ├── VaultBusy        another process holds the vault's write lock for too long (exit 6)
    └── ProviderAway     the key provider did not answer (exit 6)
"""

from caudal.errors import CaudalError, Exit, TransientError


class PrivacyError(CaudalError):
    """Root of this stage's own errors."""

    code = "CDL-PRIVACY"


class KeysetUnusable(PrivacyError):
    """The key file cannot be used as it is."""

    code = "CDL-KEYSET"
    exit_code = Exit.CONFIGURATION


class KeyDestroyed(PrivacyError):
    """The key that a token names does not exist any more."""

    code = "CDL-KEY-DESTROYED"


class TokenRefused(PrivacyError):
    """A token was altered, or opened for another person, field or tenant than it was sealed for."""

    code = "CDL-TOKEN"


class VaultBusy(TransientError):
    """The vault's write lock did not come free in time."""

    code = "CDL-VAULT-BUSY"


class ProviderAway(TransientError):
    """The service that wraps keys did not answer."""

    code = "CDL-KEY-PROVIDER"
