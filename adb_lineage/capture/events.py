"""OpenLineage events of a captured query, as the client's own classes.

Facets are named and filled as OpenLineage's Spark agent does. The START event carries no datasets: it is made when
the query has ended, together with the COMPLETE or FAIL event, which carries everything.
"""
from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from adb_lineage._version import __version__
from adb_lineage.capture.analysis import Analysis, Output
from adb_lineage.capture.datasets import Dataset, Field
from adb_lineage.capture.executions import Captured
from adb_lineage.capture.streams import StreamRun
from adb_lineage.capture.tap import Finished
from adb_lineage.capture.transformations import Lineage, Source, Transformation
from adb_lineage.openlineage_client import event_v2, facet_v2, generate_static_uuid

PRODUCER = f"https://pypi.org/project/adb-lineage/{__version__}"
MAX_MESSAGE = 2000
MAX_SQL = 20_000


@dataclass(frozen=True)
class Application:
    """The Spark application around the queries: what every event repeats.

    `user` is who runs it, for the record, where no platform tells the user of each query.
    """

    id: str
    name: str
    started: int
    spark_version: str
    namespace: str
    host: str = ""
    logical_plan: bool = False
    user: str = ""

    @property
    def job_name(self) -> str:
        """The application's part of job names; a Databricks shell is named by its workspace's host."""
        if self.host and self.name == "Databricks Shell":
            return self.host
        return normalize(self.name)

    def run_id(self, milliseconds: int, *parts: object) -> str:
        """A UUIDv7 that is the same each time for the same instant and parts: a replay repeats it."""
        instant = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
        return str(generate_static_uuid(instant, json.dumps([self.id, *map(str, parts)]).encode()))


@dataclass(frozen=True)
class RunEvents:
    """The events of one query and the identity they share."""

    run_id: str
    job_name: str
    events: Tuple[Any, ...] = field(default_factory=tuple)


