"""`adb-lineage explain`: what became of each statement that Spark ran, and why where it has no lineage."""
from __future__ import annotations

import argparse
import json
import time
from typing import Any, Dict, Iterator, List, Mapping

NAME = "explain"
HELP = "show what became of each statement, and the coverage figures"

Row = Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--last", type=_count, default=20, metavar="N",
                        help="how many of the newest statements (default: 20); 0 for the figures alone")
    parser.add_argument("--json", action="store_true", help="one JSON object: coverage and statements")


def run(arguments: argparse.Namespace) -> int:
    """Print the newest statements, newest first, and the figures over all that the record keeps."""
    from adb_lineage.composition import record_from_settings
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    record = record_from_settings(Settings.load(file_config=file_config()))
    try:
        rows = record.rows(arguments.last) if arguments.last else []
        coverage = record.coverage()
    finally:
        record.close()
    if arguments.json:
        print(json.dumps({"coverage": coverage, "statements": rows}, indent=2, ensure_ascii=False, default=str))
        return 0
    for row in rows:
        print("\n".join(describe(row)))
        print()
    print("\n".join(figures(coverage, record.path)))
    return 0


def describe(row: Row) -> List[str]:
    """The lines that tell one statement."""
    lines = [f"{_when(row)}  {_state(row)}{_where(row)}"]
    statement = " ".join(str(row.get("statement", "")).split())
    operation = " by ".join(str(row[key]) for key in ("operation", "function") if row.get(key))
    if statement or operation:
        lines.append(f"  {statement or '(no SQL text)'}" + (f"  [{operation}]" if operation else ""))
    if row.get("failed"):
        lines.append(f"  failed in Spark: {row['failed']}")
    if row.get("reason"):
        lines.append(f"  reason: {row['reason']}")
    for word in ("inputs", "outputs"):
        verb = "reads" if word == "inputs" else "writes"
        lines.extend(f"  {verb:<7} {_dataset(one)}" for one in row.get(word) or ())
    lines.extend(f"  note: {note}" for note in row.get("notes") or ())
    cost = list(_cost(row))
    if cost:
        lines.append("  " + ", ".join(cost))
    if row.get("delivery"):
        lines.append(f"  delivery: {row['delivery']}" + (f", {row['delivery_reason']}" if row.get("delivery_reason")
                                                         else ""))
    if row.get("process"):
        lines.append(f"  process: {row['process']}")
    return lines


def figures(coverage: Mapping[str, Any], path: str) -> List[str]:
    """The lines that tell how much was seen and what became of it."""
    seen = int(coverage.get("seen", 0))
    if not seen:
        return [f"no statement in the record {path}: nothing ran with lineage on, or it ran with another `data_dir`"]
    capture: Dict[str, int] = dict(coverage.get("capture", {}))
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(coverage["since"])) if coverage.get("since") else "?"
    words = [f"{capture.get(word, 0)} {word}" for word in ("captured", "skipped", "dropped", "failed")]
    lines = [f"{seen} statements seen since {since}: {', '.join(words)}"]
    if coverage.get("failed_in_spark"):
        lines[0] += f"; {coverage['failed_in_spark']} of them failed in Spark"
    skipped: Mapping[str, int] = coverage.get("skipped", {})
    lines.extend(f"  skipped {count:>6}  {reason}"
                 for reason, count in sorted(skipped.items(), key=lambda one: (-one[1], one[0])))
    delivery: Mapping[str, int] = coverage.get("delivery", {})
    if delivery:
        lines.append("delivery: " + ", ".join(f"{count} {state}" for state, count in sorted(delivery.items())))
    if coverage.get("notes_lost"):
        lines.append(f"{coverage['notes_lost']} notes could not be written to {path}")
    return lines


def _when(row: Row) -> str:
    when = str(row.get("when", ""))[:19].replace("T", " ")
    return when + "Z" if when else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(float(row.get("noted", 0))))


def _state(row: Row) -> str:
    state = str(row.get("capture", "?"))
    return f"{row['queries']} {state}" if "queries" in row else state


def _where(row: Row) -> str:
    """User, notebook, job and cell, as far as they are known."""
    parts = [str(row[key]) for key in ("user", "notebook") if row.get(key)]
    if row.get("databricks_job"):
        run = f" run {row['databricks_run']}" if row.get("databricks_run") else ""
        parts.append(f"job {row['databricks_job']}{run}")
    if row.get("cell"):
        parts.append(f"cell {row['cell']}")
    return "  " + ", ".join(parts) if parts else ""


def _dataset(one: Any) -> str:
    namespace, name = one
    return f"{namespace}/{str(name).lstrip('/')}" if "://" in namespace else f"{namespace}:{name}"


def _cost(row: Row) -> Iterator[str]:
    if row.get("outputs"):
        columns = row.get("columns", 0)
        yield f"{columns} column{'' if columns == 1 else 's'} with lineage"
    if "seconds" in row:
        yield f"{float(row['seconds']) * 1000:.0f} ms, {row.get('round_trips', 0)} round trips"


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number
