"""The page `docs/sources.md`: what every source's datasets are called, made from the cases and the rules."""
from __future__ import annotations

from typing import Dict, List, Sequence

from adb_lineage.assets import Asset, AssetName
from adb_lineage.translate.names.cases import Case
from adb_lineage.translate.names.engine import NameEngine
from adb_lineage.translate.names.rules import PLACEHOLDER_TYPE, Rule

_INTRODUCTION = """\
# Sources and names

<!-- Made by `adb-lineage rules sources > docs/sources.md` from translate/names/cases.yaml; a test compares them. -->

What a dataset of each source is called in Microsoft Purview. The *name* is what the process's identity is computed
from; it never changes when an asset is scanned. *Looked for* are the identities under which a scan may hold the same
asset, the best first: the first one that exists gets the lineage (in full for each source's first example, then only
where an example is about them). A *placeholder* stands for what Purview has no
scanned asset of, or what the event does not tell enough of to name one; it is never matched with anything else.

`adb-lineage name NAMESPACE NAME --explain` shows the same for a dataset of yours.

Workspace in all examples: `adb-4630430682081461.1.azuredatabricks.net`.
"""


def sources_page(cases: Sequence[Case], engine: NameEngine) -> str:
    """The page as Markdown."""
    by_source: Dict[str, List[Case]] = {}
    for case in cases:
        by_source.setdefault(case.source, []).append(case)
    about: Dict[str, List[str]] = {}
    for rule in engine.rules.rules:
        if isinstance(rule, Rule) and rule.about:
            about.setdefault(rule.source, []).append(f"`{rule.name}`: {rule.about}")
    lines = [_INTRODUCTION]
    for source, examples in by_source.items():
        lines += [f"## {source}", ""]
        lines += [f"- {text}" for text in about.get(source, ())]
        lines += [""] if source in about else []
        for number, case in enumerate(examples):
            lines += [*_example(case, case.explain(engine).asset, in_full=not number), ""]
    return "\n".join(line.rstrip() for line in "\n".join(lines).rstrip().splitlines()) + "\n"


def _example(case: Case, asset: Asset, in_full: bool) -> List[str]:
    note = f"{case.note[0].upper() + case.note[1:]} (`{asset.rule}`):" if case.note else f"Plain (`{asset.rule}`):"
    lines = [note, "", "```", f"dataset     {case.namespace or '(empty)'}  {case.name or '(empty)'}"]
    lines += [f"mount       {mount['mountPoint']} -> {mount['source']}" for mount in case.mounts]
    if case.metastore:
        lines.append(f"metastore   {case.metastore}")
    lines.append(f"{'placeholder' if asset.placeholder else 'name':<12}{_identity(asset.name)}")
    if len(asset.alternatives) > 1 and (in_full or case.alternatives):
        lines += _listed("looked for", asset.alternatives)
    if in_full:
        lines += _listed("within", asset.parents)
    return [*lines, "```"]


def _listed(label: str, names: Sequence[AssetName]) -> List[str]:
    return [f"{label if not number else '':<12}{_identity(name)}" for number, name in enumerate(names)]


def _identity(name: AssetName) -> str:
    type_name = "" if name.type_name == PLACEHOLDER_TYPE else name.type_name + "  "
    return type_name + name.qualified_name
