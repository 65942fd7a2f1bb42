"""AWS KMS as key provider: the encryption context is bound, refusals are told apart from outages."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from caudal.settings import Settings
from privacy import store
from privacy.errors import KeyDestroyed, ProviderAway
from privacy.keys import AwsKms, make
from privacy.settings import PrivacySettings
from privacy.vault import Need, Vault, index

CONTEXT = {"tenant": "t", "purpose": "wrap"}


class Kms:
    """What the service does with Encrypt and Decrypt, in memory."""

    def __init__(self) -> None:
        self.calls = 0
        self.failure: Exception | None = None
        self._secrets: dict[bytes, tuple[bytes, dict[str, str]]] = {}

    def encrypt(self, *, KeyId: str, Plaintext: bytes, EncryptionContext: dict[str, str]) -> Any:  # boto3's names
        self._fail()
        blob = f"blob-{len(self._secrets)}".encode()
        self._secrets[blob] = (Plaintext, EncryptionContext)
        return {"KeyId": f"arn:{KeyId}", "CiphertextBlob": blob}

    def decrypt(self, *, KeyId: str, CiphertextBlob: bytes, EncryptionContext: dict[str, str]) -> Any:  # as above
        self._fail()
        secret, context = self._secrets[CiphertextBlob]
        if context != EncryptionContext:
            raise refusal("InvalidCiphertextException")
        return {"KeyId": KeyId, "Plaintext": secret}

    def _fail(self) -> None:
        self.calls += 1
        if self.failure is not None:
            raise self.failure


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "Decrypt")


def test_wrap_and_unwrap_bind_the_context():
    """A secret comes back with the same context only."""
    provider = AwsKms(Kms(), "alias/x")
    wrapped = provider.wrap(b"secret", CONTEXT)
    assert wrapped.key_id == "arn:alias/x"
    assert provider.unwrap(wrapped, CONTEXT) == b"secret"
    with pytest.raises(KeyDestroyed):
        provider.unwrap(wrapped, {**CONTEXT, "tenant": "u"})


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (refusal("ThrottlingException"), ProviderAway),
        (EndpointConnectionError(endpoint_url="http://nowhere"), ProviderAway),
        (refusal("KMSInvalidStateException"), KeyDestroyed),
    ],
)
def test_failures_are_told_apart(failure: Exception, error: type[Exception]):
    """An outage is transient; a key that is disabled or going is not."""
    client = Kms()
    client.failure = failure
    with pytest.raises(error):
        AwsKms(client, "k").wrap(b"x", CONTEXT)


def test_the_service_is_asked_per_tenant_not_per_event(tmp_path: Path):
    """Sealing many people costs a handful of calls: people's keys are wrapped under their tenant's."""
    client = Kms()
    vault = Vault(store.connect(tmp_path / "v.db", 1), AwsKms(client, "k"), PrivacySettings())
    for number in range(50):
        idx = index(vault.index_key("t"), "customer", "id", str(number))
        vault.admit([Need("t", "customer", (idx,), groups=("identity", "contact"))])
    vault.close()
    assert client.calls == 4


def test_settings_choose_the_provider(offline_settings: Settings):
    """`privacy.provider = aws-kms` makes a KMS provider without any call."""
    chosen = make(offline_settings.with_(privacy={"provider": "aws-kms", "kms_key_id": "alias/x"}))
    assert isinstance(chosen, AwsKms)
