"""What an answer means for us: the one place where status and Atlas code become a verdict.

    verdict   exception      what the caller does
    RETRY     Unavailable    the same again later; after the ladder it leaves the room as `RetryLater`
    SHRINK    TooMuch        the same in smaller parts; a part that cannot be divided is tried again later
    FIX       NotAllowed     leaves the room as `FixNeeded`
    REFUSE    Refused        divides the call until the one entity to blame is alone; it goes into the report

Rules from the Purview reference, sections 1.12, 2.14 and 4.2. Atlas says 404 both for "not there" and for an entity
that breaks its type's rules, so a 404 is read by its code, never by its status.
"""
from __future__ import annotations

import contextlib
import email.utils
import json
import re
from enum import Enum
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

from adb_lineage.errors import AdbLineageError, FixNeeded, GiveUp, RetryLater

BODY_SHOWN = 500


class Verdict(Enum):
    """What can be done about an answer."""

    RETRY = "retry"
    SHRINK = "shrink"
    FIX = "fix"
    REFUSE = "refuse"


class Answer(NamedTuple):
    """A refusing answer, or the failure to get one (`status` 0)."""

    status: int
    code: str
    message: str
    request_id: str = ""
    retry_after: Optional[float] = None
    call: str = ""
    """Method and path."""

    def __str__(self) -> str:
        parts = [f"{self.call}:" if self.call else "", str(self.status) if self.status else "", self.code, self.message]
        if self.request_id:
            parts.append(f"(request {self.request_id})")
        return " ".join(part for part in parts if part)


class Rule(NamedTuple):
    """One row of the table; the first row that fits decides."""

    status: Tuple[int, int]
    code: str
    verdict: Verdict
    mend: str = ""


def _row(first: int, last: int, code: str, verdict: Verdict, mend: str = "") -> Rule:
    return Rule((first, last), code, verdict, mend)


RULES: Tuple[Rule, ...] = (
    _row(0, 0, "tls", Verdict.FIX, "trust its certificate authority with ca_bundle: TLS is always verified"),
    _row(0, 0, "settings", Verdict.FIX, "correct endpoint, proxy or credentials"),
    _row(0, 0, "proxy-auth", Verdict.FIX, "correct the user and password of the proxy"),
    _row(0, 0, "too-long", Verdict.SHRINK),
    _row(0, 0, "", Verdict.RETRY),
    _row(200, 299, "", Verdict.RETRY),  # the answer was cut short or is not JSON
    _row(300, 399, "", Verdict.FIX, "the endpoint sends us elsewhere: correct the endpoint"),
    _row(401, 401, "", Verdict.FIX, "check identity, tenant and audience of the token: adb-lineage doctor"),
    _row(403, 403, "", Verdict.FIX, "give the identity the role Data Curator on the collection; check firewall rules"),
    _row(404, 404, r"ATLAS-404-", Verdict.REFUSE),
    _row(404, 405, "", Verdict.FIX, "there is no such call: correct endpoint, atlas_prefix or service_prefix"),
    _row(407, 407, "", Verdict.FIX, "correct the user and password of the proxy"),
    _row(408, 408, "", Verdict.SHRINK),
    _row(409, 409, r"ATLAS-409-00-00[1245]$", Verdict.REFUSE),
    _row(409, 409, "", Verdict.RETRY),
    _row(412, 412, "", Verdict.RETRY),
    _row(413, 414, "", Verdict.SHRINK),
    _row(423, 425, "", Verdict.RETRY),
    _row(429, 429, "", Verdict.RETRY),
    _row(400, 499, "", Verdict.REFUSE),
    _row(504, 504, "", Verdict.SHRINK),
    _row(500, 599, "", Verdict.RETRY),
    _row(100, 999, "", Verdict.FIX, "the answer is not one of HTTP: correct the endpoint"),
)


class AnswerError(AdbLineageError):
    """An answer that is not the one asked for."""

    answer: Answer


