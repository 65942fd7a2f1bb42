"""Silver and gold in AWS Glue, so that other engines find them by name. Idempotent: only what differs is changed.

Every table that we register carries the parameter `caudal.lake`, this lake's address. A table of ours that the lake
does not have any more is dropped from the catalogue (its data stays); one that does not carry it is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from batch.lineage.errors import GlueAway
from caudal.settings import LakeSettings

OWNER = "caudal.lake"
LAYERS = ("silver", "gold")
_NAMED = re.compile(r"^(decimal\(\d+,\s*\d+\)|array<.*>|map<.*>|struct<.*>|[a-z]+)$", re.S)
Done = Literal["created", "updated", "unchanged", "dropped", "taken"]


@dataclass(frozen=True)
class Entry:
    """A table as Glue holds it. `columns` are names, Hive types and comments."""

    database: str
    name: str
    description: str
    location: str
    columns: tuple[tuple[str, str, str], ...]
    parameters: Mapping[str, str]

    def wanted(self) -> dict[str, Any]:
        """Glue's TableInput. Engines read the columns from Delta's log; these are what people see."""
        return {
            "Name": self.name,
            # Glue takes no more of a description, a comment or a type.
            "Description": self.description[:2048],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {
                "EXTERNAL": "TRUE",
                "table_type": "DELTA",
                "spark.sql.sources.provider": "delta",
                "classification": "delta",
                **self.parameters,
            },
            "StorageDescriptor": {
                "Location": self.location,
                "Columns": [
                    {"Name": name, "Type": kind[:131_072], "Comment": text[:255]} for name, kind, text in self.columns
                ],
                "SerdeInfo": {
                    "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                    "Parameters": {"path": self.location},
                },
                "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
            },
        }


@dataclass(frozen=True)
class Outcome:
    """What was done about one table."""

    database: str
    table: str
    done: Done


def client(settings: LakeSettings, endpoint: str, region: str) -> Any:
    """The boto3 client; keys are the lake's, or, when it has none, those that boto3 finds itself."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "glue",
        endpoint_url=endpoint or None,
        region_name=region or settings.s3_region,
        aws_access_key_id=settings.s3_access_key.get_secret_value() or None,
        aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
        config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=30),
    )


def entries(catalogue: Mapping[str, Any], lake: str, prefix: str) -> tuple[Entry, ...]:
    """The tables of silver and gold that exist, of a catalogue; gold only as far as it is published."""
    return tuple(
        _entry(table, lake, prefix)
        for table in catalogue["tables"]
        if table["layer"] in LAYERS and table["state"] and (table["layer"] == "silver" or table["state"]["published"])
    )


def register(glue: Any, wanted: Iterable[Entry], lake: str, prefix: str) -> tuple[Outcome, ...]:
    """Make Glue's databases `<prefix>_silver` and `<prefix>_gold` hold exactly these tables of ours.

    Raises GlueAway when Glue does not answer or refuses; what was done before stays, and another call finishes it.
    """
    listed = tuple(wanted)
    with _answering():
        found: list[Outcome] = []
        for layer in LAYERS:
            database = f"{prefix}_{layer}"
            _create_database(glue, database)
            there = {table["Name"]: table for page in _pages(glue, database) for table in page}
            mine = {entry.name: entry for entry in listed if entry.database == database}
            found += [Outcome(database, name, _put(glue, entry, there.get(name), lake)) for name, entry in mine.items()]
            for name in sorted(set(there) - set(mine)):
                if _is_ours(there[name], lake):
                    glue.delete_table(DatabaseName=database, Name=name)
                    found.append(Outcome(database, name, "dropped"))
    return tuple(found)


def _put(glue: Any, entry: Entry, there: Mapping[str, Any] | None, lake: str) -> Done:
    wanted = entry.wanted()
    if there is None:
        glue.create_table(DatabaseName=entry.database, TableInput=wanted)
        return "created"
    if not _is_ours(there, lake):
        return "taken"
    if all(_same(there.get(key), value) for key, value in wanted.items()):
        return "unchanged"
    glue.update_table(DatabaseName=entry.database, TableInput=wanted)
    return "updated"


def _same(there: Any, wanted: Any) -> bool:
    """Whether Glue holds what is wanted; it adds keys of its own."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_same(there.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(_same, there, wanted))
    return bool(there == wanted)


def _is_ours(table: Mapping[str, Any], lake: str) -> bool:
    return bool(table.get("Parameters", {}).get(OWNER) == lake)


def _create_database(glue: Any, name: str) -> None:
    try:
        glue.get_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        glue.create_database(DatabaseInput={"Name": name, "Description": "Tables of Caudal"})


def _pages(glue: Any, database: str) -> Iterator[list[Mapping[str, Any]]]:
    for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
        yield page["TableList"]


def _entry(table: Mapping[str, Any], lake: str, prefix: str) -> Entry:
    state = table["state"]
    published = {"caudal.published_version": str(state["version"])} if state["published"] else {}
    personal = {one["name"]: one["pii"] for one in table["columns"] if one["pii"]}
    return Entry(
        f"{prefix}_{table['layer']}",
        table["name"],
        table["description"],
        state["address"],
        tuple(
            (one["name"], _hive(one["type"]), _comment(one["description"], personal.get(one["name"], "")))
            for one in table["columns"]
        ),
        {OWNER: lake, "caudal.owner": table["owner"], "caudal.contract": table["contract"], **published},
    )


def _hive(kind: str) -> str:
    """A Spark type as Hive writes it: the same in small letters, without spaces between the fields of a struct."""
    text = kind.lower().replace(": ", ":").replace(", ", ",")
    return text if _NAMED.match(text) else "string"


def _comment(text: str, pii: str) -> str:
    return f"{text} (mask of personal data: {pii})".strip() if pii else text


@contextmanager
def _answering() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        # AWS's own code; its message may quote what was sent.
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise GlueAway(
            "Glue did not do it", where="AWS Glue", why=code, fix="see that section; run it again"
        ) from error
