"""Who wraps the tenants' keys: a local keyset file, or AWS KMS.

A provider wraps one small secret per tenant, purpose and epoch. People's keys are wrapped in turn under their
tenant's, inside the vault, so a provider is asked a few times per process and never once per event.
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caudal.settings import Settings
from privacy.errors import KeyDestroyed, KeysetUnusable, ProviderAway
from privacy.settings import PrivacySettings

_IV = 12  # bytes, the nonce that AES-GCM wants


@dataclass(frozen=True)
class Wrapped:
    """A wrapped secret and the id of the key that wrapped it."""

    key_id: str
    blob: bytes


class KeyProvider(Protocol):
    """Wraps and unwraps secrets of up to 64 bytes, bound to a context that must be the same both times.

    Raises ProviderAway when it cannot be reached and KeyDestroyed when the wrapping key is gone or the context differs.
    """

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> Wrapped: ...

    def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes: ...


class LocalKeyset:
    """Several keys in one file of mode 0600; the primary one wraps, all of them unwrap."""

    def __init__(self, primary: str, keys: Mapping[str, bytes]) -> None:
        self.primary = primary
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    def open(cls, path: Path) -> "LocalKeyset":
        """The keyset in `path`; a first one is made when there is none. Raises KeysetUnusable."""
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise KeysetUnusable(
                "the keyset can be read by others", where=str(path), fix=f"chmod 600 {path}, then rotate its keys"
            )
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            keys = {entry["id"]: base64.b64decode(entry["key"], validate=True) for entry in found["keys"]}
            primary = str(found["primary"])
            if primary not in keys or any(len(key) != 32 for key in keys.values()):
                raise ValueError("primary key missing or a key is not 32 bytes")
        except (ValueError, KeyError, TypeError) as error:
            # The parser's own message could quote key material.
            raise KeysetUnusable(
                "the keyset cannot be read", where=str(path), why=type(error).__name__, fix="restore it from a backup"
            ) from None
        return cls(primary, keys)

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> Wrapped:
        iv = os.urandom(_IV)
        return Wrapped(self.primary, iv + self._keys[self.primary].encrypt(iv, secret, _canonical(context)))

    def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        key = self._keys.get(wrapped.key_id)
        if key is None:
            raise KeyDestroyed("the wrapping key is not in the keyset", where=f"key {wrapped.key_id}")
        try:
            return key.decrypt(wrapped.blob[:_IV], wrapped.blob[_IV:], _canonical(context))
        except InvalidTag:
            raise KeyDestroyed("a wrapped key does not open", where=f"key {wrapped.key_id}") from None


class AwsKms:
    """AWS KMS Encrypt and Decrypt with an encryption context. `client` is a boto3 KMS client."""

    def __init__(self, client: Any, key_id: str) -> None:
        self._client = client
        self._key_id = key_id

    def wrap(self, secret: bytes, context: Mapping[str, str]) -> Wrapped:
        answer = self._call("encrypt", KeyId=self._key_id, Plaintext=secret, EncryptionContext=dict(context))
        return Wrapped(str(answer["KeyId"]), bytes(answer["CiphertextBlob"]))

    def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        answer = self._call(
            "decrypt", KeyId=wrapped.key_id, CiphertextBlob=wrapped.blob, EncryptionContext=dict(context)
        )
        return bytes(answer["Plaintext"])

    def _call(self, verb: str, **arguments: object) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, verb)(**arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            gone = {"InvalidCiphertextException", "KMSInvalidStateException", "NotFoundException", "DisabledException"}
            if code in gone:
                raise KeyDestroyed("AWS KMS refuses a wrapped key", why=code) from error
            raise ProviderAway("AWS KMS refused", why=code) from error
        except BotoCoreError as error:
            raise ProviderAway("AWS KMS did not answer", why=type(error).__name__) from error


def make(settings: Settings) -> KeyProvider:
    """The provider that the settings name."""
    privacy = settings.section("privacy", PrivacySettings)
    if privacy.provider == "aws-kms":
        import boto3

        endpoint = privacy.kms_endpoint or None
        client = boto3.client("kms", region_name=privacy.kms_region, endpoint_url=endpoint)
        return AwsKms(client, privacy.kms_key_id)
    return LocalKeyset.open(privacy.keyset_file(settings))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    text = json.dumps({"primary": "1", "keys": [{"id": "1", "key": key}]})
    # Two processes may start at once: written aside, then linked, so exactly one keyset wins and none is half written.
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    with suppress(FileExistsError):
        os.link(scratch, path)
    scratch.unlink()


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(sorted(context.items())), separators=(",", ":")).encode()
