"""Templates of the rule file: `https://{host|lower}/{container}/{path}`."""
from __future__ import annotations

import re
from typing import Callable, Dict, List, Mapping, Optional, Tuple

Variables = Mapping[str, Optional[str]]

TRANSFORMS: Dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "trim": lambda value: value.strip(" /"),
    "label": lambda value: value.split(".", 1)[0],
    "leaf": lambda value: value.rstrip("/").rsplit("/", 1)[-1],
    "braces": lambda value: value.replace("{", "%7B").replace("}", "%7D"),
}
"""What may stand after a `|`: `label` is the first label of a host, `leaf` the last segment of a path."""

_PIECE = re.compile(r"\{\{|\}\}|\{(?P<field>[^{}]*)\}|[{}]|[^{}]+")
_FIELD = re.compile(r"(?P<name>[a-z_][a-z0-9_]*)(?P<pipes>(?:\|[^|]*)*)$")

_Piece = Tuple[str, Optional[str], Tuple[Callable[[str], str], ...], Optional[str]]


class TemplateError(ValueError):
    """The template can't be read; the message says what is wrong with it."""


class Template:
    """A compiled template: literal text and `{variable|transform|default:text}` fields; `{{` and `}}` are braces.

    Values are put in once and never read again, so a `$` or a `{…}` in a table's name is text like any other.
    """

    __slots__ = ("_pieces", "text")

    def __init__(self, text: str) -> None:
        """Raises `TemplateError`."""
        self.text = text
        self._pieces: List[_Piece] = []
        for found in _PIECE.finditer(text):
            token = found[0]
            if token in ("{{", "}}"):
                self._pieces.append((token[0], None, (), None))
            elif found["field"] is not None:
                self._pieces.append(self._field(found["field"]))
            elif token in ("{", "}"):
                raise TemplateError(f"lone {token!r} in {text!r}; write {token * 2!r} for a brace")
            else:
                self._pieces.append((token, None, (), None))

    @staticmethod
    def _field(field: str) -> _Piece:
        found = _FIELD.match(field)
        if found is None:
            raise TemplateError(f"{{{field}}} is not a variable; names are lower-case letters, digits and '_'")
        transforms: List[Callable[[str], str]] = []
        default: Optional[str] = None
        for pipe in found["pipes"].split("|")[1:]:
            name, colon, value = pipe.partition(":")
            if name == "default" and colon:
                default = value
            elif pipe in TRANSFORMS:
                transforms.append(TRANSFORMS[pipe])
            else:
                known = ", ".join(TRANSFORMS)
                raise TemplateError(f"unknown transform {pipe!r} in {{{field}}}; known: {known}, default:…")
        return "", found["name"], tuple(transforms), default

    @property
    def variables(self) -> Tuple[str, ...]:
        """Names of the variables that the template must have a value for."""
        return tuple(name for _, name, _, default in self._pieces if name is not None and default is None)

    def fill(self, variables: Variables) -> Optional[str]:
        """The text with all values in it, or None when a variable without a default has no value (None or "")."""
        parts: List[str] = []
        for literal, name, transforms, default in self._pieces:
            if name is None:
                parts.append(literal)
                continue
            value = variables.get(name)
            if not value:
                if default is None:
                    return None
                value = default
            for transform in transforms:
                value = transform(value)
            parts.append(value)
        return "".join(parts)
