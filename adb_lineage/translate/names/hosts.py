"""Hosts that go by several names: private link, IP address against name, custom DNS."""
from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, List, Mapping, Pattern, Tuple

# scheme(s)://[user:password@ or container@]host[:port]rest; Oracle's thin URL has an @ before the slashes, SQL Server's
# host may end at `\instance`, and MySQL's `address=(host=…)` is no host
_AUTHORITY = re.compile(
    r"(?P<scheme>(?:[a-z][a-z0-9+.-]*:)+@?//)(?P<before>[^/?;@]*@)?"
    r"(?P<host>\[[^\]]*\]|[^/?;:,@\\(=]+)(?=[/?;:,@\\]|$)(?P<port>:\d+)?(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)


def names_host(namespace: str) -> bool:
    """Whether a namespace has its host where aliases are looked for: `scheme://host`, not among its parameters."""
    return _AUTHORITY.match(namespace) is not None


class Hosts:
    """Aliases of hosts: `{"10.1.2.3": "pg.corp.net", "*.privatelink.database.windows.net": "*.database.windows.net"}`.

    Keys are compared without case; a `*` stands for one label or more and is carried over to the `*` of the value.
    A key with a port (`"10.1.2.3:5433"`) holds for that port alone, and its value may name another port.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        """Raises `ValueError` for an address, and for a `*` in a value that its key does not have, or more than one."""
        self._aliases = dict(aliases)
        self._exact: Dict[str, str] = {}
        self._patterns: List[Tuple[Pattern[str], str]] = []
        for alias, host in aliases.items():
            if alias.count("*") > 1 or host.count("*") > alias.count("*"):
                raise ValueError(f"{alias!r}: {host!r}: a '*' may stand once in each, in the value only if in the key")
            if "://" in alias or "://" in host:
                raise ValueError(f"{alias!r}: {host!r}: these are hosts, without a scheme such as 'https://'")
            if "*" in alias:
                pattern = re.escape(alias.lower()).replace(re.escape("*"), "(.+)")
                self._patterns.append((re.compile(pattern + r"$"), host))
            else:
                self._exact[alias.lower()] = host
        self.canonical = lru_cache(maxsize=4096)(self._canonical)

    def overridden_by(self, aliases: Mapping[str, str]) -> Hosts:
        """These aliases with others before them. Raises `ValueError` as the constructor does."""
        return Hosts({**aliases, **{alias: host for alias, host in self._aliases.items() if alias not in aliases}})

    def _rename(self, host: str) -> str:
        found = self._exact.get(host)
        if found is not None:
            return found
        for pattern, target in self._patterns:
            match = pattern.match(host)
            if match is not None:
                return target.replace("*", match[1])
        return ""

    def _canonical(self, namespace: str) -> str:
        """The namespace with its host under the canonical name; other namespaces come back as they are."""
        found = _AUTHORITY.match(namespace)
        if found is None:
            return namespace
        host, port = found["host"].lower(), found["port"] or ""
        target = self._rename(host + port) if port else ""
        if not target:
            target = self._rename(host)
            if not target:
                return namespace
            if ":" not in target:
                target += port
        return (found["scheme"] or "") + (found["before"] or "") + target + found["rest"]
