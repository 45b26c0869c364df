"""The type definitions that we need, as data: `databricks.json` (in the account already where Purview brings them) and
`placeholder.json` (the custom types of Microsoft's accelerator, in the form that today's Purview accepts, and with the
`columns` relationship that the accelerator named but never defined)."""
from __future__ import annotations

import json
import pkgutil
from typing import Any, Dict, List

Definitions = Dict[str, List[Dict[str, Any]]]


def load(name: str) -> Definitions:
    """The definitions of one file, `entityDefs` and `relationshipDefs`."""
    data = pkgutil.get_data(__name__, f"{name}.json")
    if data is None:
        raise FileNotFoundError(f"typedefs/{name}.json is not in the package")
    definitions: Definitions = json.loads(data.decode("utf-8"))
    return definitions
