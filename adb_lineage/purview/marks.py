"""The mark by which any machine recognises in the catalog what this product wrote, and when it was last asked for.

Our own bookkeeping knows it too, but that of a job cluster goes away with the cluster. The mark is a sentence at the
end of `description`: an attribute that every asset type has, that both Atlas and Purview keep, that search finds, and
that people can read. Labels and custom attributes would be lists of the user's own that we overwrite (Purview's portal
keeps a user's text in `userDescription`). A workspace gets none: a scan may have brought it before us.
"""
from __future__ import annotations

import datetime
import re
from typing import Any, Collection, Dict, Mapping, Optional

WORKSPACE = "databricks_workspace"
_WORD = "adb_lineage"
_MARK = re.compile(r"(?:^|\n)Written by adb_lineage(?:, last run (\d{4}-\d\d-\d\d))?\.$")
_USUAL = ("qualifiedName", "name", "displayName", "description", "isFile", "path", "purview_qualifiedName",
          "original_source")


def day(now: float) -> str:
    """The date in UTC, as the mark tells it."""
    return datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%d")


def mark(entity: Dict[str, Any], last_run: str = "") -> None:
    """Put the mark on an entity about to be sent; its `attributes` are changed in place."""
    if entity["typeName"] == WORKSPACE:
        return
    attributes = entity["attributes"]
    text = _MARK.sub("", str(attributes.get("description") or ""))
    sentence = f"Written by {_WORD}, last run {last_run}." if last_run else f"Written by {_WORD}."
    attributes["description"] = f"{text}\n{sentence}" if text else sentence


def is_marked(entity: Mapping[str, Any]) -> bool:
    """Whether we wrote this entity."""
    return bool(_MARK.search(str((entity.get("attributes") or {}).get("description") or "")))


def is_ours(entity: Mapping[str, Any], sent: Collection[str] = ()) -> bool:
    """Whether we wrote this entity and nobody, a scan for example, has added to it since.

    `sent` names attributes that we set besides the usual ones.
    """
    if not is_marked(entity):
        return False
    author, editor = entity.get("createdBy"), entity.get("updatedBy")
    if author and editor and author != editor:
        return False
    filled = {name for name, value in (entity.get("attributes") or {}).items() if value and not _is_reference(value)}
    return filled <= {*_USUAL, *sent}


def last_seen(entity: Mapping[str, Any]) -> Optional[float]:
    """Start of the day of the last run, in seconds since the epoch; None when the mark does not tell."""
    match = _MARK.search(str((entity.get("attributes") or {}).get("description") or ""))
    if not match or not match.group(1):
        return None
    try:
        date = datetime.datetime.strptime(match.group(1), "%Y-%m-%d").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    return date.timestamp()


def _is_reference(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and "guid" in first
