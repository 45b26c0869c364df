"""Attribute values: what a request may send for a type and what is stored (atlas_purview.md 2.4 and 2.5).

Atlas is lenient where it can be (numbers for strings, numeric strings for numbers) and answers everything else with
404 -007, of which it reports the first message only.
"""
from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Mapping, Optional

from adb_lineage.catalog.errors import INVALID_VALUES, CatalogError
from adb_lineage.catalog.typesystem import (
    INTEGERS,
    OBJECT_ID,
    Attribute,
    EntityType,
    TypeSystem,
    array_item,
    map_parts,
)

Reference = Callable[[Any, str], Mapping[str, Any]]
"""Resolves an object id of a given entity type to `{"guid", "typeName"}`; raises `CatalogError`."""

_SHOWN = 200
"""Characters of a refused value that an error message repeats."""


class ValueReader:
    """Checks and normalises attribute values of one type system."""

    def __init__(self, types: TypeSystem, reference: Reference) -> None:
        self._types = types
        self._reference = reference

    def attributes(
        self, type_name: str, known: Mapping[str, Attribute], raw: Mapping[str, Any], *, partial: bool = False
    ) -> Dict[str, Any]:
        """The values of `raw` that belong to the type, normalised; unknown names are left out, as Atlas does.

        With `partial`, mandatory attributes need not be present (but may not be null). Raises 404 -007.
        """
        values: Dict[str, Any] = {}
        for name, attribute in known.items():
            value = raw.get(name)
            if value is None and not attribute.optional and not (partial and name not in raw):
                raise CatalogError(
                    INVALID_VALUES,
                    f"{type_name}.{name}: mandatory attribute value missing in type {attribute.owner}",
                )
            if name in raw:
                values[name] = None if value is None else self.attribute(type_name, attribute, value)
        return values

    def attribute(self, type_name: str, attribute: Attribute, value: Any) -> Any:
        """One value, normalised. Raises 404 -007."""
        path = f"{type_name}.{attribute.name}"
        normal = self._value(attribute.type_name, value, path)
        if isinstance(normal, list):
            if attribute.cardinality == "SET":
                normal = _distinct(normal)
            if attribute.cardinality != "SINGLE" and not attribute.min_count <= len(normal) <= attribute.max_count:
                raise _invalid(path, f"{len(normal)} items", attribute.type_name)
        return normal

    def unique(self, entity_type: EntityType, raw: Mapping[str, Any]) -> Dict[str, Any]:
        """The unique attributes in `raw` that have a value, normalised. Raises 404 -007."""
        return {
            attribute.name: self.attribute(entity_type.name, attribute, raw[attribute.name])
            for attribute in entity_type.unique
            if raw.get(attribute.name) is not None
        }

    def _value(self, type_name: str, value: Any, path: str) -> Any:
        if value is None:
            return None
        reader = _SCALARS.get(type_name)
        if reader is not None:
            try:
                return reader(value)
            except (ValueError, TypeError, OverflowError):
                raise _invalid(path, value, type_name) from None
        if type_name in INTEGERS:
            return _integer(value, INTEGERS[type_name], path, type_name)
        item = array_item(type_name)
        if item is not None:
            if not isinstance(value, list):
                raise _invalid(path, value, type_name)
            return [self._value(item, element, f"{path}[{index}]") for index, element in enumerate(value)]
        parts = map_parts(type_name)
        if parts is not None:
            if not isinstance(value, dict):
                raise _invalid(path, value, type_name)
            return {
                str(self._value(parts[0], key, f"{path}.{key}")): self._value(parts[1], element, f"{path}.{key}")
                for key, element in value.items()
            }
        literals = self._types.literals(type_name)
        if literals is not None:
            literal = literals.get(value.lower()) if isinstance(value, str) else None
            if literal is None:
                raise _invalid(path, value, type_name)
            return literal
        struct = self._types.struct(type_name)
        if struct is not None:
            if not isinstance(value, dict):
                raise _invalid(path, value, type_name)
            inner = value.get("attributes", value)
            if not isinstance(inner, dict):
                raise _invalid(path, value, type_name)
            return {"typeName": type_name, "attributes": self.attributes(type_name, struct, inner)}
        return dict(self._reference(value, "Referenceable" if type_name == OBJECT_ID else type_name))


def no_reference(raw: Any, type_name: str) -> Mapping[str, Any]:
    """A `Reference` for values that can not hold one."""
    raise CatalogError("ATLAS-400-00-021", raw)


def _invalid(path: str, value: Any, type_name: str) -> CatalogError:
    return CatalogError(INVALID_VALUES, f"{path}={str(value)[:_SHOWN]}: invalid value for type {type_name}")


def _distinct(values: List[Any]) -> List[Any]:
    found: List[Any] = []
    seen = set()
    for value in values:
        key = repr(value)
        if key not in seen:
            seen.add(key)
            found.append(value)
    return found


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = value.lower() if isinstance(value, str) else ""
    if text not in ("true", "false"):
        raise ValueError(value)
    return text == "true"


def _integer(value: Any, bits: Optional[int], path: str, type_name: str) -> int:
    try:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(value)
        number = int(value)
    except (ValueError, OverflowError):
        raise _invalid(path, value, type_name) from None
    if bits is not None and not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise _invalid(path, value, type_name)
    return number


def _big_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(value)
    number = float(value)
    if not math.isfinite(number):  # JSON has no word for it
        raise ValueError(value)
    return number


def _date(value: Any) -> Optional[int]:
    """Milliseconds since the epoch, from a number, a numeric string or an ISO time in UTC; empty means null."""
    if isinstance(value, bool):
        raise ValueError(value)
    if isinstance(value, (int, float)):
        return int(value)
    if not isinstance(value, str):
        raise TypeError(value)
    if not value:
        return None
    try:
        return int(value)
    except ValueError:
        moment = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        return round(moment.timestamp() * 1000)


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "float": _number,
    "double": _number,
    "bigdecimal": _number,
    "biginteger": _big_integer,
    "date": _date,
}
