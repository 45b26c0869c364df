"""Where Purview and Apache Atlas are known to differ: one switch a difference."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """The server that the catalog behaves like; take `PURVIEW` or `ATLAS`."""

    name: str
    request_id_in_errors: bool
    """Error bodies carry `requestId` beside `errorCode` and `errorMessage`."""
    enforce_composition_parent: bool
    """A child of a composition posted without its parent is refused (404 -007). Purview publishes the same flag
    but does not hold to it."""
    legacy_mirror_unique_attributes: bool
    """Object ids mirrored under `attributes` (a process's inputs) carry `uniqueAttributes` too."""
    show_deleted_edges: bool
    """Soft-deleted relationships are shown on live entities and in lineage."""
    check_schema_attributes: bool
    """A typedef's `options.schemaAttributes` must be a JSON list of strings in a string."""
    lineage_skips_one_sided: bool
    """A process that only writes is left out of the lineage of what it wrote (and the mirror image). Atlas' algorithm
    does so; for Purview nobody has measured it, and hiding a write would be the worse guess."""
    lineage_width: int
    """Neighbours that lineage expands a node and direction where the caller gives no `width`; 0 means all."""
    hide_from_search: bool
    """Column entities and `databricks_process` are not in the search index: they are found by unique attribute."""


PURVIEW = Profile(
    name="purview",
    request_id_in_errors=True,
    enforce_composition_parent=False,
    legacy_mirror_unique_attributes=False,
    show_deleted_edges=False,
    check_schema_attributes=True,
    lineage_skips_one_sided=False,
    lineage_width=10,
    hide_from_search=True,
)
ATLAS = Profile(
    name="atlas",
    request_id_in_errors=False,
    enforce_composition_parent=True,
    legacy_mirror_unique_attributes=True,
    show_deleted_edges=True,
    check_schema_attributes=False,
    lineage_skips_one_sided=True,
    lineage_width=0,
    hide_from_search=False,
)
