"""Takes secret values out of SQL text and error messages: they hold what a user wrote into an option or a URL."""
from __future__ import annotations

import re

MASK = "********"
_KEY = (r"(?:[\w.\-]*(?:password|passwd|passphrase|pwd|secret|token|access[_-]?key|account[_.-]?key|api[_-]?key"
        r"|private[_-]?key|credential|connection[_-]?string|sas|signature|authorization)[\w.\-]*)")
# `'password' = 'x'`, `password "x"`, `OPTIONS (sas => 'x')`: a key, perhaps quoted, then a quoted value
_QUOTED = re.compile(rf"""(?ix)((?<![\w.\-])(?P<open>['"`]?){_KEY}(?P=open)\s*(?:=>|[=:,]|\s)\s*)
                          (?P<quote>['"])(?:\\.|(?!(?P=quote)).)*(?:(?P=quote)|\Z)""", re.DOTALL)
# `;password=x;` in a JDBC URL or connection string, `?sig=x&`; in SQL Server's braces a value may have semicolons
_BARE = re.compile(rf"(?i)((?<![\w.\-])(?:{_KEY}|sig)\s*=\s*)(?!['\"])(?:\{{[^{{}}\n]*\}}|[^;&\s'\")]+)")
# A key of S3's may have a slash; what follows a port is none.
_USER_INFO = re.compile(r"(://[^/\s:@'\"]*:)(?:[^/\s@'\"]+|(?!\d+(?:[/,;?]|$))[^\s@'\",]{1,256})@")


def without_secrets(text: str) -> str:
    """The text with a mask in place of each password, key or token that it spells out; it may be cut in the middle."""
    text = _QUOTED.sub(lambda found: f"{found[1]}{found['quote']}{MASK}{found['quote']}", text)
    text = _BARE.sub(lambda found: f"{found[1]}{MASK}", text)
    return _USER_INFO.sub(lambda found: f"{found[1]}{MASK}@", text)
