"""`translate_run`: events of one run in, its translation out."""
from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Dict, List, Optional, Sequence, Tuple

from adb_lineage.assets import Asset, AssetName, Column
from adb_lineage.translate.columns import Groups, SourceFinder, add_pairs, map_columns, nested_name
from adb_lineage.translate.databricks import Place, place_of, workspace_host
from adb_lineage.translate.events import Dataset, Run, merge_events
from adb_lineage.translate.json_values import as_list, as_mapping, as_text, sound
from adb_lineage.translate.names import PLACEHOLDER_RULE, NameEngine, RuleSet, mounts_of
from adb_lineage.translate.options import TranslateOptions
from adb_lineage.translate.process import ProcessDraft, process_hash
from adb_lineage.translate.redaction import mask_secrets, redacted_plan
from adb_lineage.translate.translation import Link, RunTranslation, Skip

Named = Tuple[Dataset, Asset]

NO_PLAN = "{}"
_MAX_DEPTH = 32
_FRACTION = re.compile(r"\.(\d+)")
_METASTORE_ROOT = re.compile(r"/?(?P<id>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})/tables/[0-9a-f-]{36}$")
_MANAGED = "__unitystorage/"
_PATH_NAMESPACE = re.compile(r"(?:file|dbfs|abfss?|wasbs?|s3[an]?|gs|hdfs|adl)(?:[:/]|$)", re.IGNORECASE)


@lru_cache(maxsize=8)
def _engine(rules: RuleSet) -> NameEngine:
    return NameEngine(rules)


def translate_run(events: Sequence[Any], options: TranslateOptions) -> RunTranslation:
    """What one run means for the catalog.

    `events` are all OpenLineage events known of the run as plain dicts, in any order and of any version. Pure: the
    same events and options give the same translation. Never raises on what events hold: a part that can't be read is
    left out and stands in `skipped` with the reason.
    """
    return _Translator(merge_events(events), options).translation()


