"""pyapacheatlas' client on a connection of our own.

pyapacheatlas opens a connection per call, has no time-outs and no retries, and raises `AtlasException`, which `except
Exception` does not catch. All of it sits in four methods of its clients, `_get_http` and its sisters; `PooledHttp` is a
mixin that replaces them. Above them its vocabulary stays: `get_entity`, `delete_entity`, `get_all_typedefs` and so on.

    what goes wrong          what is raised
    nobody answers, 429, 5xx  `RetryLater` (`answers.Unavailable`) after the retries of `retry.Governor`
    401, 403, TLS, wrong path `FixNeeded` (`answers.NotAllowed`)
    another 4xx               `GiveUp` (`answers.Refused`)
"""
from __future__ import annotations

import json
import logging
import threading
import uuid
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlsplit

import requests
from pyapacheatlas.core import AtlasClient
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from adb_lineage._version import __version__
from adb_lineage.purview.answers import (
    Answer,
    AnswerError,
    NotAllowed,
    Refused,
    error,
    may_be_content,
    parse,
    redact,
)
from adb_lineage.purview.auth import TokenSource
from adb_lineage.purview.clock import Clock
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.retry import Governor, Patience

log = logging.getLogger("adb_lineage.purview")

Params = Mapping[str, Any]
PAGE = 1000
_PIECE = 1 << 10
"""Bytes that are read at once. Unpacked they may be a thousand times as many, and a read ends only when it has them."""
_MEND = "the question holds nothing of ours: correct the endpoint, or see what answers for the catalog on the way"
GUIDS_A_CALL = 150
"""`GET entity/bulk?guid=…` breaks at 194 guids in Purview: its URL limit is about 8 KB."""


class Reply(NamedTuple):
    """What pyapacheatlas' methods read from an answer (its `AtlasResponse` would parse and raise by itself)."""

    body: Any
    status_code: int
    method: str
    is_successful: bool = True


