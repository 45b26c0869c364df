"""Masking of secrets and literals before anything leaves for the catalog."""
from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Set, Tuple

MASK = "***"

_SECRET_WORDS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|credential|account[-_.]?key|access[-_.]?key|api[-_.]?key|private[-_.]?key"
    r"|shared[-_.]?access|sas|sig|signature|connection[-_.]?string|auth(?:orization)?"
)
_SECRET_KEY = re.compile(rf"(?:^|[^a-z])(?:{_SECRET_WORDS})(?:$|[^a-z])|(?:{_SECRET_WORDS})$", re.IGNORECASE)
# key=value and "key": "value" in a text, as in connection strings, JDBC URLs and SAS tokens
_SECRET_VALUE = re.compile(
    rf"(?P<key>\b[\w.-]{{0,64}}(?:{_SECRET_WORDS})(?:[._-][\w.-]{{0,128}})?\b['\"]?\s*(?:=|:|->)\s*['\"]?)"
    # A value in quotes, or in SQL Server's braces, may have spaces and semicolons.
    r"(?P<value>(?<=\")[^\s;&,'\"\])}:][^\"\n]*(?=\")|(?<=')[^\s;&,'\"\])}:][^'\n]*(?=')|(?<==)\{[^{}\n]*\}|[^\s;&,'\"\])}]+)",
    re.IGNORECASE,
)
# Databricks' and Entra's (JSON web) tokens, whatever stands before them
_TOKEN = re.compile(r"\b(?:dapi|dkea)[0-9a-f]{16,}(?:-\d+)?\b|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
# A key of S3's may have a slash; what follows a port is none.
_URL_PASSWORD = re.compile(r"(//[^/@:\s]+:)(?:[^/@\s]+|(?!\d+(?:[/,;?]|$))[^@\s\"',]{1,256})(@)")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'")
# The value of a literal in the JSON of a plan; the last one may be cut.
_JSON_VALUE = re.compile(r'("value"\s*:\s*)(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|[^\s",}\]]+)')
_WORD = re.compile(r"\w+")
# A name that Spark makes of an expression, `count(1)` or `(a > 1)`
_MADE_NAME = re.compile(r"[(\s]")
_NUMBER = re.compile(r"(?<![\w.#])\d+(?:\.\d+)?(?![\w.])")


def is_secret_key(key: str) -> bool:
    """Whether a key's name says that its value is a secret: `fs.azure.account.key`, `clientSecret`, `--password`."""
    return _SECRET_KEY.search(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)) is not None


def mask_secrets(text: str) -> str:
    """A text with the values of `key=value` secrets, the passwords of URLs and tokens masked."""
    text = _TOKEN.sub(MASK, _URL_PASSWORD.sub(rf"\g<1>{MASK}\g<2>", text))
    return _SECRET_VALUE.sub(rf"\g<key>{MASK}", text)


def mask_literals(text: str) -> str:
    """A text of SQL or of an expression with quoted strings, numbers and secrets masked."""
    return _NUMBER.sub("?", _QUOTED.sub("'?'", mask_secrets(text)))


def redacted_plan(plan: Any) -> Any:
    """A Spark plan (JSON of `TreeNode.toJSON`, or its text when it was cut) without literals and secrets.

    Literal nodes lose their value, keys that say they hold a secret lose theirs, every other text loses secrets and
    what it quotes. Names that Spark made of an expression, such as `concat(name, Jane)`, lose the literals in it.
    """
    if isinstance(plan, str):
        return _redacted_text(plan)
    root: List[Any] = [None]
    literals: Set[str] = set()
    names: List[Tuple[Dict[str, Any], str]] = []
    stack: List[Any] = [(root, 0, plan)]
    while stack:  # not recursive: a plan may be nested deeper than Python's stack
        holder, slot, value = stack.pop()
        if isinstance(value, dict):
            copy: Dict[str, Any] = {}
            holder[slot] = copy
            literal = str(value.get("class", "")).rsplit(".", 1)[-1] == "Literal"
            for key, item in value.items():
                copy[key] = None
                if item is not None and (is_secret_key(key) or (literal and key == "value")):
                    copy[key] = MASK
                    literals.update((str(item), *_WORD.findall(str(item))))
                elif key == "plan" and isinstance(item, str):
                    copy[key] = _redacted_text(item)
                else:
                    stack.append((copy, key, item))
                    if key == "name" and isinstance(item, str) and _MADE_NAME.search(item):
                        names.append((copy, item))
        elif isinstance(value, list):
            items: List[Any] = [None] * len(value)
            holder[slot] = items
            stack.extend((items, position, item) for position, item in enumerate(value))
        else:
            holder[slot] = _QUOTED.sub("'?'", mask_secrets(value)) if isinstance(value, str) else value
    texts = sorted((re.escape(text) for text in literals if text.strip()), key=len, reverse=True)
    if names and texts:
        told = re.compile(rf"(?<!\w)(?:{'|'.join(texts)})(?!\w)")
        for copy, name in names:
            copy["name"] = _NUMBER.sub("?", told.sub(MASK, mask_secrets(name)))
    return root[0]


def _redacted_text(plan: str) -> str:
    """A plan that comes as text: its JSON, whole or cut."""
    try:
        return json.dumps(redacted_plan(json.loads(plan)), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return mask_literals(_JSON_VALUE.sub(rf'\1"{MASK}"', plan))


def redacted_parameters(parameters: Any) -> Any:
    """Parameters of a task without secrets: a list (`["--password", "x"]`, `["--token=x"]`) or a mapping."""
    if isinstance(parameters, dict):
        return {
            str(key): MASK if is_secret_key(str(key)) and value not in (None, "") else mask_secrets(str(value))
            for key, value in parameters.items()
        }
    if not isinstance(parameters, list):
        return parameters
    redacted: List[str] = []
    secret_follows = False
    for item in parameters:
        text = str(item)
        option, equals, _ = text.partition("=")
        if secret_follows and not text.startswith("-"):
            redacted.append(MASK)
        elif equals and text.startswith("-") and is_secret_key(option):
            redacted.append(option + equals + MASK)
        else:
            redacted.append(mask_secrets(text))
        secret_follows = text.startswith("-") and "=" not in text and is_secret_key(text)
    return redacted
