"""dbt in this process, in the session that is already warm. The project is parsed once and held."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from batch.errors import BuildFailed, ProjectError

# Expected of every build: dbt asks for its own log files and usage statistics otherwise.
QUIET = ("--log-level", "none", "--log-level-file", "none", "--no-write-json", "--no-print", "--no-use-colors")


@dataclass(frozen=True)
class Node:
    """One thing that dbt ran. `status`: success, pass, fail, warn, error or skipped."""

    name: str
    kind: str
    status: str
    seconds: float


class Transform:
    """A parsed dbt project. dbt does not run two invocations at once in one process: use from one thread."""

    def __init__(self, project: Path, threads: int = 1) -> None:
        self._project, self._threads = project, threads
        self._manifest: Any = None

    def parse(self) -> None:
        """Read the project; raises ProjectError when dbt cannot."""
        self._manifest = self._told(self._invoke(None, ["parse"]), "the dbt project cannot be parsed")

    def inputs(self, marts: Collection[str]) -> frozenset[str]:
        """The pinned tables that these marts read, however many models lie between."""
        return frozenset(name for name in self.sources(marts) if not name.startswith("_"))

    def sources(self, marts: Collection[str]) -> frozenset[str]:
        """The views of `pinned` that these marts read, those that are no table of the lake included."""
        return frozenset(s.name for s in self._sources(marts, "pinned"))

    def diffed(self, marts: Collection[str]) -> frozenset[str]:
        """The silver tables that these marts also read as they were when published gold was built."""
        return frozenset(s.identifier for s in self._sources(marts, "before"))

    def _sources(self, marts: Collection[str], name: str) -> list[Any]:
        sources = self._manifest.sources
        read = {key for mart in self._keys(marts) for key in self._above(mart)}
        return [sources[key] for key in read if key in sources and sources[key].source_name == name]

    def _keys(self, marts: Collection[str]) -> dict[str, str]:
        """The names of these marts by dbt's own."""
        nodes = self._manifest.nodes.items()
        return {key: node.name for key, node in nodes if node.resource_type == "model" and node.name in marts}

    def _above(self, key: str) -> frozenset[str]:
        """All that a node reads, directly or by what it reads, in dbt's names."""
        nodes, todo, seen = self._manifest.nodes, [key], set[str]()
        while todo:
            one = todo.pop()
            new = set(nodes[one].depends_on.nodes if one in nodes else ()) - seen
            seen |= new
            todo += new
        return frozenset(seen)

    def checksums(self, marts: Collection[str]) -> dict[str, str]:
        """A checksum of all SQL of this project that makes each mart: its own, and that of the models and macros in it.
        Staging is left out: it follows its contract, whose columns only come."""
        return {name: self._checksum(key) for key, name in self._keys(marts).items()}

    def _checksum(self, mart: str) -> str:
        nodes, macros, own = self._manifest.nodes, self._manifest.macros, self._manifest.metadata.project_name
        models = [key for key in {mart, *self._above(mart)} if key in nodes and "staging" not in nodes[key].fqn]
        used, todo = set[str](), [macro for key in models for macro in nodes[key].depends_on.macros]
        while todo:
            one = todo.pop()
            if one not in used and one in macros and macros[one].package_name == own:
                used.add(one)
                todo += macros[one].depends_on.macros
        sql = {**{key: nodes[key].checksum.checksum for key in models}, **{key: macros[key].macro_sql for key in used}}
        return hashlib.sha256(repr(sorted(sql.items())).encode()).hexdigest()

    def views(self) -> tuple[Node, ...]:
        """Create the views of staging and intermediate; needed after a parse, not in each cycle."""
        return self._run(["run", "--select", "tag:views"], lambda node: None)

    def slices(self, marts: Collection[str], size: int) -> list[tuple[str, ...]]:
        """The marts in parts of this size, each after those that it reads."""
        keys = self._keys(marts)
        reads = {name: {keys[above] for above in self._above(key) if above in keys} for key, name in keys.items()}
        ordered = tuple(TopologicalSorter(reads).static_order())
        return [ordered[first : first + size] for first in range(0, len(ordered), size)]

    def build(
        self,
        marts: Collection[str],
        *,
        full_refresh: bool = False,
        after_each: Callable[[str], None] = lambda node: None,
    ) -> tuple[Node, ...]:
        """Build these marts and run the singular checks that read any of them. Generic checks are the gate's.

        `full_refresh` builds the marts anew instead of merging an increment. Raises BuildFailed when a model fails; a
        failed check is in the answer.
        """
        return self._selected(["build", *_anew(full_refresh)], marts, after_each)

    def models(
        self, marts: Collection[str], *, full_refresh: bool, after_each: Callable[[str], None]
    ) -> tuple[Node, ...]:
        """Like `build`, without the checks."""
        return self._selected(["run", *_anew(full_refresh)], marts, after_each)

    def checks(self, marts: Collection[str]) -> tuple[Node, ...]:
        """Like `build`, without the marts."""
        return self._selected(["test"], marts, lambda node: None)

    def _selected(
        self, arguments: list[str], marts: Collection[str], after_each: Callable[[str], None]
    ) -> tuple[Node, ...]:
        if not marts:
            return ()
        ours = ["--exclude", "test_type:generic", "--exclude-resource-type", "unit_test"]
        return self._run([*arguments, "--select", *sorted(marts), *(() if arguments[0] == "run" else ours)], after_each)

    def compiled(self, marts: Collection[str]) -> dict[str, str]:
        """The SELECT of each mart as its next build would run it. Raises ProjectError."""
        asked = self._invoke(self._manifest.deepcopy(), ["compile", "--select", *sorted(marts)])
        found = self._told(asked, "the marts cannot be compiled")
        # Their checks are compiled with them.
        nodes = (result.node for result in found.results)
        return {node.name: node.compiled_code for node in nodes if node.resource_type == "model"}

    def _told(self, outcome: Any, what: str) -> Any:
        """The result of an invocation. Raises ProjectError, saying `what`, when there is none."""
        if not outcome.success:
            raise ProjectError(
                what,
                where=str(self._project),
                why=_first_lines(outcome.exception),
                fix="run `caudal contract lint`, then look at the named file",
            )
        return outcome.result

    def test(self, *select: str) -> tuple[Node, ...]:
        """Run dbt's own tests of the selection, unit tests included; for people and for the test suite."""
        return self._run(["test", *(["--select", *select] if select else [])], lambda node: None)

    def _run(self, arguments: list[str], after_each: Callable[[str], None]) -> tuple[Node, ...]:
        def heard(event: Any) -> None:
            if event.info.name == "NodeFinished":
                after_each(event.data.node_info.node_name)

        # An invocation changes its manifest (ephemeral models break on the second one), so each gets a copy.
        outcome = self._invoke(self._manifest.deepcopy(), arguments, heard)
        nodes = tuple(_nodes(getattr(outcome.result, "results", None) or ()))
        broken = tuple(node.name for node in nodes if node.status == "error" and node.kind == "model")
        if broken or (outcome.exception is not None and not nodes):
            raise BuildFailed(broken, why=_reason(outcome))
        return nodes

    def _invoke(self, manifest: Any, arguments: list[str], heard: Callable[[Any], None] | None = None) -> Any:
        from dbt.cli.main import dbtRunner

        # pyspark logs each failed statement with its plan, which may quote a row; a result says what is needed.
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
        verb, *rest = arguments
        folders = ["--project-dir", str(self._project), "--profiles-dir", str(self._project)]
        threads = [] if verb == "parse" else ["--threads", str(self._threads)]
        runner = dbtRunner(manifest=manifest, callbacks=[heard] if heard else [])
        return runner.invoke([*QUIET, verb, *folders, *threads, *rest])


def _anew(full_refresh: bool) -> list[str]:
    return ["--full-refresh"] if full_refresh else []


def failed(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Names of the checks that failed, or could not run because of a failure."""
    return tuple(node.name for node in nodes if node.kind != "model" and node.status in ("fail", "error", "skipped"))


def _nodes(results: Iterable[Any]) -> Iterable[Node]:
    for result in results:
        node = result.node
        yield Node(node.name, str(node.resource_type.value), str(result.status.value), result.execution_time)


def _reason(outcome: Any) -> str:
    """Why it failed, without the text of a Spark error: that may quote a row. Its error class says enough."""
    messages = [str(item.message) for item in getattr(outcome.result, "results", None) or () if item.status == "error"]
    text = str(outcome.exception) if outcome.exception else "\n".join(messages)
    classes = re.findall(r"\[([A-Z][A-Z0-9_.]{3,})\]", text)
    return ", ".join(dict.fromkeys(classes)) or _first_lines(text)


def _first_lines(text: object) -> str:
    """The beginning of dbt's own message: its first line is only a heading."""
    return ": ".join(line.strip() for line in str(text or "").strip().splitlines()[:3])[:300]
