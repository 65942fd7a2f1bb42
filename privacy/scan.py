"""Invariant 2: no personal value in clear in any file, topic, table or key after the producer.

Values of a sample of live people are opened in memory, planted in every spelling into scratch copies of each kind of
store (all must be found, or the verdict is void), and then searched for in the real ones. Findings name store and
place, never the value. Nothing here writes to a store.
"""

import base64
import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from caudal.errors import CaudalError
from caudal.lake import Lake
from caudal.proof import Check
from caudal.settings import Settings
from privacy.normalise import valid_cpf
from privacy.scan_parquet import decoded
from privacy.scan_search import Needles
from privacy.scan_stores import Away, Budget, Piece, Store, stores
from privacy.scan_values import Secret, patterns, sample, spellings
from privacy.settings import PrivacySettings
from privacy.vault import Vault
from schemas.load import load_catalog

NAME = "no plaintext"
_SHOWN = 20  # findings
_CONTROL = 400  # values planted
_FORMATTED_CPF = re.compile(rb"(?<![0-9])[0-9]{3}[.][0-9]{3}[.][0-9]{3}-[0-9]{2}(?![0-9])")


def checks(settings: Settings) -> list[Check]:
    """The proof on this install, running or stopped. Stores that cannot be reached are named in the detail."""
    own = settings.section("privacy", PrivacySettings)
    if not own.vault_file(settings).exists():
        return [Check(2, NAME, True, 0, "nobody was sealed on this host yet")]
    lake = Lake.open(settings)
    vault = Vault.open(settings)
    try:
        secrets = sample(lake, vault, load_catalog(settings.contracts_dir).values(), own.scan_subjects)
    finally:
        vault.close()
    return [prove(secrets, stores(settings, lake), own)]


def prove(secrets: Sequence[Secret], places: Sequence[Store], own: PrivacySettings) -> Check:
    """Search `places` for `secrets`, after a positive control."""
    needles = Needles(patterns(secrets))
    missed = control(needles, secrets)
    if missed:
        return Check(2, NAME, False, 0, "the scan is blind, so its verdict is void", tuple(sorted(missed)))
    until = time.monotonic() + own.scan_s
    findings: list[str] = []
    parts: list[str] = []
    examined = 0
    for left, store in zip(range(len(places), 0, -1), places, strict=True):
        # What a store leaves of its share of the time is for the next ones.
        now = time.monotonic()
        budget, units = Budget(own.scan_bytes, now + (until - now) / left), 0
        try:
            for piece in store.read(budget):
                units += piece.units
                findings += _search(needles, store.name, piece)
        except Away as away:
            parts.append(f"{store.name} not searched: {away}")
        except CaudalError as error:
            parts.append(f"{store.name} not searched: {error.code}")
        examined += units
        read = (own.scan_bytes - budget.bytes) / 1e6
        parts.append(f"{store.name} {units} ({read:.0f} MB{', in part' if budget.cut else ''})")
    people = f"{len(secrets)} values in {len(needles)} spellings"
    detail = f"{people}, control passed; searched: {'; '.join(parts)}"
    unique = tuple(dict.fromkeys(findings))
    return Check(2, NAME, not unique, examined if secrets else 0, detail, unique[:_SHOWN])


def control(needles: Needles, secrets: Sequence[Secret]) -> set[str]:
    """Kinds of hiding places in which not every planted value is found; empty when the scan sees everything."""
    missed = set()
    # Every class and shape is among a few hundred; planting all would take longer than the search itself.
    chosen = secrets[:: max(1, len(secrets) // _CONTROL)]
    for kind, planted, pieces in _plant(chosen):
        found = {id(hit.secret) for piece in pieces for _, hit in needles.search(piece.data, binary=piece.binary)}
        if any(id(secret) not in found for secret in planted):
            missed.add(f"control: values planted as {kind} were not all found")
    return missed


def _plant(secrets: Sequence[Secret]) -> Iterator[tuple[str, Sequence[Secret], list[Piece]]]:
    """(kind, what was planted, the scratch copy in memory): written by other means than the patterns are."""

    def text(kind: str, lines: Sequence[bytes], *, binary: bool = False) -> tuple[str, Sequence[Secret], list[Piece]]:
        return kind, secrets, [Piece(kind, b"\n".join(lines), binary=binary)]

    values = [secret.value for secret in secrets]
    yield text("a log line", [f'ts=1 value="{value}" n=2'.encode() for value in values])
    yield text("another spelling", [spellings(s.cls, s.value)[-1].encode() for s in secrets])
    yield text("JSON", [json.dumps({"a": [1, {"b": value}]}).encode() for value in values])
    yield text("an address", [f"GET /find?q={quote(value, safe='')}&n=1".encode() for value in values])
    yield text("hex", [b"0a" + value.encode().hex().encode() + b"0d" for value in values])
    for before in ("", "x", "xy"):
        yield text("base64", [base64.b64encode(f"{before}{value}, and more".encode()) for value in values])
    for codec in ("utf-16-le", "utf-16-be"):
        yield text("UTF-16", [f"x{value}x".encode(codec) for value in values], binary=True)
    yield text("an Avro record", [b"\x02\x16" + value.encode() + b"0\x00" for value in values], binary=True)
    if secrets:
        yield "a Parquet column", secrets, [Piece(column, data) for column, data in decoded(_scratch_table(values))]


def _scratch_table(values: Sequence[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet as parquet

    nested = pyarrow.array([[{"v": value}] for value in values])
    out = io.BytesIO()
    parquet.write_table(pyarrow.table({"n": list(range(len(values))), "deep": nested}), out, compression="zstd")
    return out.getvalue()


def _search(needles: Needles, store: str, piece: Piece) -> list[str]:
    hits = Counter(
        f"{store}: {piece.place} holds a value of {pattern.secret.field} ({pattern.spelling})"
        for _, pattern in needles.search(piece.data, binary=piece.binary)
    )
    found = [f"{what}, {n} times" if n > 1 else what for what, n in hits.items()]
    if piece.text:
        # With its dots and dash a CPF does not happen by chance, so people outside the sample show up too.
        strange = sum(1 for match in _FORMATTED_CPF.finditer(piece.data) if valid_cpf(match[0].decode()))
        if strange:
            found.append(f"{store}: {piece.place} holds {strange} CPF in clear")
    return found
