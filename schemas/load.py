"""Read contracts from their folders. What is written wrongly is refused with file, line and what to write.

Only form is judged here (keys, types, names, that mentioned fields exist); what a contract may not do is `lint`'s.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from schemas import document, read, wire
from schemas.avro import SchemaInvalid, validate
from schemas.contract import Avro, Catalog, Contract, Version
from schemas.document import Document
from schemas.errors import ContractError

CONTRACT_FILE = "contract.yml"
BUILT_IN_ROOT = Path(__file__).parent / "contracts"
BUILT_IN = ("caudal.rejected",)
_VERSION_FILE = re.compile(r"v([1-9][0-9]*)\.avsc")


def load_catalog(root: Path) -> Catalog:
    """All contracts under `root/<domain>/<event>/`, and the built-in ones when the folder does not hold them.

    Raises ContractError for the first contract that cannot be read. `load_each` goes on instead.
    """
    contracts: list[Contract] = []
    for found in load_each(root):
        if isinstance(found, ContractError):
            raise found
        contracts.append(found)
    return Catalog({contract.id: contract for contract in contracts})


def load_each(root: Path) -> Iterable[Contract | ContractError]:
    """Each contract under the root, or why it cannot be read. Two folders cannot hold one id: the id is the path."""
    seen: set[str] = set()
    for folder in sorted(p.parent for p in root.glob(f"*/*/{CONTRACT_FILE}")):
        seen.add(f"{folder.parent.name}.{folder.name}")
        try:
            yield load_contract(folder)
        except ContractError as error:
            yield error
    for name in BUILT_IN:
        if name not in seen:
            yield load_contract(BUILT_IN_ROOT.joinpath(*name.split(".")))


def load_contract(path: Path) -> Contract:
    """The contract of a folder (or of its contract.yml). Raises ContractError."""
    folder = path if path.is_dir() else path.parent
    doc = document.read(folder / CONTRACT_FILE)
    contract = replace(read.contract(doc), source_dir=folder)
    if contract.id != f"{folder.parent.name}.{folder.name}":
        raise doc.error(
            "NAME", f"the id `{contract.id}` does not fit its folder", ("id",), fix="keep it in <domain>/<event>/"
        )
    versions = tuple(_version(contract, number, file) for number, file in _version_files(doc, folder))
    contract = replace(contract, versions=versions)
    read.check_mentions(doc, contract)
    return contract


def read_avsc(file: Path) -> Avro:
    """A record schema from a file; ContractError when it is no JSON or no Avro record."""
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError("AVRO", "the schema cannot be read", file=file, why=type(error).__name__) from error
    except ValueError as error:
        raise ContractError(
            "AVRO", "the schema is no valid JSON", file=file, line=getattr(error, "lineno", None), why=str(error)
        ) from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ContractError(
            "AVRO", "an event is an Avro record", file=file, line=1, fix='begin with {"type": "record", "name": …}'
        )
    try:
        validate(schema)
    except SchemaInvalid as error:
        raise ContractError(
            "AVRO",
            f"the schema is no valid Avro: {error}",
            file=file,
            line=line_of(file, error.name),
            fix="see the Avro 1.12 specification, `Schema Declaration`",
        ) from error
    return schema


def line_of(file: Path, field: str | None) -> int | None:
    """The line that names an Avro field, or None when no line does."""
    if field is None:
        return None
    wanted = re.compile(rf'"name"\s*:\s*"{re.escape(field)}"')
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if wanted.search(line):
            return number
    return None


def _version_files(doc: Document, folder: Path) -> list[tuple[int, Path]]:
    found = sorted((int(m[1]), f) for f in folder.glob("v*.avsc") if (m := _VERSION_FILE.fullmatch(f.name)))
    numbers = [number for number, _ in found]
    if not numbers:
        raise doc.error("AVRO", "the contract has no schema", fix="write v1.avsc beside contract.yml")
    if numbers != list(range(1, len(numbers) + 1)):
        missing = min(set(range(1, numbers[-1])) - set(numbers))
        raise doc.error(
            "AVRO", f"v{missing}.avsc is missing", why="versions count 1, 2, 3 … without gaps", fix="restore the file"
        )
    return found


def _version(contract: Contract, number: int, file: Path) -> Version:
    avsc = read_avsc(file)
    derived = wire.derive(contract, avsc)
    # Two equal names in the derived record mean that a field is called like one that the wire adds.
    names = [item["name"] for item in derived["fields"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ContractError(
            "FIELD",
            f"the name `{twice}` is taken: the wire schema adds such a field itself",
            file=file,
            line=line_of(file, twice),
            fix="give the field another name",
        )
    return Version(number, avsc, derived)
