"""The dbt project as SQL: each model rendered for a whole build, and what it reads. Needs neither dbt nor a session.

Names of relations are the nodes of the graph (`silver.commerce_order`, `gold.fct_orders`), so lineage read from the SQL
needs no second look at the project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from batch import pins, staging
from batch.project import GENERATED
from schemas.contract import Contract

_REF = re.compile(r"ref\('(\w+)'\)")
# The parser in C where there is one: the project's YAML takes seconds otherwise.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Model:
    """A model of staging, intermediate or gold. `reads` are nodes; `sql` is None when nobody can render it."""

    name: str
    layer: str
    reads: tuple[str, ...]
    sql: str | None

    @property
    def node(self) -> str:
        return f"{self.layer}.{self.name}"


@dataclass(frozen=True)
class Exposure:
    """Somebody outside who uses marts."""

    name: str
    kind: str
    description: str
    owner: str
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """Models and exposures, and the YAML of each model by its name."""

    models: tuple[Model, ...]
    exposures: tuple[Exposure, ...]
    described: Mapping[str, Mapping[str, Any]]


def read(source: Path, contracts: Iterable[Contract]) -> Project:
    """The project in `source`, with the sources and staging models that follow from these contracts."""
    listed = tuple(contracts)
    texts = {
        path.relative_to(source): path.read_text(encoding="utf-8")
        for path in sorted((source / "models").rglob("*"))
        if path.suffix in (".sql", ".yml") and path.parent != source / GENERATED
    }
    texts |= {GENERATED / name: text for name, text in staging.files(listed).items()}
    documents = [yaml.load(text, Loader=_Loader) or {} for path, text in texts.items() if path.suffix == ".yml"]
    layers = {path.stem: _layer(path) for path in texts if path.suffix == ".sql"}
    named = _relations(documents, listed, layers)
    macros = "".join(path.read_text(encoding="utf-8") for path in sorted((source / "macros").glob("*.sql")))
    settings = yaml.safe_load((source / "dbt_project.yml").read_text(encoding="utf-8"))
    renderer = _Renderer(macros, named, settings.get("vars", {}))
    sql = ((path.stem, text) for path, text in texts.items() if path.suffix == ".sql")
    return Project(
        tuple(renderer.model(name, layers[name], text) for name, text in sql),
        tuple(_exposure(one, layers) for document in documents for one in document.get("exposures", ())),
        {model["name"]: model for document in documents for model in document.get("models", ())},
    )


def _layer(path: Path) -> str:
    folder = path.parts[1]
    return "gold" if folder == "marts" else folder


def _relations(
    documents: Iterable[Mapping[str, Any]], contracts: Iterable[Contract], layers: Mapping[str, str]
) -> Callable[..., str]:
    """What `ref` and `source` stand for: the node of a model, or of a source's table."""
    tables = {table.name: f"{table.layer}.{table.folder}" for table in (*pins.tables(contracts), *pins.OPERATIONS)}
    identifiers = {
        (source["name"], table["name"]): table.get("identifier", table["name"])
        for document in documents
        for source in document.get("sources", ())
        for table in source["tables"]
    }

    def named(*names: str) -> str:
        if len(names) == 1:
            return f"{layers[names[0]]}.{names[0]}"
        identifier = identifiers[names[0], names[1]]
        return f"gold.{identifier}" if names[0] == "published" else tables.get(identifier, f"view.{identifier}")

    return named


class _Renderer:
    """Models as a whole build would run them; what only dbt knows stays empty."""

    def __init__(self, macros: str, named: Callable[..., str], settings: Mapping[str, Any]) -> None:
        from jinja2 import Environment

        self._named = named
        self._reads: list[str] = []
        self._environment = Environment(autoescape=False, extensions=["jinja2.ext.do"])
        self._environment.globals |= {
            "ref": self._relation,
            "source": self._relation,
            "config": lambda **_: "",
            "is_incremental": lambda: False,
            "var": lambda key, default="": settings.get(key, default),
            "execute": False,
            "return": lambda value: value,
        }
        known = self._environment.from_string(macros).module
        self._environment.globals |= {name: one for name, one in vars(known).items() if not name.startswith("_")}

    def model(self, name: str, layer: str, text: str) -> Model:
        from jinja2 import TemplateError

        self._reads = []
        try:
            sql: str | None = self._environment.from_string(text).render(this=f"`{layer}.{name}`")
        except (TemplateError, TypeError, KeyError):
            sql = None
        return Model(name, layer, tuple(dict.fromkeys(self._reads)), sql)

    def _relation(self, *names: str) -> str:
        node = self._named(*names)
        # It says how to read and is no input.
        if node != "view._pins":
            self._reads.append(node)
        return f"`{node}`"


def _exposure(one: Mapping[str, Any], layers: Mapping[str, str]) -> Exposure:
    refs = [found for text in one.get("depends_on", ()) for found in _REF.findall(text)]
    return Exposure(
        str(one["name"]),
        str(one.get("type", "")),
        str(one.get("description", "")).strip(),
        str(one.get("owner", {}).get("name", "")),
        tuple(f"{layers[ref]}.{ref}" for ref in refs),
    )