class _Translator:
    def __init__(self, run: Run, options: TranslateOptions) -> None:
        self.run = run
        self.options = options
        self.skipped = [Skip(*problem) for problem in run.problems]
        self.workspace = workspace_host(run, options.workspace)
        mounts = mounts_of([*options.mounts, *as_list(run.environment.get("mountPoints"))])
        metastore = as_text(run.environment.get("adb_lineage.metastore")) or _metastore_in(run) or options.metastore
        self._name = _engine(options.rules).within(mounts, self.workspace, metastore)
        self.links: Dict[AssetName, Link] = {}

    def translation(self) -> RunTranslation:
        run = self.run
        inputs = [(dataset, self._asset(dataset)) for dataset in run.inputs]
        outputs = [(dataset, self._asset(dataset)) for dataset in run.outputs]
        assets: Dict[AssetName, Asset] = {}
        for dataset, asset in (*inputs, *outputs):
            known = assets.setdefault(asset.name, asset)
            if not known.columns:
                columns = _columns(dataset)
                if columns:
                    assets[asset.name] = known._replace(columns=columns)
        draft = self._draft(inputs, outputs) if self._is_wanted() else None
        return RunTranslation(
            run_id=run.run_id,
            state=run.state,
            assets=tuple(assets.values()),
            skipped=tuple(self.skipped),
            links=tuple(self.links.values()),
            draft=draft,
        )

    def _is_wanted(self) -> bool:
        run, options = self.run, self.options
        if not run.inputs and not run.outputs:
            self._skip("process", "the run's events name no dataset")
            return False
        if not (run.inputs and run.outputs) and not options.include_one_sided:
            sides = "inputs but no output" if run.inputs else "outputs but no input"
            self._skip("process", f"the run has {sides}, and include_one_sided is off")
            return False
        if run.state in ("FAIL", "ABORT") and not options.include_failed:
            self._skip("process", "the run failed; include_failed is off")
            return False
        return True

    def _skip(self, subject: str, reason: str) -> None:
        self.skipped.append(Skip(subject, reason))

    def _asset(self, dataset: Dataset) -> Asset:
        """The asset of a dataset; of one with both a location and a table name, the one that the setting prefers.

        A location that no scan can reach (DBFS root, a local disk, Unity Catalog's own storage) never stands for a
        table whose name is known.
        """
        location = self._name(dataset.namespace, dataset.name)
        table = self._table(dataset, location) if "symlinks" in dataset.facets else None
        if table is None:
            return location
        managed = _MANAGED in dataset.name or _METASTORE_ROOT.match(dataset.name) is not None
        unreachable = (managed or location.placeholder) and not (table.placeholder and not managed)
        self.links.setdefault(location.name, Link(location, table))
        return table if self.options.prefer == "table" or unreachable else location

    def _table(self, dataset: Dataset, location: Asset) -> Optional[Asset]:
        """The asset under a dataset's other name, from its `symlinks` facet; names that no rule knows are passed."""
        best: Optional[Asset] = None
        for identifier in as_list(as_mapping(dataset.facets.get("symlinks")).get("identifiers")):
            identifier = as_mapping(identifier)
            namespace, name = identifier.get("namespace"), identifier.get("name")
            if not isinstance(namespace, str) or not isinstance(name, str) or not name:
                continue
            if _PATH_NAMESPACE.match(namespace):  # the warehouse's folder stands for the workspace's own metastore
                namespace = "spark_catalog"
            asset = self._name(namespace, name)
            if asset.name == location.name or asset.rule == PLACEHOLDER_RULE:
                continue
            if best is None or (best.placeholder and not asset.placeholder):
                best = asset
        return best

    def _draft(self, named_inputs: Sequence[Named], named_outputs: Sequence[Named]) -> ProcessDraft:
        run, options = self.run, self.options
        place = place_of(run, self.workspace, options.redact)
        for subject, reason in place.fit(options.max_value_bytes):
            self._skip(subject, reason)
        inputs = [asset.name for _, asset in named_inputs]
        outputs = list(dict.fromkeys([asset.name for _, asset in named_outputs]))
        groups = self._column_pairs(named_inputs, named_outputs)
        columns = map_columns(groups, {}, options.max_value_bytes, options.redact)
        for reason in columns.lost:
            self._skip("columnMapping", reason)
        identity = process_hash([name.qualified_name for name in inputs], [name.qualified_name for name in outputs])
        unique_inputs = tuple(dict.fromkeys(inputs))
        sink = (named_outputs or named_inputs)[0][1].display_name
        more = len(outputs or unique_inputs) - 1
        return ProcessDraft(
            place=place,
            qualified_name=f"{place.parent}/processes/{identity}",
            name=_fit(f"{place.label} {'->' if outputs else '<-'} {sink}" + (f" (+{more})" if more else ""), 1024),
            description=self._description(place, len(unique_inputs), len(outputs)),
            inputs=unique_inputs,
            outputs=tuple(outputs),
            groups=groups,
            spark_plan=self._plan(sum(len(name.qualified_name) + 80 for name in (*unique_inputs, *outputs))),
            columns=columns,
            max_value_bytes=options.max_value_bytes,
            redact=options.redact,
        )

    def _column_pairs(self, inputs: Sequence[Named], outputs: Sequence[Named]) -> Groups:
        find = SourceFinder(
            {(dataset.namespace, dataset.name): asset.name for dataset, asset in inputs},
            lambda namespace, name: self._name(namespace, name).name,
        )
        groups: Groups = {}
        for output, asset in outputs:
            add_pairs(groups, output, asset.name, find, self.options.indirect)
        return groups

    def _plan(self, size_of_references: int) -> str:
        """The Spark plan as JSON text, or `{}` when there is none, none is wanted, or it does not fit."""
        facet = self.run.facets.get("spark.logicalPlan")
        if not facet or not self.options.plan:
            return NO_PLAN
        limit = self.options.max_value_bytes - len("sparkPlan")
        try:
            text = _as_json(facet)
            # Redaction shortens a plan, but not that much; a plan of many megabytes is not worth the walk.
            if self.options.redact and len(text) <= 8 * limit:
                text = _as_json(redacted_plan(facet))
        except (RecursionError, TypeError, ValueError) as error:
            self._skip("sparkPlan", f"the plan can't be written as JSON: {error}")
            return NO_PLAN
        size = len(text.encode())
        if size > limit:
            self._skip("sparkPlan", f"the plan has {size} bytes, more than the {limit} that one value may have")
            return NO_PLAN
        if size + size_of_references + 2 * self.options.max_value_bytes > self.options.max_entity_bytes:
            self._skip("sparkPlan", "the plan left out: with it the asset would be larger than an asset may be")
            return NO_PLAN
        return text

    def _description(self, place: Place, inputs: int, outputs: int) -> str:
        """Facts of the run, for which the built-in type has no attributes of their own."""
        run = self.run
        facts = [f"Reads {inputs}, writes {outputs}. Last run: {run.state}"]
        if run.ended:
            facts.append(run.ended)
        seconds = _seconds_between(run.started, run.ended)
        if seconds:
            facts.append(f"{seconds:g} s")
        rows = _rows(run.outputs)
        if rows is not None:
            facts.append(f"{rows} rows written")
        if place.user:
            facts.append(f"by {place.user}")
        text = ", ".join(facts) + (f". {place.link}" if place.link else "")
        error = as_mapping(run.facets.get("errorMessage")) or as_mapping(run.facets.get("spark.exception"))
        message = as_text(error.get("message"))
        if message and run.state in ("FAIL", "ABORT"):
            first = message.strip().splitlines()[0] if message.strip() else ""
            text += "\n" + (mask_secrets(first) if self.options.redact else first)
        return _fit(text, 4096)