class _Endless(OSError):
    """An answer that is not read to its end; the code is for `answers.RULES`."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


class _Bearer(AuthBase):
    """Sets our header last, so that neither `.netrc` nor the environment can put another identity in."""

    def __init__(self, header: Optional[str]) -> None:
        self.header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.header:
            request.headers["Authorization"] = self.header
        return request


class Http:
    """One pool of connections with time-outs, token, retries, and one meaning for every answer. Thread-safe."""

    def __init__(self, options: PurviewOptions, tokens: TokenSource, governor: Governor, clock: Clock) -> None:
        self._options = options
        self._tokens = tokens
        self._clock = clock
        self.governor = governor
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=2, pool_maxsize=options.concurrency, max_retries=0, pool_block=True)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.headers["User-Agent"] = f"adb_lineage/{__version__} {requests.utils.default_user_agent()}"
        self._session.headers["Accept"] = "application/json"
        # A proxy that the cluster has for the outside must not be asked for this machine.
        self._session.trust_env = not options.is_local
        if options.proxy:
            self._session.proxies = {"http": options.proxy, "https": options.proxy}
        self._lock = threading.Lock()
        self.requests = 0
        self.last_request_id = ""

    def send(
        self,
        method: str,
        url: str,
        params: Optional[Params] = None,
        content: Any = None,
        patience: Patience = Patience.USUAL,
    ) -> Reply:
        """Send one request, with retries; `content` becomes JSON, also when it is empty or false.

        Raises `RetryLater`, `FixNeeded`, `GiveUp` as in the head of this module.
        """
        full = with_query(url, params)
        body = None if content is None else encode(content)
        return self.governor.run(lambda: self._authorised(method, full, body), patience)

    def _authorised(self, method: str, url: str, body: Optional[bytes]) -> Reply:
        header = self._tokens.authorization()
        try:
            return self._exchange(method, url, body, header)
        except AnswerError as failure:
            # A token may be withdrawn before its time, and our clock may be wrong: one new one, then it is an error.
            if failure.answer.status != 401 or not self._tokens.renew(header):
                raise
        return self._exchange(method, url, body, self._tokens.authorization())

    def _exchange(self, method: str, url: str, body: Optional[bytes], header: Optional[str]) -> Reply:
        options = self._options
        call = f"{method} {urlsplit(url).path}"
        client_id = str(uuid.uuid4())
        headers = {"x-ms-client-request-id": client_id}
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
        with self._lock:
            self.requests += 1
        try:
            bare = requests.Request(method, options.endpoint, data=body, headers=headers, auth=_Bearer(header))
            prepared = self._session.prepare_request(bare)
            prepared.url = url  # encoded already; to check that, requests needs milliseconds for a long one
            # Given with each request: requests lets REQUESTS_CA_BUNDLE win over what a session says.
            around = self._session.merge_environment_settings(url, {}, True, options.ca_bundle or True, None)
            limits = (options.connect_timeout, options.read_timeout if method == "GET" else options.write_timeout)
            with self._session.send(prepared, timeout=limits, allow_redirects=False, **around) as response:
                text = self._content(response)
        except (OSError, ValueError, HTTPError) as failure:  # requests' own errors are OSErrors
            if isinstance(failure, OSError):
                said = redact(str(failure), self._secrets(header))
            else:  # http.client shows the whole header, in a form of its own
                said = "a header can't be sent; is there a line break in a credential?"
            answer = Answer(0, _network_code(failure), said, client_id, call=call)
            raise error(answer) from None  # the chain would show what was cleaned away
        request_id = response.headers.get("x-ms-correlation-request-id") or response.headers.get("x-ms-request-id")
        self.last_request_id = request_id or client_id
        if not 200 <= response.status_code < 300:
            answer = parse(
                response.status_code, response.headers, text, call, self._clock.time(), self._secrets(header)
            )
            raise error(answer._replace(request_id=answer.request_id or client_id))
        if not text:
            return Reply(None, response.status_code, method)
        try:
            return Reply(json.loads(text.decode("utf-8")), response.status_code, method)
        except (ValueError, RecursionError):
            answer = parse(
                response.status_code, response.headers, text, call, self._clock.time(), self._secrets(header)
            )
            raise error(answer._replace(code="not-json", request_id=self.last_request_id)) from None

    def _content(self, response: requests.Response) -> bytes:
        """The whole answer. Raises `_Endless` for one that drips on, or unpacks to more than memory should hold."""
        options = self._options
        ends = self._clock.monotonic() + options.answer_seconds
        pieces: List[bytes] = []
        room = options.answer_bytes
        for piece in response.iter_content(_PIECE):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                raise _Endless("too-long", f"an answer of more than {options.answer_bytes} bytes")
            if self._clock.monotonic() > ends:
                raise _Endless("time-out", f"an answer that has not ended after {options.answer_seconds:g} s")
        return b"".join(pieces)

    def date(self) -> str:
        """The catalog's clock, as its `Date` header tells it; raises OSError and ValueError."""
        with self._session.get(
            self._options.endpoint,
            auth=_Bearer(None),
            timeout=(self._options.connect_timeout, self._options.read_timeout),
            verify=self._options.ca_bundle or True,
            allow_redirects=False,
            stream=True,
        ) as response:
            return response.headers.get("Date", "")

    def _secrets(self, header: Optional[str]) -> Tuple[str, ...]:
        token = header.split(" ", 1)[-1] if header else ""
        known = (*self._options.secrets, *self._tokens.secrets)
        return (*known, token) if token else known

    def close(self) -> None:
        """Wake waiting calls (they raise `RetryLater`) and close the connections."""
        self.governor.close()
        self._session.close()


class PooledHttp:
    """Mixin: the four methods through which every client class of pyapacheatlas speaks."""

    _http: Http

    def _get_http(self, url: str, params: Optional[Params] = None, **_: Any) -> Reply:
        return self._http.send("GET", url, params)

    def _post_http(
        self, url: str, params: Optional[Params] = None, json: Any = None, files: Any = None, **_: Any
    ) -> Reply:
        if files is not None:
            raise TypeError("this client sends JSON only; for files use pyapacheatlas' own PurviewClient")
        return self._http.send("POST", url, params, json)

    def _put_http(self, url: str, params: Optional[Params] = None, json: Any = None, **_: Any) -> Reply:
        return self._http.send("PUT", url, params, json)

    def _delete_http(self, url: str, params: Optional[Params] = None, json: Any = None, **_: Any) -> Reply:
        return self._http.send("DELETE", url, params, json)


