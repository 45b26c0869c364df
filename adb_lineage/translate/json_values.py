"""Reading JSON that may have any shape: a value of the wrong kind counts as none."""
from __future__ import annotations

from typing import Any, List, Mapping

_NOTHING: Mapping[str, Any] = {}


def sound(text: str) -> str:
    """Text that UTF-8 can hold: JSON may bear lone surrogates, which become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def as_list(value: Any) -> List[Any]:
    """The value if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """A string as it is, a number as text, anything else as ""."""
    if isinstance(value, str):
        return value if value.isascii() else sound(value)
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
