"""What a process is told: one frozen value, loaded once, that knows where each setting came from.

Precedence, strongest first: flag, environment (`CAUDAL_KAFKA__BOOTSTRAP`), the running install's endpoints
(`<data>/run/endpoints.json`, written by `caudal up`), `caudal.toml`, default (for contracts: the data folder's own, if
it has any). This is the only module that reads the environment. Sections of single stages (`[streaming]`,
`[producers.simulate]` …) are models of those stages and are read through `Settings.section`.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError

from caudal.errors import SettingsError

PREFIX = "CAUDAL_"
# Variables of that prefix that are no settings: test seams and marks of the supervisor.
RESERVED = {"CAUDAL_CRASHPOINT", "CAUDAL_CRASH_DIR", "CAUDAL_INSTALL_ID", "CAUDAL_CONFIG"}


class Section(BaseModel):
    """A frozen group of settings; unknown names are refused, so a typo never passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=BaseModel)


class LakeSettings(Section):
    """Where Delta tables and the manifest live: a folder, or `s3://bucket/prefix`."""

    uri: str = ""
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")


class KafkaSettings(Section):
    """Brokers, and further librdkafka properties such as `security.protocol` (`security` table)."""

    bootstrap: str = "127.0.0.1:9092"
    security: dict[str, str] = Field(default_factory=dict)


class RegistrySettings(Section):
    """The schema registry (Confluent's REST API)."""

    url: str = "http://127.0.0.1:8081"
    auth: SecretStr = SecretStr("")


class RedisSettings(Section):
    """The feature store (Redis 7+ or Valkey)."""

    url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")


class WebSettings(Section):
    """The one web process. Loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 5 * 1024 * 1024


class SparkSettings(Section):
    """Spark: where it runs, how much heap each driver has, where its jars are."""

    master: str = "local[2]"
    streaming_heap: str = "1g"
    batch_heap: str = "1200m"
    jars_dir: Path = Field(default_factory=lambda: Path(sys.prefix) / "share" / "caudal" / "jars")
    conf: dict[str, str] = Field(default_factory=dict)


class LogSettings(Section):
    """`format`: auto (people on a terminal, JSON lines elsewhere), human or json."""

    level: str = "info"
    format: str = "auto"


class AlertSettings(Section):
    """Where alarms go besides the log and the dashboard: apprise URLs."""

    urls: list[SecretStr] = Field(default_factory=list)
    runbook: str = "docs/runbook.md"


def _contracts_default() -> Path:
    return Path(__file__).resolve().parent.parent / "schemas" / "contracts"


class Settings(BaseModel):
    """Everything that more than one stage needs, and the raw sections of the stages."""

    model_config = ConfigDict(frozen=True, extra="allow")

    data_dir: Path = Path(".caudal")
    contracts_dir: Path = Field(default_factory=_contracts_default)
    profile: str = "local"
    lake: LakeSettings = LakeSettings()
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    redis: RedisSettings = RedisSettings()
    web: WebSettings = WebSettings()
    spark: SparkSettings = SparkSettings()
    log: LogSettings = LogSettings()
    alerts: AlertSettings = AlertSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        """Where running processes leave endpoints, metrics and process records."""
        return self.data_dir / "run"

    @property
    def catalogue_dir(self) -> Path:
        """Where the catalogue's pages lie, for whoever shows them."""
        return self.data_dir / "reports" / "catalogue"

    @property
    def lake_uri(self) -> str:
        """The lake's root, without a trailing slash."""
        return (self.lake.uri or str(self.data_dir.resolve() / "lake")).rstrip("/")

    def section(self, name: str, model: type[S]) -> S:
        """A stage's own section, validated by its model; `name` may be dotted (`producers.simulate`).

        A section does not see the tables of sections below it: `[producers.simulate]` is no field of `[producers]`.
        """
        raw: Any = self.model_extra or {}
        for part in name.split("."):
            raw = raw.get(part, {}) if isinstance(raw, Mapping) else {}
        known = set(model.model_fields)
        nested = {k for k, v in raw.items() if isinstance(v, Mapping) and k not in known}
        try:
            return model.model_validate({k: v for k, v in raw.items() if k not in nested})
        except ValidationError as error:
            raise _refused(error, name) from error

    def origin(self, path: str) -> str:
        """Which source set the dotted path: flag, environment, install, the file's name, or default."""
        return self._origins.get(path, "default")

    def origins(self) -> dict[str, str]:
        """All dotted paths that something other than a default set."""
        return dict(self._origins)

    def with_(self, **overrides: Any) -> Self:
        """A copy with whole sections replaced, validated again; for tests and the supervisor's children."""
        merged = {**self.model_dump(), **overrides}
        changed = type(self).model_validate(merged)
        changed._origins.update(self._origins)
        return changed


