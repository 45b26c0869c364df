"""Storage paths: what is a folder, a file, a partition, and which resource set Purview would fold them into."""
from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, Iterator, List

# Endings that make a path a single file. A folder may carry one too (`out.parquet/`): Spark writes such, so the
# variants of a folder stay among the alternatives of every file.
_FILE = re.compile(
    r"\.(?:csv|tsv|psv|ssv|txt|log|json|jsonl|ndjson|xml|parquet|orc|avro|xlsx?|xlsm|dat|gz|bz2|zip|snappy|zst|lz4)$",
    re.IGNORECASE,
)
_SPARK_PART = re.compile(r"part-\d{3,6}(?:-[0-9a-f-]{36})?[-.\w]*$", re.IGNORECASE)
_PARTITION = re.compile(r"[^=/]+=[^=/]*$")

_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)")
_NUMBER = re.compile(r"\d+")
_YEAR = re.compile(r"(?:19|20)\d\d$")
_UNUSUAL = re.compile(r"[{}\s]")
_SLASHES = re.compile(r"//+")
SPARK_SET = "{SparkPartitions}"

PATH_FACTS = ("path", "leaf", "folder", "parent", "spark_set", "table_set", "pattern", "encoded")
"""Variables that `path_facts` may give."""


def clean_path(path: str) -> str:
    """A path without slashes at its ends and without doubled ones."""
    path = path.strip("/")
    return _SLASHES.sub("/", path) if "//" in path else path


def base_of(segments: List[str]) -> List[str]:
    """The segments without the `key=value` folders at the end."""
    end = len(segments)
    while end > 1 and "=" in segments[end - 1] and _PARTITION.match(segments[end - 1]):
        end -= 1
    return segments[:end]


@lru_cache(maxsize=8192)
def segment_pattern(segment: str) -> str:
    """A segment as Purview's resource sets have it: `s_2024-01-31_7.csv` is `s_{Year}-{Month}-{Day}_{N}.csv`."""
    segment = _GUID.sub("{GUID}", segment)
    segment = _DATE.sub(lambda found: "{Year}" + found[1] + "{Month}" + found[1] + "{Day}", segment)
    return _NUMBER.sub("{N}", segment)


def _folder_patterns(segments: List[str]) -> List[str]:
    """Segments of a folder as patterns; `2024/01/31` is `{Year}/{Month}/{Day}`."""
    patterns = []
    tokens: Iterator[str] = iter(())
    for segment in segments:
        if segment.isalpha():
            patterns.append(segment)
        elif _YEAR.match(segment):
            patterns.append("{Year}")
            tokens = iter(("{Month}", "{Day}", "{Hour}"))
            continue
        else:
            token = next(tokens, None) if len(segment) <= 2 and segment.isdigit() else None
            patterns.append(token or segment_pattern(segment))
            if token:
                continue
        tokens = iter(())
    return patterns


def path_facts(path: str) -> Dict[str, str]:
    """What a path tells, as variables for the rules; the empty path gives none.

    `path` the clean path · `leaf` its last segment · `folder` the same path, unless it is surely a file · `parent` the
    folder that a file or partition lies in · `spark_set` the resource set of the Spark files in it · `table_set` that
    of the table in whose partition a file lies · `pattern` the resource set of numbered or dated files and folders ·
    `encoded` the path as Purview's normalization spells it (braces percent-encoded, no spaces around segments, the
    ending of a file in lower case), where that differs.
    """
    path = clean_path(path)
    if not path:
        return {}
    segments = path.split("/")
    leaf = segments[-1]
    part = leaf[:5].lower() == "part-" and _SPARK_PART.match(leaf) is not None
    has_file_ending = not part and "." in leaf and _FILE.search(leaf) is not None
    base = base_of(segments[:-1] if part else segments)
    facts = {"path": path, "leaf": leaf, "spark_set": "/".join(base) + "/" + SPARK_SET if base else SPARK_SET}
    if not part:
        facts["folder"] = path
    above = base
    if has_file_ending and len(base) == len(segments):
        above = base_of(segments[:-1])
        if len(above) < len(segments) - 1:
            facts["table_set"] = "/".join(above) + "/" + SPARK_SET
    if above and len(above) < len(segments):
        facts["parent"] = "/".join(above)
    if _NUMBER.search(path):
        if has_file_ending:
            pattern = "/".join([*_folder_patterns(segments[:-1]), segment_pattern(leaf)])
        else:
            pattern = "/".join([*_folder_patterns(base), SPARK_SET])
        if pattern not in (path, facts["spark_set"]):
            facts["pattern"] = pattern
    if _UNUSUAL.search(path) is not None or (has_file_ending and not leaf.islower()):
        encoded = _normalized(segments, has_file_ending)
        if encoded != path:
            facts["encoded"] = encoded
    return facts


def _normalized(segments: List[str], is_file: bool) -> str:
    """A path as Purview stores names that are no resource sets; see section 2.18 of the Purview reference."""
    path = "/".join([segment.strip() for segment in segments])
    if is_file:
        stem, dot, ending = path.rpartition(".")
        path = stem + dot + ending.lower()
    return path.replace("{", "%7B").replace("}", "%7D")
