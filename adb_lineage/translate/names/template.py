"""Templates of the rule file: `https://{host|lower}/{container}/{path}`."""
from __future__ import annotations

import re
from typing import Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Sequence, Tuple

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

class _Piece(NamedTuple):
    """Literal text, or a variable (`name` is not None) with what is done to its value."""

    literal: str
    name: Optional[str] = None
    transforms: Tuple[Callable[[str], str], ...] = ()
    default: Optional[str] = None

    def value(self, variables: Variables) -> Optional[str]:
        """The variable's value after its transforms, or None when it has none."""
        value = variables.get(self.name or "") or self.default
        if value is not None:
            for transform in self.transforms:
                value = transform(value)
        return value


class TemplateError(ValueError):
    """The template can't be read; the message says what is wrong with it."""


class Template:
    """A compiled template: literal text and `{variable|transform|default:text}` fields; `{{` and `}}` are braces.

    Values are put in once and never read again, so a `$` or a `{…}` in a table's name is text like any other.
    """

    __slots__ = ("_pieces", "simple", "text")

    def __init__(self, text: str) -> None:
        """Raises `TemplateError`."""
        self.text = text
        pieces: List[_Piece] = []
        for found in _PIECE.finditer(text):
            token = found[0]
            if token in ("{{", "}}"):
                pieces.append(_Piece(token[0]))
            elif found["field"] is not None:
                pieces.append(self._field(found["field"]))
            elif token in ("{", "}"):
                raise TemplateError(f"lone {token!r} in {text!r}; write {token * 2!r} for a brace")
            else:
                pieces.append(_Piece(token))
        self._set(pieces)

    def _set(self, pieces: Sequence[_Piece]) -> None:
        """Keep the pieces, with neighbouring literals as one."""
        merged: List[_Piece] = []
        for piece in pieces:
            if piece.name is None and merged and merged[-1].name is None:
                merged[-1] = _Piece(merged[-1].literal + piece.literal)
            else:
                merged.append(piece)
        self._pieces = tuple(merged)
        variables = [piece for piece in merged if piece.name is not None]
        self.simple: Optional[Tuple[str, str, str]] = None
        """Text before, name of and text after the only variable, where that is all the template has."""
        if len(variables) == 1 and not variables[0].transforms and variables[0].default is None:
            place = merged.index(variables[0])
            before, after = merged[:place], merged[place + 1:]
            self.simple = (
                before[0].literal if before else "",
                variables[0].name or "",
                after[0].literal if after else "",
            )

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
        return _Piece("", found["name"], tuple(transforms), default)

    @property
    def variables(self) -> Tuple[str, ...]:
        """Names of the variables that the template must have a value for."""
        return tuple(piece.name for piece in self._pieces if piece.name is not None and piece.default is None)

    @property
    def names(self) -> Tuple[str, ...]:
        """Names of all its variables."""
        return tuple(piece.name for piece in self._pieces if piece.name is not None)

    @property
    def constant(self) -> bool:
        """Whether the template has no variable."""
        return all(piece.name is None for piece in self._pieces)

    def given(self, variables: Variables, later: FrozenSet[str]) -> Template:
        """The template with the values known now put in, but for variables that get one `later`."""
        pieces = []
        for piece in self._pieces:
            value = None if piece.name is None or piece.name in later else piece.value(variables)
            pieces.append(piece if value is None else _Piece(value))
        filled = Template.__new__(Template)
        filled.text = self.text
        filled._set(pieces)
        return filled

    def fill(self, variables: Variables) -> Optional[str]:
        """The text with all values in it, or None when a variable without a default has no value (None or "")."""
        if self.simple is not None:
            before, name, after = self.simple
            value = variables.get(name)
            return before + value + after if value else None
        parts: List[str] = []
        for piece in self._pieces:
            if piece.name is None:
                parts.append(piece.literal)
                continue
            value = piece.value(variables)
            if value is None:
                return None
            parts.append(value)
        return "".join(parts)
