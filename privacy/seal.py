"""Sealing: a contract's personal fields become mask and token, its identifiers become random refs.

A token is version byte ‖ key name (version 2 only, 16 bytes) ‖ nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM.
Version 1: the key belongs to the row's `subject_ref`. Version 2: the event has no subject, so a key of its own is named
in the token. Associated data: tenant|contract|field id[/array position]|key name, so that no token can be moved to
another person, field, position or tenant.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.masks import mask
from privacy.normalise import bad_check_digits, normalise
from privacy.vault import Admitted, Need, Vault, index
from schemas.contract import Contract, PiiField

V1, V2 = b"\x01", b"\x02"
NONCE = 12  # bytes

GROUPS: Mapping[str, str] = {
    "cpf": "identity",
    "cnpj": "identity",
    "name": "identity",
    "free_text": "identity",
    "email": "contact",
    "phone": "contact",
    "address": "contact",
    "ip": "contact",
    "device": "contact",
    "bank_account": "bank",
    "card": "bank",
}
"""Key group of each pii class: a group can be destroyed or revealed without the others."""

Record = Mapping[str, object]
Wire = dict[str, object]


@dataclass(frozen=True)
class _Identifier:
    """A field that leads to a ref. `name` is its pii class, else its own name, so that contracts meet in one person."""

    field: str
    cls: str | None
    name: str
    kind: str


class Sealer:
    """Seals records of one contract, in batches; safe for threads."""

    def __init__(self, vault: Vault, contract: Contract) -> None:
        self._vault, self.contract = vault, contract
        self._pii = contract.pii_fields
        classes = {item.name: item.cls for item in self._pii}

        def identifier(field: str, kind: str) -> _Identifier:
            cls = classes.get(field)
            return _Identifier(field, cls, cls or field, kind)

        subject = contract.subject
        self._kind = subject.kind if subject else ""
        self._by = tuple(identifier(name, self._kind) for name in (subject.by if subject else ()))
        self._ref_field = subject.ref_field if subject else None
        self._refs = tuple((f"{name}_ref", identifier(contract.refs[name], name)) for name in sorted(contract.refs))
        self._checked = tuple(item for item in self._pii if item.cls in ("cpf", "cnpj", "card") and not item.is_array)

    def seal(self, records: Sequence[Record]) -> list[Wire]:
        """Wire records without origin: each personal field is None or {mask, token}, `subject_ref` and refs are added.

        `records` are valid against the contract. Everything new in the vault is durable when this returns. The fields
        of an erased person keep neither mask nor token. Raises VaultBusy and ProviderAway.
        """
        needs: list[Need] = []
        uses: list[tuple[int, int]] = []
        places: list[dict[str, int]] = []
        for record in records:
            tenant = str(record[self.contract.tenant])
            key = self._vault.index_key(tenant)
            subject = len(needs)
            needs.append(self._subject(tenant, key, record))
            place: dict[str, int] = {}
            for column, item in self._refs:
                idx = self._index(key, item, record)
                if idx is not None:
                    place[column] = len(needs)
                    if needs[subject].idx:
                        uses.append((len(needs), subject))
                    needs.append(Need(tenant, item.kind, (idx,)))
            place[""] = subject
            places.append(place)
        admitted = self._vault.admit(needs, uses)
        return [
            self._wire(record, needs[place[""]], admitted, place) for record, place in zip(records, places, strict=True)
        ]

    def refs_for(self, record: Record) -> dict[str, str | None]:
        """`subject_ref` and `<name>_ref` of the identifiers in `record`, looked up and never made."""
        tenant = str(record[self.contract.tenant])
        out: dict[str, str | None] = {"subject_ref": None}
        if self._ref_field:
            out["subject_ref"] = _text(record.get(self._ref_field))
        for column, item in (*(("subject_ref", item) for item in self._by), *self._refs):
            value = _text(record.get(item.field))
            found = self._vault.lookup(tenant, item.kind, item.name, value) if value else None
            out[column] = out.get(column) or found
        return out

    def flags(self, record: Record) -> tuple[str, ...]:
        """Names of fields whose check digits are wrong. They are sealed all the same: real people mistype."""
        return tuple(
            item.name
            for item in self._checked
            if (value := record.get(item.name)) is not None and bad_check_digits(item.cls, str(value))
        )

    def _index(self, key: bytes, item: _Identifier, record: Record) -> bytes | None:
        value = _text(record.get(item.field))
        canonical = normalise(item.cls, value) if value else ""
        return index(key, item.kind, item.name, canonical) if canonical else None

    def _subject(self, tenant: str, key: bytes, record: Record) -> Need:
        groups = {GROUPS[item.cls]: None for item in self._pii if record.get(item.name) is not None}
        if self._ref_field:
            return Need(tenant, self._kind, ref=_text(record.get(self._ref_field)), groups=tuple(groups))
        idx = tuple(found for item in self._by if (found := self._index(key, item, record)) is not None)
        return Need(tenant, self._kind, idx, groups=tuple(groups))

    def _wire(self, record: Record, need: Need, admitted: Sequence[Admitted], place: Mapping[str, int]) -> Wire:
        owner = admitted[place[""]]
        named = bool(need.idx or need.ref)
        wire: Wire = dict(record)
        for item in self._pii:
            value = record.get(item.name)
            if item.name not in record:
                continue  # a field of another version
            if value is None:
                wire[item.name] = None
            elif owner.erased:
                wire[item.name] = [] if item.is_array else None
            else:
                head = V1 if named else V2 + bytes.fromhex(owner.name)
                aad = associated_data(need.tenant, self.contract.id, item.id, owner.name)
                wire[item.name] = _sealed(item, value, owner.keys[GROUPS[item.cls]], head, aad)
        wire["subject_ref"] = owner.name if named else None
        for column, _ in self._refs:
            wire[column] = admitted[place[column]].name if column in place else None
        return wire


def associated_data(tenant: str, contract: str, field_id: str, key_name: str, position: int | None = None) -> bytes:
    """What a token is bound to. Only the tenant may hold a bar, and it comes first, so the text has one reading."""
    field = field_id if position is None else f"{field_id}/{position}"
    return f"{tenant}|{contract}|{field}|{key_name}".encode()


def token_parts(token: bytes) -> tuple[str | None, bytes, bytes]:
    """(key name of version 2, or None), nonce, ciphertext with tag. Raises ValueError for anything else."""
    if token[:1] == V1 and len(token) >= 1 + NONCE + 16:
        return None, token[1 : 1 + NONCE], token[1 + NONCE :]
    if token[:1] == V2 and len(token) >= 17 + NONCE + 16:
        return token[1:17].hex(), token[17 : 17 + NONCE], token[17 + NONCE :]
    raise ValueError("not a token")


def sealed_values(name: str, value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(key in `_sealed`, sealed record) of one wire field: `name`, or `name[i]` for arrays."""
    if isinstance(value, Mapping):
        yield name, value
    elif isinstance(value, list):
        yield from ((f"{name}[{i}]", item) for i, item in enumerate(value))


def _sealed(item: PiiField, value: object, key: AESGCM, head: bytes, aad: bytes) -> object:
    if not item.is_array:
        return _one(item.cls, str(value), key, head, aad)
    assert isinstance(value, list)
    left, _, right = aad.rpartition(b"|")
    return [
        _one(item.cls, str(entry), key, head, b"%b/%d|%b" % (left, position, right))
        for position, entry in enumerate(value)
    ]


def _one(cls: str, value: str, key: AESGCM, head: bytes, aad: bytes) -> dict[str, object]:
    nonce = os.urandom(NONCE)
    return {"mask": mask(cls, value), "token": head + nonce + key.encrypt(nonce, value.encode(), aad)}


def _text(value: object) -> str:
    return "" if value is None else str(value)
