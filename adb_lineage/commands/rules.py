"""`adb-lineage rules`: look at the naming rules, test them, and hold them against an account's own patterns."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, List

import yaml

from adb_lineage.arguments import read_rules
from adb_lineage.errors import SettingsError
from adb_lineage.translate.names import NameEngine
from adb_lineage.translate.names.cases import BUILT_IN_CASES, Case, load_cases
from adb_lineage.translate.names.sources import sources_page
from adb_lineage.translate.names.typedefs import as_rule_file, differences, published_patterns

NAME = "rules"
HELP = "list the naming rules, test them on examples, or compare them with an account's type definitions"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="print the rules in the order in which they are tried")
    test = actions.add_parser("test", help="run a table of examples; exit status 1 if one fails")
    test.add_argument("file", metavar="FILE", nargs="*",
                      help="YAML or JSON: {source: [{namespace, name, expect, …}]} (default: the built-in examples)")
    sources = actions.add_parser("sources", help="print the table of sources and names that is docs/sources.md")
    typedefs = actions.add_parser(
        "import-typedefs",
        help="read the account's type definitions, and report where our names differ from the patterns in them",
    )
    typedefs.add_argument("file", metavar="FILE", nargs="?",
                          help="a saved answer of GET …/types/typedefs, or - for standard input (default: the account)")
    typedefs.add_argument("--output", metavar="RULES", help="write the account's patterns as a rule file for --rules")
    for action in (listing, test, sources, typedefs):
        action.add_argument("--rules", metavar="FILE", help="rule file, ours or the accelerator's")


def run(arguments: argparse.Namespace) -> int:
    """Run one action."""
    if arguments.action == "list":
        for rule in read_rules(arguments.rules).rules:
            print(rule.name)
        return 0
    engine = NameEngine(read_rules(arguments.rules))
    if arguments.action == "test":
        return _test(engine, [case for file in arguments.file or [BUILT_IN_CASES] for case in load_cases(file)])
    if arguments.action == "sources":
        print(sources_page(load_cases(BUILT_IN_CASES), engine), end="")
        return 0
    return _import_typedefs(engine, arguments)


def _test(engine: NameEngine, cases: List[Case]) -> int:
    failed = 0
    for case in cases:
        failures = case.failures(engine)
        failed += bool(failures)
        for failure in failures:
            print(f"FAILED {case.where}: {case.namespace} {case.name}: {failure}")
    print(f"{len(cases)} cases, {failed} failed")
    return 1 if failed else 0


def _import_typedefs(engine: NameEngine, arguments: argparse.Namespace) -> int:
    patterns = published_patterns(_read_json(arguments.file) if arguments.file else _read_account())
    if not patterns:
        source = arguments.file or "the account"
        raise SettingsError(f"{source}: no type definition has a qualifiedNamePattern in purviewEntityExtDef")
    for published in patterns:
        if published.problem:
            print(f"passed over {published.type_name}: {published.problem}", file=sys.stderr)
    compared = differences(patterns, engine, load_cases(BUILT_IN_CASES))
    for line in compared:
        verdict = "fits" if line.fits else f"differs; {line.other} would fit" if line.other else "differs"
        print(f"{line.type_name}: {line.ours}: {verdict}")
    named = {line.type_name for line in compared}
    unused = [published.type_name for published in patterns if published.type_name not in named]
    print(f"{len(patterns)} patterns, {len(unused)} for types that no rule of ours names", file=sys.stderr)
    if arguments.output:
        text = yaml.safe_dump(as_rule_file(patterns), allow_unicode=True, sort_keys=True, width=10_000)
        try:
            Path(arguments.output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise SettingsError(f"{arguments.output}: can't write the patterns: {error.strerror}") from None
    return 0


def _read_account() -> Any:
    """The type definitions of the account that the settings name. Raises SettingsError, FixNeeded, RetryLater."""
    from adb_lineage.composition import catalog_from_settings
    from adb_lineage.settings import Settings
    from adb_lineage.transport import file_config

    with catalog_from_settings(Settings.load(file_config=file_config())) as catalog:
        return catalog.client.get_all_typedefs()


def _read_json(file: str) -> Any:
    try:
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{file}: can't read the type definitions: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{file}: the type definitions are not JSON: {error}") from None
