"""`caudal contract new`: a contract that passes lint, ready to be changed."""

import re
from pathlib import Path

from schemas import load, wire
from schemas.contract import Avro, Contract, Mode
from schemas.errors import ContractError

_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_TIME = {"type": "long", "logicalType": "timestamp-millis"}

_DRAFT = re.compile(r"^status: *draft\b.*\n", re.MULTILINE)

_HEAD = """# Topic, registry subject, tables, masks, dead letters and checks all follow from this file and v1.avsc.
id: {id}
status: draft               # not released yet; `caudal contract apply {id}` takes this line out and releases it
description: What happens, in one line
owner: {domain}
mode: {mode}                # append: events; upsert: the newest state of a key; cdc: changes of a database row
"""
_KEYED = """key: [tenant_id, {own}]
sequence: [{sequence}]       # which of two records of a key is newer
"""
_TAIL = """event_id: event_id          # the same id twice is one event
event_time: {time}
tenant: tenant_id
subject: {{kind: customer, by: [customer_email]}}   # whose data this is; leave it out when nobody's
lateness: P7D               # copies and late events are found within this span
evolution: {{compatibility: BACKWARD_TRANSITIVE, on_incompatible: dead_letter}}
ingress: sealed
quality:
  - {{code: NEG_AMOUNT, rule: "amount >= 0", on_fail: reject}}
slaProperties: [{{property: freshness, value: 60, unit: s}}]
retention: {{topic: P7D, tables: P2Y}}
"""


def new(root: Path, identity: str, mode: Mode = "append") -> Contract:
    """Write contract.yml, v1.avsc and v1.wire.avsc under `root/<domain>/<event>/` and load them.

    Raises ContractError when the id is none, or when there is such a contract already; nothing is ever overwritten.
    """
    if not _ID.fullmatch(identity):
        fix = "caudal contract new sales.visit"
        raise ContractError("NAME", f"`{identity}` is no id", why="an id is <domain>.<event> in small letters", fix=fix)
    domain, event = identity.split(".")
    folder = root / domain / event
    if folder.exists():
        fix = "choose another id, or write the next version beside it"
        raise ContractError("NAME", f"there is `{identity}` already", file=folder, fix=fix)
    folder.mkdir(parents=True)
    time = "occurred_at" if mode == "append" else "updated_at"
    own = "record_id" if event in ("event", "tenant") else f"{event}_id"
    values = {"id": identity, "own": own, "domain": domain, "event": event, "mode": mode, "time": time}
    keyed = "" if mode == "append" else _KEYED.format(sequence="_sequence" if mode == "cdc" else time, **values)
    (folder / load.CONTRACT_FILE).write_text(_HEAD.format(**values) + keyed + _TAIL.format(**values), encoding="utf-8")
    (folder / "v1.avsc").write_text(wire.text(_schema(domain, event, own, time, mode)), encoding="utf-8")
    contract = load.load_contract(folder)
    write_wire(contract)
    return contract


def activate(contract: Contract) -> None:
    """Take the draft's mark out of its contract.yml; a contract that is none is left alone."""
    if contract.draft and contract.source_dir is not None:
        file = contract.source_dir / load.CONTRACT_FILE
        file.write_text(_DRAFT.sub("", file.read_text(encoding="utf-8"), count=1), encoding="utf-8")


def write_wire(contract: Contract) -> list[Path]:
    """Write the wire schemas that are missing or differ from what is derived; the files written."""
    written: list[Path] = []
    if contract.source_dir is None:
        return written
    for version in contract.versions:
        file = contract.source_dir / f"v{version.number}.wire.avsc"
        text = wire.text(version.wire)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            written.append(file)
    return written


def _schema(domain: str, event: str, own: str, time: str, mode: Mode) -> Avro:
    cdc = [
        {"name": "_op", "doc": "c, u, d, r or t", "type": "string"},
        {"name": "_sequence", "doc": "Position in the source's log", "type": "long"},
        {"name": "_source", "type": ["null", "string"], "default": None},
    ]
    email = {"doc": "Sealed before it leaves the producer", "pii": "email", "id": "customer_email"}
    money = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
    return {
        "type": "record",
        "name": "".join(part.capitalize() for part in event.split("_")),
        "namespace": f"caudal.{domain}",
        "doc": "What one record says",
        "fields": [
            {"name": "event_id", "type": "string"},
            {"name": "tenant_id", "type": "string"},
            {"name": own, "type": "string"},
            {"name": "amount", "unit": "currency", "type": money},
            {
                "name": "customer_email",
                **email,
                "type": ["null", "string"],
                "default": None,
            },
            {"name": time, "type": _TIME},
            *(cdc if mode == "cdc" else []),
        ],
    }