def _as_json(value: Any) -> str:
    return sound(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))


def _columns(dataset: Dataset) -> Tuple[Column, ...]:
    """Columns of the `schema` facet, nested fields after their parent with dots in their names."""
    fields = as_list(as_mapping(dataset.facets.get("schema")).get("fields"))
    if not fields:
        return ()
    try:
        return _flat_columns(tuple([  # the same schemas come back with every run
            (field["name"], field.get("type"), field.get("description"), field.get("fields") or None)
            for field in fields
        ]))
    except (TypeError, KeyError, AttributeError):
        columns: Dict[str, Column] = {}
        _collect_columns(fields, "", columns, _MAX_DEPTH)
        return tuple(columns.values())


@lru_cache(maxsize=1024)
def _flat_columns(fields: Tuple[Tuple[Any, Any, Any, Any], ...]) -> Tuple[Column, ...]:
    """Columns of a schema without nested fields, which alone can be hashed."""
    columns: Dict[str, Column] = {}
    names = ("name", "type", "description", "fields")
    _collect_columns([dict(zip(names, field)) for field in fields], "", columns, 0)
    return tuple(columns.values())


def _collect_columns(fields: List[Any], prefix: str, columns: Dict[str, Column], depth: int) -> None:
    for field in fields:
        if not isinstance(field, dict):
            continue
        get = field.get
        name, kind, description = get("name"), get("type"), get("description")
        if not isinstance(name, str) or not name:
            continue
        name = as_text(name)
        path = nested_name(prefix + name) if prefix else name
        if path not in columns and name != "_element":
            columns[path] = Column(path, as_text(kind), as_text(description))
        nested = get("fields")
        if nested and isinstance(nested, list) and depth:
            _collect_columns(nested, prefix + name + ".", columns, depth - 1)


def _metastore_in(run: Run) -> str:
    """The metastore's id from the storage path of a managed table that lies under the metastore's own root."""
    for dataset in (*run.inputs, *run.outputs):
        found = _METASTORE_ROOT.match(dataset.name) if "symlinks" in dataset.facets else None
        if found is not None:
            return found["id"]
    return ""


def _rows(outputs: Sequence[Dataset]) -> Optional[int]:
    """Rows written; the Spark agent gives every output the run's total, so with several outputs it tells nothing."""
    if len(outputs) != 1:
        return None
    rows = as_mapping(outputs[0].statistics.get("outputStatistics")).get("rowCount")
    return rows if isinstance(rows, int) and not isinstance(rows, bool) else None


def _seconds_between(start: str, end: str) -> float:
    """Seconds between two times of events, 0 where they can't be read."""
    moments = []
    for text in (start, end):
        try:
            # Python 3.8 reads three or six digits of a second and no Z.
            text = text.replace("Z", "+00:00")
            if "." in text:
                text = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), text)
            moments.append(datetime.fromisoformat(text))
        except ValueError:
            return 0.0
    if (moments[0].tzinfo is None) != (moments[1].tzinfo is None):
        return 0.0
    return round(max((moments[1] - moments[0]).total_seconds(), 0.0), 1)


def _fit(text: str, limit: int) -> str:
    """Text of at most `limit` bytes of UTF-8, with an ellipsis where it was cut."""
    encoded = text.encode("utf-8", "replace")
    return encoded.decode() if len(encoded) <= limit else encoded[: limit - 3].decode("utf-8", "ignore") + "…"
