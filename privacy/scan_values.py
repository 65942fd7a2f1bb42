"""What the scan looks for: personal values of live people, opened in memory, in every spelling a leak may take."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from caudal import log
from caudal.lake import Lake
from privacy.errors import PrivacyError
from privacy.normalise import normalise
from privacy.reveal import reveal
from privacy.vault import Vault
from schemas.contract import Contract

# Shortest canonical form per class that cannot turn up by chance. Classes that are missing (ip, free text) hold values
# that are shared by many people or that contain ordinary words.
_SHORTEST: Mapping[str, int] = {
    "cpf": 11,
    "cnpj": 14,
    "email": 9,
    "phone": 12,
    "card": 12,
    "bank_account": 9,
    "device": 12,
    "name": 12,
    "address": 16,
}
_DIGITS_ONLY = 11  # shorter runs of digits are prices, offsets and times
_ROWS = 20_000  # rows read per silver table to find the people of the sample


@dataclass(frozen=True)
class Secret:
    """One personal value, and where it belongs (`commerce.order.customer_email`). Never printed."""

    value: str
    cls: str
    field: str

    def __repr__(self) -> str:
        return f"Secret({self.field})"


@dataclass(frozen=True)
class Pattern:
    """Bytes to look for. `digits`: a longer number around them is another value."""

    needle: bytes
    secret: Secret
    spelling: str
    digits: bool


def sample(lake: Lake, vault: Vault, contracts: Iterable[Contract], people: int) -> list[Secret]:
    """Values of up to `people` live people per contract that are long enough to be told from chance."""
    found: dict[tuple[str, str], Secret] = {}
    opened = 0
    for contract in contracts:
        classes = {item.name: item.cls for item in contract.pii_fields if item.cls in _SHORTEST}
        if not classes:
            continue
        for tenant, ref, tokens in _rows(lake, contract, people):
            for sealed_key, token in tokens:
                name = sealed_key.partition("[")[0]
                if name not in classes:
                    continue
                try:
                    value = reveal(vault, contract, tenant, sealed_key, token, ref)
                except PrivacyError:
                    continue  # erased meanwhile, or sealed elsewhere: nothing to look for
                opened += 1
                if _is_telling(classes[name], value):
                    found.setdefault((classes[name], value), Secret(value, classes[name], f"{contract.id}.{name}"))
    log.get("privacy").info("tokens_opened", purpose="verify", tokens=opened, values=len(found))
    return list(found.values())


def patterns(secrets: Sequence[Secret]) -> Iterator[Pattern]:
    """Every spelling of every value, at least 8 bytes each."""
    for secret in secrets:
        seen: set[bytes] = set()
        for text in spellings(secret.cls, secret.value):
            for spelling, needle in _encodings(text):
                if len(needle) >= 8 and needle not in seen:
                    seen.add(needle)
                    yield Pattern(needle, secret, spelling, digits=needle.isdigit() and spelling == "plain")


def spellings(cls: str, value: str) -> list[str]:
    """The value as it came, normalised, and as people write it."""
    canonical = normalise(cls, value)
    out = [value, value.strip(), canonical]
    if cls == "cpf" and len(canonical) == 11:
        out.append(f"{canonical[:3]}.{canonical[3:6]}.{canonical[6:9]}-{canonical[9:]}")
    elif cls == "cnpj" and len(canonical) == 14:
        c = canonical
        out.append(f"{c[:2]}.{c[2:5]}.{c[5:8]}/{c[8:12]}-{c[12:]}")
    elif cls == "phone":
        out += [f"+{canonical}", canonical.removeprefix("55")]
    elif cls == "card":
        out.append(" ".join(canonical[i : i + 4] for i in range(0, len(canonical), 4)))
    return [text for text in dict.fromkeys(out) if not text.isdigit() or len(text) >= _DIGITS_ONLY]


def _encodings(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    yield "plain", raw
    yield "json", json.dumps(text)[1:-1].encode()
    yield "url", quote(text, safe="").encode()
    yield "url", quote_plus(text).encode()
    yield "utf-16", text.encode("utf-16-le")
    yield "utf-16", text.encode("utf-16-be")
    yield "hex", raw.hex().encode()
    yield "hex", raw.hex().upper().encode()
    for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            yield "base64", _inside_base64(alphabet(b"\0" * before + raw), before, len(raw))
    for digest in (hashlib.md5, hashlib.sha1, hashlib.sha256):
        yield "digest", digest(raw, usedforsecurity=False).hexdigest().encode()


def _inside_base64(encoded: bytes, before: int, size: int) -> bytes:
    """The characters that do not depend on what stands around the value."""
    start = (0, 2, 3)[before]
    end = len(encoded) - (0, 3, 2)[(before + size) % 3]
    return encoded[start:end]


def _is_telling(cls: str, value: str) -> bool:
    canonical = normalise(cls, value)
    if len(canonical) < _SHORTEST[cls] or len(set(canonical)) < 3:
        return False
    if canonical.isdigit() and len(canonical) < _DIGITS_ONLY:
        return False
    return cls not in ("name", "address") or re.search(r"\S\s+\S", value) is not None


def _rows(lake: Lake, contract: Contract, people: int) -> Iterator[tuple[str, str | None, list[tuple[str, bytes]]]]:
    """(tenant, subject_ref, tokens by field) of one row per person, from the contract's silver table."""
    from deltalake import DeltaTable

    from caudal.query import Query

    path = lake.table("silver", contract.table)
    if not DeltaTable.is_deltatable(path, storage_options=lake.storage_options or None):
        return
    query = Query(lake)
    query.at("silver", path)
    columns = f'"{contract.tenant}" AS tenant, subject_ref, _sealed'
    rows = query.rows(f"SELECT {columns} FROM silver WHERE _sealed IS NOT NULL LIMIT {_ROWS}")
    seen: set[object] = set()
    for row in rows:
        ref = row["subject_ref"]
        if len(seen) >= people:
            return
        if row["_sealed"] and row["tenant"] is not None and (ref is None or ref not in seen):
            seen.add(ref or len(seen))
            tokens = row["_sealed"].items() if isinstance(row["_sealed"], dict) else row["_sealed"]
            yield str(row["tenant"]), ref, [(str(name), bytes(token)) for name, token in tokens if token]