class PooledAtlasClient(PooledHttp, AtlasClient):
    """pyapacheatlas' `AtlasClient` for Purview, a plain Atlas and the local catalog, which differ by prefix only.

    Besides its inherited methods it has those whose inherited form is missing or harmful (reference, section 5.3).
    """

    def __init__(self, options: PurviewOptions, http: Http) -> None:
        self._http = http
        self._options = options
        super().__init__(options.atlas_url, authentication=None, glossary=None, requests_args={})
        self.is_purview = options.flavour == "purview"

    @property
    def http(self) -> Http:
        """The connection below."""
        return self._http

    def typedefs(self) -> Dict[str, Any]:
        """All type definitions. An answer without any is none: every account has the base types."""
        try:
            body = self._ask("GET", f"{self.endpoint_url}/types/typedefs")
        except Refused as failure:
            raise NotAllowed(failure.answer, _MEND) from failure
        if not _objects(body.get("entityDefs"), "types/typedefs"):
            raise error(Answer(200, "no-types", "the list of types is empty", call="GET types/typedefs"))
        return body

    def _ask(
        self,
        method: str,
        url: str,
        params: Optional[Params] = None,
        content: Any = None,
        patience: Patience = Patience.USUAL,
    ) -> Dict[str, Any]:
        """Send; the answer must be an object: an empty one would look like "not found"."""
        reply = self._http.send(method, url, params, content, patience)
        if not isinstance(reply.body, dict):
            call = f"{method} {urlsplit(url).path}"
            raise error(Answer(200, "not-json", f"an answer that is no object: {str(reply.body)[:80]}", call=call))
        return reply.body

    def upsert(
        self, entities: Sequence[Mapping[str, Any]], patience: Patience = Patience.DIVISIBLE
    ) -> Dict[str, Any]:
        """`POST entity/bulk` into the configured collection; the mutation result, with every key present."""
        params: Dict[str, Any] = {}
        if self.is_purview:
            params["api-version"] = self._options.api_version
            if self._options.collection:
                params["collectionId"] = self._options.collection
        body = self._ask("POST", f"{self.endpoint_url}/entity/bulk", params, {"entities": list(entities)}, patience)
        result = {key: body.get(key) or {} for key in ("guidAssignments", "mutatedEntities")}
        _objects(list(result.values()), "entity/bulk")
        for headers in result["mutatedEntities"].values():
            _objects(headers, "entity/bulk")
        return result

    def lookup_url(self, type_name: str, qualified_names: Sequence[str], relationships: bool = False) -> str:
        """URL that asks for entities of one type by their qualified names."""
        params: Dict[str, Any] = {f"attr_{i}:qualifiedName": name for i, name in enumerate(qualified_names)}
        params["ignoreRelationships"] = not relationships
        params["minExtInfo"] = True
        return with_query(f"{self.endpoint_url}/entity/bulk/uniqueAttribute/type/{quote(type_name, safe='')}", params)

    def lookup(
        self, type_name: str, qualified_names: Sequence[str], relationships: bool = False
    ) -> List[Dict[str, Any]]:
        """The entities of one type that have these names; those that do not exist are left out."""
        url = self.lookup_url(type_name, qualified_names, relationships)
        return _entities(self._ask("GET", url, patience=_patience(qualified_names)))

    def by_guid(self, guids: Iterable[str], relationships: bool = True) -> List[Dict[str, Any]]:
        """The entities with these guids; those that do not exist, or no longer, are left out."""
        wanted = list(dict.fromkeys(guids))
        found: List[Dict[str, Any]] = []
        for start in range(0, len(wanted), GUIDS_A_CALL):
            found.extend(self._by_guid(wanted[start:start + GUIDS_A_CALL], relationships))
        return [entity for entity in found if entity.get("status", "ACTIVE") == "ACTIVE"]

    def _by_guid(self, guids: List[str], relationships: bool) -> List[Dict[str, Any]]:
        params = {"guid": guids, "minExtInfo": True, "ignoreRelationships": not relationships}
        try:
            return _entities(
                self._ask("GET", f"{self.endpoint_url}/entity/bulk", params, patience=_patience(guids))
            )
        except AnswerError as failure:
            # One guid that is not there fails the whole call.
            gone = failure.answer.status == 404 and failure.answer.code.startswith("ATLAS-404")
            if isinstance(failure, Refused) and not gone:
                raise NotAllowed(failure.answer, _MEND) from failure
            if not gone and (not may_be_content(failure) or len(guids) == 1):
                raise
            if len(guids) == 1:
                return []
        half = len(guids) // 2
        return self._by_guid(guids[:half], relationships) + self._by_guid(guids[half:], relationships)

    def delete_guids(self, guids: Sequence[str]) -> None:
        """Delete entities; one that is already gone is no error."""
        for start in range(0, len(guids), GUIDS_A_CALL):
            params = {"guid": list(guids[start:start + GUIDS_A_CALL])}
            self._http.send("DELETE", f"{self.endpoint_url}/entity/bulk", params)

    def relate(self, type_name: str, end1: Mapping[str, Any], end2: Mapping[str, Any]) -> str:
        """`POST relationship` between two entities given by reference; its guid. One that is there is `Refused`."""
        content = {"typeName": type_name, "end1": end1, "end2": end2}
        return str(self._ask("POST", f"{self.endpoint_url}/relationship", None, content).get("guid") or "")

    def unrelate(self, guid: str) -> None:
        """Delete a relationship; one that is already gone is no error."""
        try:
            self._http.send("DELETE", f"{self.endpoint_url}/relationship/guid/{quote(guid, safe='')}")
        except Refused as failure:
            if failure.answer.status != 404:
                raise

    def search_guids(self, type_name: str) -> Iterator[str]:
        """Guids of the entities of one type that the search index knows. It lags, and leaves out some types."""
        if self.is_purview:
            url, params = f"{self._options.service_url}/search/query", {"api-version": self._options.api_version}
            criteria: Dict[str, Any] = {"keywords": None, "limit": PAGE, "filter": {"and": [{"entityType": type_name}]}}
        else:
            url, params = f"{self.endpoint_url}/search/basic", {}
            criteria = {"typeName": type_name, "excludeDeletedEntities": True, "limit": PAGE, "offset": 0}
        seen = set()
        while True:
            body = self._ask("POST", url, params, criteria)
            hits = [str(hit.get("id") or hit.get("guid")) for hit in body.get("value") or body.get("entities") or []]
            new = [guid for guid in hits if guid not in seen]
            yield from new
            seen.update(new)
            token = body.get("continuationToken")
            if not new or (self.is_purview and not token) or len(hits) < PAGE:
                return
            criteria = {**criteria, **({"continuationToken": token} if token else {"offset": len(seen)})}


