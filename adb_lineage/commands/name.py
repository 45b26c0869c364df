"""`adb-lineage name`: which asset a dataset is, and by which rule."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from adb_lineage.errors import SettingsError
from adb_lineage.translate.databricks import full_host
from adb_lineage.translate.names import Explanation, NameEngine, RuleSet, default_rules, load_rules

NAME = "name"
HELP = "print the asset that an OpenLineage dataset is, and the rule that says so"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("namespace", metavar="NAMESPACE", help="the dataset's OpenLineage namespace")
    parser.add_argument("name", metavar="NAME", help="the dataset's OpenLineage name")
    add_naming_arguments(parser)
    parser.add_argument("--explain", action="store_true",
                        help="also print alternatives, parents, and why the rules before did not match")


def add_naming_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of all commands that name datasets."""
    parser.add_argument("--mounts", metavar="FILE", help='[{"mountPoint": "/mnt/x", "source": "abfss://…"}, …]')
    parser.add_argument("--rules", metavar="FILE", help="rule file, ours or the accelerator's OlToPurviewMappings")
    parser.add_argument("--workspace", metavar="HOST", help="host of the workspace, where the events do not tell it")
    parser.add_argument("--metastore", metavar="ID", help="id of Unity Catalog's metastore, where they do not tell it")


def run(arguments: argparse.Namespace) -> int:
    """Print `{"qualifiedName", "typeName", "rule"}` on stdout and why the rules before did not match on stderr.

    With --explain, all of it is one JSON object on stdout.
    """
    explanation = NameEngine(read_rules(arguments.rules)).explain(
        arguments.namespace,
        arguments.name,
        mounts=read_mounts(arguments.mounts),
        workspace=read_workspace(arguments.workspace),
        metastore=arguments.metastore,
    )
    asset = explanation.asset
    answer: Dict[str, Any] = {
        "qualifiedName": asset.name.qualified_name,
        "typeName": asset.name.type_name,
        "rule": asset.rule,
    }
    if arguments.explain:
        answer.update(
            seenAs={"namespace": explanation.namespace, "name": explanation.name},
            placeholder=asset.placeholder,
            alternatives=[name._asdict() for name in asset.alternatives],
            parents=[name._asdict() for name in asset.parents],
            notMatched=[miss._asdict() for miss in explanation.misses],
        )
    print(json.dumps(answer, ensure_ascii=False, indent=2 if arguments.explain else None))
    if not arguments.explain:
        _print_misses(explanation)
    return 0


def _print_misses(explanation: Explanation) -> None:
    """The misses that say something: most rules are for other namespaces, which is said once."""
    others = [miss for miss in explanation.misses if miss.reason.startswith("namespace ")]
    for miss in explanation.misses:
        if miss not in others:
            print(f"not {miss.rule}: {miss.reason}", file=sys.stderr)
    if others:
        print(f"not {len(others)} rules before: the namespace is another (--explain lists them)", file=sys.stderr)


def read_rules(file: Optional[str]) -> RuleSet:
    """The rules of a file, or the built-in ones. Raises `RuleError`."""
    return load_rules(file) if file else default_rules()


def read_workspace(host: Optional[str]) -> Optional[str]:
    """A workspace as given by hand: its host, or `adb-123.4` without the suffix."""
    return full_host(host) if host else None


def read_mounts(file: Optional[str]) -> List[Mapping[str, str]]:
    """Mount points of a JSON file in the shape of OpenLineage's facet. Raises `SettingsError`."""
    if not file:
        return []
    try:
        content: Any = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{file}: can't read the mounts: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{file}: the mounts are not JSON: {error}") from None
    if isinstance(content, dict):
        content = content.get("mountPoints")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise SettingsError(f'{file}: the mounts are not a list of {{"mountPoint": …, "source": …}}')
    return content
