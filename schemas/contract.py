"""A contract as values: what an event is, who it belongs to, how it may change. Nothing here reads a file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

AvroType = Any
"""An Avro schema in JSON form: a name, a union (list) or an object."""
Avro = dict[str, Any]
"""A record schema in JSON form."""

Mode = Literal["append", "upsert", "cdc"]
MODES: tuple[Mode, ...] = ("append", "upsert", "cdc")
PII_CLASSES = (
    "cpf", "cnpj", "email", "phone", "name", "bank_account", "card", "address", "ip", "device", "free_text",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """Whose data an event is: `by` are identifiers that lead to one ref, `ref_field` is a field that holds it."""

    kind: str
    by: tuple[str, ...] = ()
    ref_field: str | None = None


@dataclass(frozen=True)
class Rule:
    """A row rule. `nulls` says what an unknown (null) verdict means; a failing row is refused or gets a warning."""

    code: str
    rule: str
    on_fail: Literal["reject", "warn"] = "reject"
    nulls: Literal["pass", "fail"] = "pass"

    @property
    def dead_letter_code(self) -> str:
        return f"CDL-RULE-{self.code}"


@dataclass(frozen=True)
class Measure:
    """Bounds of one number over the rows that a cycle takes from silver; the names are ODCS's where it has them.

    `metric` is rowCount, mean, nulls (share), known (share of values that `of`, `domain.event.field`, has too), or a
    quantile such as p95. `steady` is how many deviations it may lie away from its own past; 0: as far as it likes.
    Fewer than `min_rows` rows say nothing, save about their number.
    """

    code: str
    metric: str
    field: str = ""
    low: float | None = None
    high: float | None = None
    steady: float = 0.0
    of: str = ""
    min_rows: int = 100
    on_fail: Literal["reject", "warn"] = "warn"


@dataclass(frozen=True)
class Evolution:
    """How versions may differ (one of the registry's seven levels), and what becomes of records that do not fit."""

    compatibility: str = "BACKWARD_TRANSITIVE"
    on_incompatible: Literal["dead_letter", "pause"] = "dead_letter"


_SECONDS = {"": 1, "s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class SlaProperty:
    property: str
    value: float
    unit: str = ""


@dataclass(frozen=True)
class Retention:
    topic: timedelta = timedelta(days=7)
    tables: timedelta = timedelta(days=730)


@dataclass(frozen=True)
class PiiField:
    """A field with personal data: its class, its stable id (it survives a rename), and whether it is array<string>."""

    name: str
    cls: str
    id: str
    is_array: bool


@dataclass(frozen=True)
class Version:
    """One released form: `avsc` is what a producer writes, `wire` what travels and what the registry holds."""

    number: int
    avsc: Avro
    wire: Avro


@dataclass(frozen=True)
class Contract:
    """All that is known about one kind of event. Fields it names are top-level ones of the newest version."""

    id: str
    description: str
    owner: str
    mode: Mode
    key: tuple[str, ...]
    event_id: str
    event_time: str
    sequence: tuple[str, ...]
    tenant: str
    subject: Subject | None
    refs: Mapping[str, str]
    lateness: timedelta
    evolution: Evolution
    ingress: Literal["sealed", "plaintext"]
    history: bool
    quality: tuple[Rule, ...]
    sla: tuple[SlaProperty, ...]
    retention: Retention
    measures: tuple[Measure, ...] = ()
    """Those entries of `quality` that bound a number and not a row."""
    draft: bool = False
    """Linted like any other, but released by nobody except an `apply` that names it."""
    ignore_null_updates: bool = False
    """A null in a change means `unchanged` (cdc only); the name is AUTO CDC's, like those of the next three."""
    except_column_list: tuple[str, ...] = ()
    """Fields that silver does not store (cdc only)."""
    track_history_column_list: tuple[str, ...] = ()
    """Fields whose change starts a new version in the history (cdc only); all when both lists are empty."""
    track_history_except_column_list: tuple[str, ...] = ()
    """The same by those that do not."""
    versions: tuple[Version, ...] = ()
    source_dir: Path | None = field(default=None, compare=False)

    @property
    def topic(self) -> str:
        return self.id

    @property
    def freshness_s(self) -> float | None:
        """Seconds within which an event is to be in silver; None when nothing is promised."""
        return self.promised_s("freshness")

    def promised_s(self, name: str) -> float | None:
        """Seconds that a service level promises (`latency`, `timeOfAvailability`, …); None when nothing is promised."""
        found = next((item for item in self.sla if item.property == name), None)
        unit = _SECONDS.get(found.unit) if found else None
        return found.value * unit if found and unit else None

    @property
    def plaintext_topic(self) -> str:
        """Where a foreign producer that cannot seal writes (ingress: plaintext)."""
        return f"in.{self.id}"

    @property
    def registry_subject(self) -> str:
        return f"{self.id}-value"

    @property
    def domain(self) -> str:
        return self.id.split(".", 1)[0]

    @property
    def event(self) -> str:
        return self.id.split(".", 1)[1]

    @property
    def table(self) -> str:
        return self.id.replace(".", "_")

    @property
    def history_table(self) -> str:
        """Where every version of a row is kept, when `history` is asked for."""
        return f"{self.table}_history"

    @property
    def message_key(self) -> tuple[str, ...]:
        """Fields whose values, as a UTF-8 JSON array, are the Kafka key."""
        return (self.tenant, self.event_id) if self.mode == "append" else self.key

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    def version(self, number: int) -> Version:
        """The version with that number; KeyError when there is none."""
        for version in self.versions:
            if version.number == number:
                return version
        raise KeyError(f"{self.id} has no version {number}")

    @property
    def pii_fields(self) -> tuple[PiiField, ...]:
        """Personal fields of all versions, in order of first appearance."""
        seen: dict[str, PiiField] = {}
        for version in self.versions:
            for item in version.avsc["fields"]:
                if "pii" in item:
                    seen.setdefault(item["name"], pii_field(item))
        return tuple(seen.values())


class Catalog(Mapping[str, Contract]):
    """All contracts by id, in order of id."""

    def __init__(self, contracts: Mapping[str, Contract]) -> None:
        self._contracts = {name: contracts[name] for name in sorted(contracts)}

    def __getitem__(self, name: str) -> Contract:
        return self._contracts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._contracts)

    def __len__(self) -> int:
        return len(self._contracts)


def pii_field(item: Mapping[str, Any]) -> PiiField:
    """The personal field that an Avro field with a `pii` tag describes."""
    kind = without_null(item["type"])
    is_array = isinstance(kind, dict) and kind.get("type") == "array"
    return PiiField(item["name"], str(item["pii"]), str(item.get("id", item["name"])), is_array)


def without_null(kind: AvroType) -> AvroType:
    """The type inside a two-armed union with null; any other type as it is."""
    if isinstance(kind, list):
        rest = [arm for arm in kind if arm != "null"]
        if len(rest) == 1:
            return rest[0]
    return kind


def is_nullable(kind: AvroType) -> bool:
    return kind == "null" or (isinstance(kind, list) and "null" in kind)


def full_name(avsc: Mapping[str, Any]) -> str:
    """Avro full name of a record: namespace and name."""
    name = str(avsc["name"])
    space = avsc.get("namespace")
    return name if "." in name or not space else f"{space}.{name}"