class Unavailable(AnswerError, RetryLater):
    """The catalog is away, busy or in the middle of something."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the catalog is not available: {answer}", answer.retry_after)
        self.answer = answer


class TooMuch(Unavailable):
    """The call was too large or took too long."""


class NotAllowed(AnswerError, FixNeeded):
    """Rights, identity, network or settings stand in the way."""

    def __init__(self, answer: Answer, mend: str) -> None:
        super().__init__(f"the catalog does not let us in: {answer}; {mend}")
        self.answer = answer


class Refused(AnswerError, GiveUp):
    """The content of the call breaks a rule of the catalog."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the catalog refuses it: {answer}")
        self.answer = answer


def verdict(answer: Answer) -> Tuple[Verdict, str]:
    """The verdict on an answer, and what to do about it."""
    for rule in RULES:
        if rule.status[0] <= answer.status <= rule.status[1] and re.match(rule.code, answer.code):
            return rule.verdict, rule.mend
    return Verdict.RETRY, ""


def error(answer: Answer) -> AnswerError:
    """The exception for an answer."""
    kind, mend = verdict(answer)
    if kind is Verdict.FIX:
        return NotAllowed(answer, mend)
    if kind is Verdict.REFUSE:
        return Refused(answer)
    return TooMuch(answer) if kind is Verdict.SHRINK else Unavailable(answer)


def may_be_content(failure: AnswerError) -> bool:
    """Whether a single entity may be the cause although the answer does not say so.

    A server error, a conflict or a missing right on one entity looks like one on all of them. It is blamed on the
    entity only if its neighbours were accepted.
    """
    answer = failure.answer
    if answer.status in (0, 500):
        return answer.code == "too-long" if answer.status == 0 else bool(answer.code)
    return answer.status in (403, 408, 409, 412, 413, 414, 504)


_SECRET = re.compile(r"(?i)\b(bearer|basic)\s+[\w\-.~+/=]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=://)[^/\s@:]*:[^/\s@]*(?=@)")


def redact(text: str, secrets: Sequence[str] = ()) -> str:
    """The text without credentials: tokens and passwords by their shape, known secrets by their value."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _SECRET.sub("***", text)


def retry_after(headers: Mapping[str, str], now: float) -> Optional[float]:
    """Seconds that a `Retry-After` header asks for: a number, or a date which is compared with `now`.

    A date may lie in the past, and a clock may be wrong: the result is between 0 and an hour. None without a header
    and for one that makes no sense.
    """
    text = (headers.get("Retry-After") or headers.get("retry-after-ms") or "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if headers.get("Retry-After") else float(text) / 1000
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(text)
        except (TypeError, ValueError):
            return None
        # The server's own clock, where it tells it, makes the difference right even if ours is not.
        with contextlib.suppress(TypeError, ValueError):
            now = email.utils.parsedate_to_datetime(headers.get("Date", "")).timestamp()
        seconds = date.timestamp() - now
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), 3600.0)


def parse(
    status: int, headers: Mapping[str, str], body: bytes, call: str, now: float, secrets: Sequence[str] = ()
) -> Answer:
    """Read a refusing answer; the shapes are Atlas', Purview's gateway's, Azure's, HTML and nothing at all."""
    text = body.decode("utf-8", "replace")
    code, message = "", ""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict):
        inner = content.get("error")
        source = inner if isinstance(inner, dict) else content
        code = str(source.get("errorCode") or source.get("code") or "")
        message = str(source.get("errorMessage") or source.get("message") or "")
        if source.get("errorCause"):
            message = f"{message} ({source['errorCause']})"
    if not message:
        message = re.sub(r"<[^>]*>|\s+", " ", text).strip() or "no content"
        if text.lstrip()[:1] == "<":
            message = f"HTML where JSON belongs: {re.sub(' +', ' ', message)}"
    request_id = headers.get("x-ms-correlation-request-id") or headers.get("x-ms-request-id") or ""
    if not request_id and isinstance(content, dict):
        request_id = str(content.get("requestId") or "")
    wait = retry_after(headers, now)
    return Answer(status, code, redact(message, secrets)[:BODY_SHOWN], request_id, wait, call)
