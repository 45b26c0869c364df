"""`adb-lineage name`: which asset a dataset is, and by which rule."""
from __future__ import annotations

import argparse
import sys
from typing import Any, Dict

from adb_lineage.arguments import (
    add_naming_arguments,
    print_json,
    read_metastore,
    read_mounts,
    read_rules,
    read_workspace,
)
from adb_lineage.translate.names import Explanation, NameEngine

NAME = "name"
HELP = "print the asset that an OpenLineage dataset is, and the rule that says so"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("namespace", metavar="NAMESPACE", help="the dataset's OpenLineage namespace")
    parser.add_argument("name", metavar="NAME", help="the dataset's OpenLineage name")
    add_naming_arguments(parser)
    parser.add_argument("--explain", action="store_true",
                        help="also print alternatives, parents, and why the rules before did not match")


def run(arguments: argparse.Namespace) -> int:
    """Print `{"qualifiedName", "typeName", "rule"}` on stdout and why the rules before did not match on stderr.

    With --explain, all of it is one JSON object on stdout.
    """
    explanation = NameEngine(read_rules(arguments.rules)).explain(
        arguments.namespace,
        arguments.name,
        mounts=read_mounts(arguments.mounts),
        workspace=read_workspace(arguments.workspace),
        metastore=read_metastore(arguments.metastore),
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
    print_json(answer, indent=2 if arguments.explain else None)
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
