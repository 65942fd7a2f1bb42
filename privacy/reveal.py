"""Opening tokens: the way back from ciphertext to value, for proofs, tests and (later) an audited reveal."""

import re

from cryptography.exceptions import InvalidTag

from privacy.errors import KeyDestroyed, TokenRefused
from privacy.seal import GROUPS, associated_data, token_parts
from privacy.vault import Vault
from schemas.contract import Contract

_SEALED_KEY = re.compile(r"(.+?)(?:\[([0-9]+)\])?\Z")


def reveal(
    vault: Vault, contract: Contract, tenant: str, sealed_key: str, token: bytes, subject_ref: str | None
) -> str:
    """The value behind one token. `sealed_key` is the field's name, or `name[i]` for an element of an array.

    Raises KeyDestroyed when the person was erased, TokenRefused when the token belongs elsewhere or was altered.
    """
    match = _SEALED_KEY.match(sealed_key)
    assert match is not None
    name, position = match[1], None if match[2] is None else int(match[2])
    item = next((item for item in contract.pii_fields if item.name == name), None)
    if item is None:
        raise TokenRefused("the contract has no such personal field", where=f"{contract.id}.{name}")
    try:
        own, nonce, body = token_parts(token)
    except ValueError:
        raise TokenRefused("this is not a token", where=f"{contract.id}.{name}") from None
    owner = own or subject_ref
    if not owner:
        raise TokenRefused("a token of a person came without its subject", where=f"{contract.id}.{name}")
    key = vault.key(owner, GROUPS[item.cls])
    if key is None:
        raise KeyDestroyed("the key of this token does not exist", where=f"{contract.id}.{name}")
    aad = associated_data(tenant, contract.id, item.id, owner, position)
    try:
        return key.decrypt(nonce, body, aad).decode()
    except InvalidTag:
        raise TokenRefused("the token was altered or belongs elsewhere", where=f"{contract.id}.{name}") from None
