"""Runs as OpenLineage events, by the classes of openlineage-python. Pure: a run and the graph in, events as JSON out.

Both ends of a run have its id, which follows from what ran: written twice, an event replaces itself. Facets that say
what a table looks like (columns, their lineage, owner, text) travel with `shape`; the others with each event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openlineage.client import facet_v2 as facets
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as RunId
from openlineage.client.generated.base import DatasetFacet, InputDatasetFacet, RunFacet
from openlineage.client.serde import Serde
from openlineage.client.uuid import generate_static_uuid

from batch.lineage.columns import Origin
from batch.lineage.graph import Graph, Node
from batch.lineage.runs import Run, Used, started
from caudal import __version__

PRODUCER = f"urn:caudal:{__version__}"


@dataclass(frozen=True)
class Places:
    """Where nodes are, in OpenLineage's naming: `lake` is the lake's root, `broker` the first bootstrap server."""

    lake: str
    broker: str
    jobs: str = "caudal"

    def of(self, node: str) -> tuple[str, str]:
        """Namespace and name of a node that holds data."""
        layer, _, name = node.partition(".")
        if layer == "topic":
            return f"kafka://{self.broker}", name
        if self.lake.startswith("s3"):
            bucket, _, prefix = self.lake.split("://", 1)[1].partition("/")
            return f"s3://{bucket}", "/".join(part for part in (prefix, layer, name) if part)
        return "file", f"{self.lake}/{layer}/{name}"


def of(run: Run, graph: Graph, places: Places, *, shape: bool) -> list[dict[str, Any]]:
    """Both ends of a run that has ended, its beginning alone while it has not."""
    states = [started(run)] if run.state == "START" else [started(run), run]
    return [_event(one, graph, places, shape and one.state != "START") for one in states]


def run_id(run: Run) -> str:
    """The id of a run: the same whenever it is asked for."""
    return str(generate_static_uuid(_time(run.started_ms), f"{run.job} {run.key}".encode()))


def _event(run: Run, graph: Graph, places: Places, shape: bool) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if run.facts:
        about["caudal_run"] = RunFacet(producer=PRODUCER).with_additional_properties(**run.facts)
    if run.error:
        about["errorMessage"] = facets.error_message_run.ErrorMessageRunFacet(run.error, "SQL", producer=PRODUCER)
    if run.parent is not None:
        about["parent"] = facets.parent_run.ParentRunFacet(
            facets.parent_run.Run(run_id(run.parent)),
            facets.parent_run.Job(places.jobs, run.parent.job),
            producer=PRODUCER,
        )
    processing = "STREAMING" if run.kind == "MICRO_BATCH" else "BATCH"
    kind = facets.job_type_job.JobTypeJobFacet(processing, "CAUDAL", run.kind, producer=PRODUCER)
    event = RunEvent(
        eventTime=_time(run.ended_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        producer=PRODUCER,
        eventType=RunState[run.state],
        run=RunId(run_id(run), about),
        job=Job(places.jobs, run.job, {"jobType": kind}),
        inputs=[_input(used, graph, places) for used in run.inputs],
        outputs=[_output(used, graph, places, shape) for used in run.outputs],
    )
    return Serde.to_dict(event)


def _input(used: Used, graph: Graph, places: Places) -> InputDataset:
    about: dict[str, InputDatasetFacet] = {}
    if used.rows is not None:
        about["inputStatistics"] = facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            used.rows, producer=PRODUCER
        )
    if used.offsets:
        offsets = {partition: list(pair) for partition, pair in sorted(used.offsets.items())}
        about["caudal_offsets"] = InputDatasetFacet(producer=PRODUCER).with_additional_properties(offsets=offsets)  # type: ignore[assignment]
    if used.checks:
        node = graph.nodes.get(used.node)
        about["dataQualityAssertions"] = facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
            [_assertion(check, node) for check in used.checks], producer=PRODUCER
        )
    return InputDataset(*places.of(used.node), inputFacets=about, facets=_version(used))


def _output(used: Used, graph: Graph, places: Places, shape: bool) -> OutputDataset:
    about = _version(used)
    node = graph.nodes.get(used.node)
    if shape and node is not None:
        about |= _shape(node, graph, places)
    written = {}
    if used.rows is not None:
        written["outputStatistics"] = facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            used.rows, producer=PRODUCER
        )
    return OutputDataset(*places.of(used.node), outputFacets=dict(written), facets=about)


def _version(used: Used) -> dict[str, DatasetFacet]:
    if used.version is None:
        return {}
    return {"version": facets.dataset_version_dataset.DatasetVersionDatasetFacet(str(used.version), producer=PRODUCER)}


def _shape(node: Node, graph: Graph, places: Places) -> dict[str, DatasetFacet]:
    """What a table looks like, who owns it, and which columns its columns are made of."""
    names = facets.schema_dataset
    fields = [
        names.SchemaDatasetFacetFields(one.name, one.type or None, one.description or None, ordinal_position=n)
        for n, one in enumerate(node.columns, start=1)
    ]
    alias = facets.symlinks_dataset.Identifier(places.jobs, node.id, "TABLE")
    found: dict[str, DatasetFacet] = {
        "schema": names.SchemaDatasetFacet(fields, producer=PRODUCER),
        "symlinks": facets.symlinks_dataset.SymlinksDatasetFacet([alias], producer=PRODUCER),
    }
    if node.description:
        found["documentation"] = facets.documentation_dataset.DocumentationDatasetFacet(
            node.description, producer=PRODUCER
        )
    if node.owner:
        owner = facets.ownership_dataset.Owner(f"team:{node.owner}", "MAINTAINER")
        found["ownership"] = facets.ownership_dataset.OwnershipDatasetFacet([owner], producer=PRODUCER)
    lineage = {one.name: graph.stored_origins(node.id, one.name) for one in node.columns}
    if any(lineage.values()):
        kinds = facets.column_lineage_dataset
        masked = {one.name for one in node.columns if one.pii}
        fields_of = {
            name: kinds.Fields(
                [_field(origin, places, name in masked and node.layer == "silver") for origin in origins]
            )
            for name, origins in lineage.items()
            if origins
        }
        found["columnLineage"] = kinds.ColumnLineageDatasetFacet(fields_of, producer=PRODUCER)
    return found


def _field(origin: Origin, places: Places, masking: bool) -> facets.column_lineage_dataset.InputField:
    kinds = facets.column_lineage_dataset
    how = kinds.Transformation("DIRECT", origin.how, masking=masking)
    return kinds.InputField(*places.of(origin.node), origin.column, [how])


def _assertion(check: Mapping[str, Any], node: Node | None) -> facets.data_quality_assertions_dataset.Assertion:
    """One verdict. Numbers are counts and aggregates; no value of a row is in them."""
    kind, _, about = str(check["code"]).partition(":")
    number = check["failing"] if check.get("observed") is None else check["observed"]
    return facets.data_quality_assertions_dataset.Assertion(
        assertion=kind.lower(),
        success=bool(check["ok"]),
        column=about if node is not None and node.column(about) else None,
        severity="error" if check["severity"] == "critical" else "warn",
        name=str(check["code"]),
        actual=None if number is None else str(number),
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
