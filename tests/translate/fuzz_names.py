"""Random datasets through the name engine: nothing may crash, be empty, be too long, or come out differently twice.

    python tests/translate/fuzz_names.py --pairs 1000000 [--seed 7]

Pairs are put together from pieces of real namespaces and names, cut and mixed with anything Unicode has: far more of
them reach deep into the rules than wholly random text would. `test_names.py` runs a short one; hypothesis has its own.
"""
from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Iterator, List, Tuple

from adb_lineage.translate.names import MAX_NAME_BYTES, Mounts, NameEngine, default_rules, load_rules
from adb_lineage.translate.names.cases import BUILT_IN_CASES, load_cases

DEPLOYED = Path(__file__).parent.parent / "cases" / "names" / "accelerator" / "deployed.json"
PIECES = (
    "://", "//", "/", ".", "..", "@", ":", ";", "=", ",", "?", "&", "#", "%", "%7B", "{", "}", "{}", "{x}", "[", "]",
    "[[", '"', '""', "'", "`", "``", "$", "$1", "${x}", "\\", "*", "|", " ", "\t", "\n", "\0", "\u200b", "é", "ы",
    "日本", "\U0001f600", "\ud800", "İ", "abfss", "wasbs", "dbfs", "file", "sqlserver", "postgres", "mysql", "jdbc:",
    "COMPLEX", "(select 1) q", "select a from b", "a=b", "year=2024", "2024-01-31", "part-00000.snappy.parquet",
    "/mnt/x", "hive/warehouse", "/Volumes/a/b/c", "x" * 300, "very" * 2000, "0", "-1", "null", "None",
)
MOUNTS = Mounts([
    {"mountPoint": "/mnt/x", "source": "abfss://c@a.dfs.core.windows.net/dir"},
    {"mountPoint": "/", "source": "DatabricksRoot"},
])


def pairs(seed: int) -> Iterator[Tuple[str, str]]:
    """Endless datasets, the same for the same seed."""
    chance = random.Random(seed)
    cases = load_cases(BUILT_IN_CASES)
    known = [case.namespace for case in cases], [case.name for case in cases]

    def mixed(whole: List[str]) -> str:
        text = chance.choice(whole) if chance.random() < 0.8 else ""
        for _ in range(chance.randrange(5)):
            cut = chance.randrange(len(text) + 1)
            piece = chance.choice(PIECES) if chance.random() < 0.7 else chr(chance.randrange(0x110000))
            text = text[:cut] + piece + text[cut + chance.randrange(3):]
        return text

    while True:
        yield mixed(known[0]), mixed(known[1])


def check(engine: NameEngine, again: NameEngine, namespace: str, name: str) -> None:
    """One dataset. Raises `AssertionError` that shows it."""
    shown = f"{namespace!r} {name!r}"
    asset = engine.name_dataset(namespace, name, mounts=MOUNTS, workspace="adb-1.1.azuredatabricks.net")
    for identity in (asset.name, *asset.alternatives):
        assert identity.type_name, shown
        assert identity.qualified_name.strip(), shown
        identity.qualified_name.encode()
    assert asset.display_name.strip(), shown
    assert len(asset.name.qualified_name.encode()) <= MAX_NAME_BYTES, shown
    assert len(asset.display_name.encode()) <= MAX_NAME_BYTES, shown
    assert asset.placeholder or asset.name in asset.alternatives, shown
    same = again.name_dataset(namespace, name, mounts=MOUNTS, workspace="adb-1.1.azuredatabricks.net")
    assert same == asset, shown


def main() -> int:
    """Run so many pairs through the built-in rules, and a tenth of them through the accelerator's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    ours = NameEngine(default_rules()), NameEngine(default_rules())
    theirs = NameEngine(load_rules(DEPLOYED)), NameEngine(load_rules(DEPLOYED))
    began = time.monotonic()
    for number, (namespace, name) in enumerate(pairs(seed), 1):
        check(*ours, namespace, name)
        if number % 10 == 0:
            check(*theirs, namespace, name)
        if number % 50_000 == 0:
            print(f"{number} pairs, {time.monotonic() - began:.0f} s", flush=True)
        if number >= arguments.pairs:
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