def load(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read all sources and return the merged, frozen settings.

    `flags` maps dotted paths to values (`{"web.port": 8090}`); None values are ignored.
    Raises SettingsError when a file cannot be read or a value does not fit.
    """
    env = os.environ if environ is None else environ
    given = {k: v for k, v in (flags or {}).items() if v is not None}
    file = Path(env.get("CAUDAL_CONFIG", "caudal.toml"))
    from_file = _flatten(_read_toml(file)) if file.is_file() else {}
    from_env = {_dotted(k): _value(v) for k, v in env.items() if k.startswith(PREFIX) and k not in RESERVED}
    data_dir = Path(str(given.get("data_dir") or from_env.get("data_dir") or from_file.get("data_dir") or ".caudal"))
    endpoints = _read_endpoints(data_dir / "run" / "endpoints.json")

    merged: dict[str, object] = {}
    origins: dict[str, str] = {}
    for origin, values in (
        (file.name, from_file),
        ("running install", endpoints),
        ("environment", from_env),
        ("flag", given),
    ):
        for path, value in values.items():
            merged[path] = value
            origins[path] = origin
    own = data_dir / "contracts"
    if "contracts_dir" not in merged and own.is_dir():
        # An install that has contracts of its own (the demo's releases, say) is asked about those by every verb.
        merged["contracts_dir"], origins["contracts_dir"] = str(own.resolve()), "data folder"
    try:
        settings = Settings.model_validate(_nest(merged))
    except ValidationError as error:
        raise _refused(error, "") from error
    settings._origins.update(origins)
    return settings


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables for a child process: only what is not a default."""
    out: dict[str, str] = {}
    for path in settings.origins():
        value: Any = settings.model_dump(mode="python")
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        text = json.dumps(value) if isinstance(value, list | dict | bool) else str(value)
        out[PREFIX + path.upper().replace(".", "__")] = text
    return out


def _dotted(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _value(text: str) -> object:
    """Lists, tables and booleans come as JSON; all else is text that the models convert."""
    if text[:1] in "[{" or text in ("true", "false"):
        try:
            parsed: object = json.loads(text)
        except ValueError:
            return text
        return parsed
    return text


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            "the configuration file cannot be read", where=str(path), why=str(error), fix="correct the file"
        ) from error


def _read_endpoints(path: Path) -> dict[str, object]:
    """Endpoints of the install that runs on this data folder, as dotted paths; none when it is down."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return _flatten(found.get("settings", {})) if isinstance(found, dict) else {}


def _flatten(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and path not in ("kafka.security", "spark.conf"):
            flat.update(_flatten(value, path + "."))
        else:
            flat[path] = value
    return flat


def _nest(flat: Mapping[str, object]) -> dict[str, object]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        node = tree
        *parents, leaf = path.split(".")
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree


def _refused(error: ValidationError, section: str) -> SettingsError:
    first = error.errors(include_input=False, include_url=False)[0]
    path = ".".join([*([section] if section else []), *(str(p) for p in first["loc"])])
    return SettingsError(
        "a setting does not fit",
        where=path,
        why=first["msg"],
        fix=f"set {path} in caudal.toml or {PREFIX}{path.upper().replace('.', '__')}",
    )