def build_events(application: Application, captured: Captured, environment: Mapping[str, Any]) -> RunEvents:
    """START and COMPLETE (or FAIL) of a captured query or RDD job."""
    finished, analysis = captured.finished, captured.analysis
    run_id = identity(application, finished)
    job_name = _job_name(application, analysis)
    job_type = "RDD_JOB" if finished.kind == "job" else "SQL_JOB"
    job_facets: Dict[str, Any] = {
        "jobType": facet_v2.job_type_job.JobTypeJobFacet("BATCH", "SPARK", job_type, producer=PRODUCER)}
    if captured.statement:
        job_facets["sql"] = facet_v2.sql_job.SQLJobFacet(captured.statement[:MAX_SQL], producer=PRODUCER)

    job = event_v2.Job(application.namespace, job_name, job_facets)

    def run(more: Mapping[str, Any]) -> Any:
        return event_v2.Run(run_id, {**_run_facets(application, environment), **more})

    outcome: Dict[str, Any] = {}
    if finished.failure:
        outcome["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            finished.failure[:MAX_MESSAGE], "JAVA", finished.failure_stack or None, producer=PRODUCER)
    if application.logical_plan and analysis.plan_json:
        outcome["spark.logicalPlan"] = _custom_facet("spark.logicalPlan", {"plan": json.loads(analysis.plan_json)})
    start = event_v2.RunEvent(eventTime=_iso(finished.started), eventType=event_v2.RunState.START, run=run({}), job=job,
                              producer=PRODUCER)
    end = event_v2.RunEvent(
        eventTime=_iso(finished.ended), producer=PRODUCER, run=run(outcome), job=job,
        eventType=event_v2.RunState.FAIL if finished.failure else event_v2.RunState.COMPLETE,
        inputs=[event_v2.InputDataset(one.namespace, one.name, facets=_facets(one)) for one in analysis.inputs],
        outputs=[_output(analysis, one, captured.statistics.get(one.dataset.key, {})) for one in analysis.outputs])
    return RunEvents(run_id, job_name, (start, end))


def identity(application: Application, finished: Finished) -> str:
    """The run id of a query or an RDD job."""
    kind = ("job",) if finished.kind == "job" else ()
    return application.run_id(finished.started, *kind, finished.execution_id)


def build_stream_event(application: Application, run: StreamRun, state: str, finished: Finished,
                       environment: Mapping[str, Any]) -> RunEvents:
    """The event by which a streaming query's run reaches a state; it carries all that is known of the run.

    A query's name names its job. A nameless one is told by what it writes: its id is a new one at each start unless
    it has a checkpoint location of its own.
    """
    analysis = run.analysis
    first = run.finished
    run_id = application.run_id(first.stream_started, "stream", first.stream_run, *run.key)
    name = normalize(first.stream_name) or ("" if analysis.outputs else normalize(first.stream_id))
    parts = [application.job_name, f"streaming_query_{name}".rstrip("_"), *_suffix(analysis)]
    facets: Dict[str, Any] = {
        "jobType": facet_v2.job_type_job.JobTypeJobFacet("STREAMING", "SPARK", "SQL_JOB", producer=PRODUCER)}
    job = event_v2.Job(application.namespace, ".".join(parts), facets)
    more: Dict[str, Any] = {}
    if state == "FAIL":
        more["errorMessage"] = facet_v2.error_message_run.ErrorMessageRunFacet(
            finished.failure[:MAX_MESSAGE], "JAVA", finished.failure_stack or None, producer=PRODUCER)
    when = first.stream_started if state == "START" else finished.ended
    event = event_v2.RunEvent(
        eventTime=_iso(when), producer=PRODUCER, eventType=event_v2.RunState[state], job=job,
        run=event_v2.Run(run_id, {**_run_facets(application, environment), **more}),
        inputs=[event_v2.InputDataset(one.namespace, one.name, facets=_facets(one)) for one in analysis.inputs],
        outputs=[_output(analysis, one, {}) for one in analysis.outputs])
    return RunEvents(run_id, ".".join(parts), (event,))


def normalize(name: str) -> str:
    """OpenLineage's NameNormalizer: `execute_CreateTable` becomes `execute_create_table`."""
    text = re.sub(r"^\W+|\W+$", "", unicodedata.normalize("NFKD", name))
    text = "".join(one for one in text if not unicodedata.combining(one))
    text = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    text = re.sub(r"(?<!^)([A-Z])([a-z])", r" \1\2", text)
    text = re.sub(r"(\d)([A-Z])", r"\1 \2", text)
    return re.sub(r"[^a-zA-Z0-9]+", "_", text.lower()).strip("_")


def _job_name(application: Application, analysis: Analysis) -> str:
    node = normalize(analysis.root)
    parts = [application.job_name, f"execute_{node}" if analysis.is_command else node]
    parts.extend(_suffix(analysis))
    return ".".join(part for part in parts if part) or "unknown"


def _suffix(analysis: Analysis) -> List[str]:
    """The output's part of a job name: a table's name, or the end of a path."""
    if not analysis.outputs:
        return []
    dataset = analysis.outputs[0].dataset
    name = dataset.symlinks[0].name if dataset.symlinks else "/".join(dataset.name.rstrip("/").split("/")[-2:])
    return [text for text in (re.sub(r"[./]+", "_", name).strip("_"),) if text]


def _run_facets(application: Application, environment: Mapping[str, Any]) -> Dict[str, Any]:
    run = facet_v2.parent_run.Run(application.run_id(application.started, "application"))
    job = facet_v2.parent_run.Job(application.namespace, application.job_name)
    return {
        "parent": facet_v2.parent_run.ParentRunFacet(run, job, producer=PRODUCER),
        "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet(
            application.spark_version, "spark", __version__, producer=PRODUCER),
        "environment-properties": _custom_facet(
            "environment-properties", {"environment-properties": dict(environment)}),
    }


