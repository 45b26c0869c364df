"""The mark by which any machine recognises in the catalog what this product wrote.

Our own bookkeeping knows it too, but a job cluster's goes away with it. The mark is a label (Purview calls them tags),
which both Atlas and Purview can filter by, and a custom attribute, which stays when somebody tidies the labels. It also
tells the day of the last run, so that `retire` on another machine does not take a busy edge for a dead one.
"""
from __future__ import annotations

import datetime
from typing import Any, Collection, Dict, Mapping, Optional

LABEL = "adb_lineage"
SEEN = "adb_lineage_seen"
_USUAL = ("qualifiedName", "name", "displayName", "description", "isFile", "path", "purview_qualifiedName",
          "original_source")


def mark(entity: Dict[str, Any], now: float) -> None:
    """Put the mark on an entity about to be sent."""
    entity["labels"] = sorted({*(entity.get("labels") or []), LABEL})
    custom = dict(entity.get("customAttributes") or {})
    custom[SEEN] = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%d")
    entity["customAttributes"] = custom


def is_marked(entity: Mapping[str, Any]) -> bool:
    """Whether we created this entity: labels are taken over only when an entity is created."""
    return LABEL in (entity.get("labels") or [])


def is_ours(entity: Mapping[str, Any], sent: Collection[str] = ()) -> bool:
    """Whether we created this entity and nobody, a scan for example, has added to it since.

    `sent` names attributes that we set besides the usual ones.
    """
    if not is_marked(entity):
        return False
    author, editor = entity.get("createdBy"), entity.get("updatedBy")
    if author and editor and author != editor:
        return False
    filled = {name for name, value in (entity.get("attributes") or {}).items() if value and not _is_reference(value)}
    return filled <= {*_USUAL, *sent}


def _is_reference(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and "guid" in first


def last_seen(entity: Mapping[str, Any]) -> Optional[float]:
    """Start of the day of the last run, in seconds since the epoch; None when the mark does not tell."""
    text = (entity.get("customAttributes") or {}).get(SEEN)
    try:
        day = datetime.datetime.strptime(str(text), "%Y-%m-%d")
    except ValueError:
        return None
    return day.replace(tzinfo=datetime.timezone.utc).timestamp()
