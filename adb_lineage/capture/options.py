"""Options of a source: secrets lie among them, so only the keys that name the source are ever asked for."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Dict

from adb_lineage.capture.jvm import Jvm


class Options:
    """Options by key, in any case: Spark keeps the user's own spelling in some places and lower case in others.

    `java` is a Scala Map[String, String], a java.util.Map, or None for no options. `root` is the default file system,
    in which a path without a scheme lies.
    """

    def __init__(self, jvm: Jvm, java: Any, root: str = "") -> None:
        self.root = root
        self._jvm = jvm
        self._java = java
        self._spellings: Dict[str, str] = {}
        self._keys_known = java is None

    def get(self, *keys: str) -> str:
        """The value of the first of these keys that is set and not empty; "" for none."""
        spellings = self._keys()
        for key in keys:
            spelling = spellings.get(key.lower())
            if spelling is not None:
                value = self._value(spelling)
                if value:
                    return value
        return ""

    def _keys(self) -> Dict[str, str]:
        """Lower-case key -> the key as it is written; the keys alone cross over, in one round trip."""
        if not self._keys_known:
            if isinstance(self._java, Mapping):
                text = "\n".join(str(key) for key in self._java)
            else:
                text = str(self._jvm.call(self._jvm.ask(self._java, "keys"), "mkString", "\n"))
            self._spellings = {key.lower(): key for key in text.split("\n") if key}
            self._keys_known = True
        return self._spellings

    def _value(self, spelling: str) -> str:
        value = self._jvm.call(self._java, "get", spelling)
        if value is None or isinstance(value, str):
            return value or ""
        found = self._jvm.content(value)
        return "" if found is None else str(found)
