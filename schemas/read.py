"""The YAML part of a contract: from a document to values, and back. Only form is judged here, not meaning."""

import re
from dataclasses import asdict
from datetime import timedelta
from typing import Any, get_args

from schemas import duration, read_quality
from schemas.compare import Level
from schemas.contract import MODES, Contract, Evolution, Retention, SlaProperty, Subject
from schemas.document import Document, Place, nearest

LEVELS: tuple[str, ...] = get_args(Level)
COLUMN_LISTS = ("except_column_list", "track_history_column_list", "track_history_except_column_list")
_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_REQUIRED = ("id", "description", "owner", "mode", "event_id", "event_time", "tenant")
_OPTIONAL = (
    "key", "sequence", "subject", "refs", "lateness", "evolution", "ingress", "history",
    "ignore_null_updates", "except_column_list", "track_history_column_list", "track_history_except_column_list",
    "quality", "slaProperties", "retention", "status",
)  # fmt: skip


def contract(doc: Document) -> Contract:
    """The contract that a document describes, without versions. Raises ContractError."""
    doc.check_keys((), _REQUIRED, _OPTIONAL)
    identity = doc.text("id")
    if not _ID.fullmatch(identity):
        raise doc.error("NAME", "an id is <domain>.<event>", ("id",), fix="use small letters, digits and _")
    mode = doc.choice(("mode",), MODES)
    key, sequence = doc.names("key"), doc.names("sequence")
    for name, value in (("key", key), ("sequence", sequence)):
        if mode != "append" and not value:
            why = f"mode {mode} needs it"
            raise doc.error("KEY", f"`{name}` is missing", ("mode",), why=why, fix=f"{name}: [field]")
    refs = doc.section(("refs",))
    return Contract(
        id=identity,
        description=doc.text("description"),
        owner=doc.text("owner"),
        mode=mode,
        key=key,
        event_id=doc.text("event_id"),
        event_time=doc.text("event_time"),
        sequence=sequence,
        tenant=doc.text("tenant"),
        subject=_subject(doc),
        refs={name: doc.text("refs", name) for name in refs},
        lateness=doc.span(("lateness",), timedelta(days=7)),
        evolution=_evolution(doc),
        ingress=doc.choice(("ingress",), ("sealed", "plaintext"), "sealed"),
        history=doc.flag("history"),
        ignore_null_updates=doc.flag("ignore_null_updates"),
        except_column_list=doc.names("except_column_list"),
        track_history_column_list=doc.names("track_history_column_list"),
        track_history_except_column_list=doc.names("track_history_except_column_list"),
        quality=read_quality.rules(doc),
        measures=read_quality.measures(doc),
        sla=_sla(doc),
        retention=_retention(doc),
        draft=doc.choice(("status",), ("draft", "active"), "active") == "draft",
    )


def _subject(doc: Document) -> Subject | None:
    found = doc.section(("subject",))
    if not found:
        return None
    doc.check_keys(("subject",), ("kind",), ("by", "from"))
    if ("by" in found) == ("from" in found):
        raise doc.error(
            "VALUE", "a subject is found `by` identifiers or taken `from` a field", ("subject",),
            fix="subject: {kind: customer, by: [customer_id]}",
        )  # fmt: skip
    kind = doc.text("subject", "kind")
    if "from" in found:
        return Subject(kind, ref_field=doc.text("subject", "from"))
    return Subject(kind, by=doc.names("subject", "by"))


def _evolution(doc: Document) -> Evolution:
    doc.check_keys(("evolution",), (), ("compatibility", "on_incompatible"))
    return Evolution(
        doc.choice(("evolution", "compatibility"), LEVELS, "BACKWARD_TRANSITIVE"),
        doc.choice(("evolution", "on_incompatible"), ("dead_letter", "pause"), "dead_letter"),
    )


def _sla(doc: Document) -> tuple[SlaProperty, ...]:
    out: list[SlaProperty] = []
    for index in range(len(doc.list("slaProperties"))):
        place = ("slaProperties", index)
        doc.check_keys(place, ("property", "value"), ("unit",))
        unit = doc.section(place).get("unit", "")
        out.append(SlaProperty(doc.text(*place, "property"), doc.number(*place, "value"), str(unit)))
    return tuple(out)


def _retention(doc: Document) -> Retention:
    doc.check_keys(("retention",), (), ("topic", "tables"))
    default = Retention()
    return Retention(doc.span(("retention", "topic"), default.topic), doc.span(("retention", "tables"), default.tables))


def check_mentions(doc: Document, contract: Contract) -> None:
    """Every field that the YAML names is a top-level field of the newest version."""
    known = [str(item["name"]) for item in contract.latest.avsc["fields"]]
    mentioned: list[tuple[Place, str]] = [
        ((name,), getattr(contract, name)) for name in ("event_id", "event_time", "tenant")
    ]
    mentioned += [(("key", i), name) for i, name in enumerate(contract.key)]
    mentioned += [(("sequence", i), name) for i, name in enumerate(contract.sequence)]
    mentioned += [(("refs", ref), name) for ref, name in contract.refs.items()]
    mentioned += [((kind, i), name) for kind in COLUMN_LISTS for i, name in enumerate(getattr(contract, kind))]
    if contract.subject is not None:
        mentioned += [(("subject", "by", i), name) for i, name in enumerate(contract.subject.by)]
        if contract.subject.ref_field is not None:
            mentioned.append((("subject", "from"), contract.subject.ref_field))
    mentioned += read_quality.mentions(doc)
    for place, name in mentioned:
        if name not in known:
            raise doc.error(
                "FIELD",
                f"there is no field `{name}`",
                place,
                why=f"v{contract.latest.number}.avsc does not have it at its top level",
                fix=nearest(name, known),
            )


def record(contract: Contract) -> dict[str, Any]:
    """The YAML form of a contract as plain values; `contract(doc)` of it gives the same contract again."""
    out: dict[str, Any] = {
        "id": contract.id,
        "description": contract.description,
        "owner": contract.owner,
        "mode": contract.mode,
        "key": list(contract.key),
        "event_id": contract.event_id,
        "event_time": contract.event_time,
        "sequence": list(contract.sequence),
        "tenant": contract.tenant,
        "subject": _subject_record(contract.subject),
        "refs": dict(contract.refs),
        "lateness": duration.render(contract.lateness),
        "evolution": asdict(contract.evolution),
        "ingress": contract.ingress,
        "history": contract.history,
        "ignore_null_updates": contract.ignore_null_updates,
        **{name: list(getattr(contract, name)) for name in COLUMN_LISTS},
        "quality": [*map(asdict, contract.quality), *map(read_quality.record, contract.measures)],
        "slaProperties": [asdict(item) for item in contract.sla],
        "retention": {
            "topic": duration.render(contract.retention.topic),
            "tables": duration.render(contract.retention.tables),
        },
    }
    return {name: value for name, value in out.items() if value not in (None, [], {})}


def _subject_record(subject: Subject | None) -> dict[str, Any] | None:
    if subject is None:
        return None
    if subject.ref_field is not None:
        return {"kind": subject.kind, "from": subject.ref_field}
    return {"kind": subject.kind, "by": list(subject.by)}
