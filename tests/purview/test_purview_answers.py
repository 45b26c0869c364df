"""One table from status and Atlas code to what can be done."""
from __future__ import annotations

import email.utils
import json
from typing import Dict, Optional

import pytest

from adb_lineage.errors import AdbLineageError, FixNeeded, GiveUp, RetryLater
from adb_lineage.purview.answers import Answer, TooMuch, error, parse, redact, retry_after

NOW = 1_700_000_000.0

CASES = [
    # status, code, the error of the package, too much
    (0, "network", RetryLater, False),
    (0, "time-out", RetryLater, False),
    (0, "name", RetryLater, False),
    (0, "tls", FixNeeded, False),
    (0, "proxy-auth", FixNeeded, False),
    (200, "not-json", RetryLater, False),
    (302, "", FixNeeded, False),
    (400, "ATLAS-400-00-01A", GiveUp, False),
    (400, "ATLAS-400-00-014", GiveUp, False),
    (400, "", GiveUp, False),
    (401, "", FixNeeded, False),
    (403, "ATLAS-403-00-001", FixNeeded, False),
    (404, "ATLAS-404-00-007", GiveUp, False),
    (404, "ATLAS-404-00-00A", GiveUp, False),
    (404, "ATLAS-404-00-009", GiveUp, False),
    (404, "RequestUriNotFound", FixNeeded, False),
    (404, "", FixNeeded, False),
    (405, "", FixNeeded, False),
    (407, "", FixNeeded, False),
    (408, "", RetryLater, True),
    (409, "ATLAS-409-00-001", GiveUp, False),
    (409, "", RetryLater, False),
    (409, "ATLAS-409-00-006", RetryLater, False),
    (412, "", RetryLater, False),
    (413, "", RetryLater, True),
    (414, "", RetryLater, True),
    (422, "", GiveUp, False),
    (423, "", RetryLater, False),
    (429, "", RetryLater, False),
    (500, "ATLAS-500-00-005", RetryLater, False),
    (500, "", RetryLater, False),
    (502, "", RetryLater, False),
    (503, "", RetryLater, False),
    (504, "", RetryLater, True),
    (600, "", FixNeeded, False),
]


@pytest.mark.parametrize("status, code, kind, is_much", CASES)
def test_verdict(status: int, code: str, kind: type, is_much: bool) -> None:
    failure = error(Answer(status, code, "the words", request_id="r-1", call="POST /x"))
    assert isinstance(failure, kind) and isinstance(failure, AdbLineageError)
    assert isinstance(failure, TooMuch) == is_much
    assert "the words" in str(failure) and "POST /x" in str(failure) and "r-1" in str(failure)


def test_exactly_one_kind_fits_every_status() -> None:
    for status in range(1000):
        kinds = [isinstance(error(Answer(status, "", "")), kind) for kind in (RetryLater, FixNeeded, GiveUp)]
        assert sum(kinds) == 1, status


def http_date(at: float) -> str:
    return email.utils.formatdate(at, usegmt=True)


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 7.5 "}, 7.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "1e9"}, 3600.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": http_date(NOW + 30)}, 30.0),
        ({"Retry-After": http_date(NOW - 30)}, 0.0),
        # Our clock is a day off; the server's Date makes the difference right.
        ({"Retry-After": http_date(NOW + 86_430), "Date": http_date(NOW + 86_400)}, 30.0),
        ({"Retry-After": http_date(NOW + 30), "Date": "nonsense"}, 30.0),
    ],
)
def test_retry_after(headers: Dict[str, str], seconds: Optional[float]) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    "body, code, words",
    [
        ({"errorCode": "ATLAS-404-00-005", "errorMessage": "gone", "requestId": "r"}, "ATLAS-404-00-005", "gone"),
        ({"errorCode": "A", "errorMessage": "x", "errorCause": "deep"}, "A", "x (deep)"),
        ({"error": {"code": "Forbidden", "message": "not you"}}, "Forbidden", "not you"),
        ({"message": "gateway"}, "", "gateway"),
        ([1, 2], "", "[1, 2]"),
        (b"", "", "no content"),
        (b"<html><body><h1>502  Bad\n Gateway</h1></body></html>", "", "HTML where JSON belongs: 502 Bad Gateway"),
        (b"\xff\xfe plain", "", "plain"),
        (b"x" * 100_000, "", "x" * 500),
    ],
)
def test_every_shape_of_an_error_body_is_read(body: object, code: str, words: str) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = parse(500, {"x-ms-correlation-request-id": "c-1"}, raw, "GET /y", NOW)
    assert (answer.code, answer.request_id) == (code, "c-1")
    assert words in answer.message and len(answer.message) <= 600


def test_secrets_are_not_in_what_is_read() -> None:
    token = "eyJhbGciOi.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"
    words = f"bad header Authorization: Bearer {token}; Basic dXNlcjpwYXNz; s3cr3t"
    body = json.dumps({"errorMessage": words}).encode()
    answer = parse(401, {}, body, "GET /", NOW, ("s3cr3t",))
    for secret in (token, "dXNlcjpwYXNz", "s3cr3t"):
        assert secret not in str(answer)
    assert redact("via http://user:pa%20ss@proxy:8080/") == "via http://***@proxy:8080/"