def with_query(url: str, params: Optional[Params]) -> str:
    """The URL with its query: UTF-8, percent-encoded whole, booleans in lower case, None left out, lists repeated."""
    if not params:
        return url
    pairs: List[str] = []
    for key, value in params.items():
        values: Union[List[Any], Tuple[Any, ...]] = value if isinstance(value, (list, tuple)) else [value]
        for one in values:
            if one is not None:
                text = str(one).lower() if isinstance(one, bool) else str(one)
                pairs.append(f"{quote(key, safe='')}={quote(text, safe='')}")
    return f"{url}{'&' if '?' in url else '?'}{'&'.join(pairs)}" if pairs else url


def encode(content: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _patience(asked: Sequence[str]) -> Patience:
    return Patience.DIVISIBLE if len(asked) > 1 else Patience.USUAL


def _entities(body: Mapping[str, Any]) -> List[Dict[str, Any]]:
    entities = body.get("entities") or []
    # One report says that the list may come as a map.
    return _objects(list(entities.values()) if isinstance(entities, dict) else entities, "entity/bulk")


def _objects(value: Any, call: str) -> List[Dict[str, Any]]:
    """A list of objects, as it should be in an answer. Another program's answer would cost runs as if they were bad."""
    objects = value or []
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise error(Answer(200, "not-json", f"an answer of another shape: {str(value)[:80]}", call=call))
    return objects


def _network_code(failure: Exception) -> str:
    """A code for a failure without an answer, for `answers.RULES`."""
    if isinstance(failure, _Endless):
        return failure.code
    text = str(failure)
    is_certificate = isinstance(failure, requests.exceptions.SSLError) and "certificate" in text.lower()
    if is_certificate or "CA certificate bundle" in text:
        return "tls"
    if isinstance(failure, ValueError):  # requests: a URL, proxy or header that can't be one
        return "settings"
    if isinstance(failure, requests.exceptions.ProxyError) and "407" in text:
        return "proxy-auth"
    if isinstance(failure, requests.Timeout):
        return "time-out"
    return "name" if "resolve" in text or "getaddrinfo" in text else "network"