def _custom_facet(name: str, content: Mapping[str, Any]) -> Dict[str, Any]:
    """A facet whose members have no Python names, hence a dict: the client writes it as it is."""
    return {"_producer": PRODUCER, "_schemaURL": f"{PRODUCER}#/$defs/{name}", **content}


def _output(analysis: Analysis, output: Output, counted: Mapping[str, int]) -> Any:
    facets = _facets(output.dataset)
    if output.lifecycle:
        change = facet_v2.lifecycle_state_change_dataset
        former = output.previous
        previous = change.PreviousIdentifier(former.name, former.namespace) if former else None
        facets["lifecycleStateChange"] = change.LifecycleStateChangeDatasetFacet(
            change.LifecycleStateChange(output.lifecycle), previous, producer=PRODUCER)
    columns = _column_lineage(analysis, output)
    if columns is not None:
        facets["columnLineage"] = columns
    statistics: Dict[str, Any] = {}
    if counted:
        statistics["outputStatistics"] = facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            counted.get("rows"), counted.get("bytes"), counted.get("files"), producer=PRODUCER)
    return event_v2.OutputDataset(output.dataset.namespace, output.dataset.name, statistics, facets=facets)


def _facets(dataset: Dataset) -> Dict[str, Any]:
    source = facet_v2.datasource_dataset.DatasourceDatasetFacet(dataset.namespace, dataset.namespace, producer=PRODUCER)
    facets: Dict[str, Any] = {"dataSource": source}
    if dataset.schema:
        facets["schema"] = facet_v2.schema_dataset.SchemaDatasetFacet(_fields(dataset.schema), producer=PRODUCER)
    if dataset.symlinks:
        symlinks = facet_v2.symlinks_dataset
        facets["symlinks"] = symlinks.SymlinksDatasetFacet(
            [symlinks.Identifier(one.namespace, one.name, one.type) for one in dataset.symlinks], producer=PRODUCER)
    return facets


def _fields(schema: Iterable[Field]) -> List[Any]:
    return [facet_v2.schema_dataset.SchemaDatasetFacetFields(
        one.name, one.type or None, one.description or None, fields=_fields(one.fields)) for one in schema]


def _column_lineage(analysis: Analysis, output: Output) -> Optional[Any]:
    module = facet_v2.column_lineage_dataset
    written = output.written

    def text_of_use(source: Source, way: Transformation) -> str:
        return written.use_texts.get((source, way), "")

    def input_fields(column: str, lineage: Lineage) -> List[Any]:
        text = written.texts.get(column, "")
        return _input_fields(analysis, lineage, lambda source, way: "" if way.subtype == "IDENTITY" else text)

    found = {column: input_fields(column, lineage) for column, lineage in written.columns.items()}
    fields = {column: module.Fields(sources) for column, sources in found.items() if sources}
    uses = _input_fields(analysis, written.uses, text_of_use)
    if not fields and not uses:  # rows of a query on a database, or of a generator: no columns that have a name
        return None
    return module.ColumnLineageDatasetFacet(fields, uses, producer=PRODUCER)


def _input_fields(analysis: Analysis, lineage: Lineage, text_of: Callable[[Source, Transformation], str]) -> List[Any]:
    """Sources by dataset and column: a dataset read twice in a plan is one dataset here."""
    module = facet_v2.column_lineage_dataset
    ways: Dict[Tuple[str, str, str], Dict[Transformation, str]] = {}
    for source, found in lineage.items():
        for dataset in analysis.leaves.get(source.leaf, ()):
            for column in dataset.own_columns(source.column):
                texts = ways.setdefault((*dataset.key, column), {})
                for way in found:
                    texts[way] = texts.get(way) or text_of(source, way)
    return [module.InputField(namespace, name, column, [
        module.Transformation(one.type, one.subtype, text, one.masking) for one, text in sorted(texts.items())])
        for (namespace, name, column), texts in ways.items()]


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z")
