"""The HTTP face of the catalog: routes, parameters and JSON, nothing else; `Catalog` does the work.

The Atlas API is mounted under every prefix that Purview and Atlas clients use. A request whose Host (or Origin) is not
this machine is refused: the catalog has no login, and a page elsewhere must not reach it through the user's browser.
"""
from __future__ import annotations

import json
import re
import time
import uuid
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, List, Mapping, MutableMapping, NamedTuple, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from adb_lineage.catalog.catalog import Catalog
from adb_lineage.catalog.errors import INVALID_PARAMETERS, CatalogError
from adb_lineage.catalog.lineage import BOTH, DEFAULT_DEPTH
from adb_lineage.catalog.requestlog import RequestLog

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ATLAS_PREFIXES = ("/api/atlas/v2", "/catalog/api/atlas/v2", "/datamap/api/atlas/v2")
SERVICE_PREFIXES = ("/catalog/api", "/datamap/api")
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY = 64 << 20
"""Bytes of a request body; more is answered 413."""

WEB = Path(__file__).parent / "web"
"""The files of the page."""
_CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_ATTRIBUTE = re.compile(r"attr(?:_(\d+))?:(.+)\Z")


class Call(NamedTuple):
    """One request, decoded."""

    catalog: Catalog
    path: Mapping[str, Any]
    query: Sequence[Tuple[str, str]]
    body: Any
    service: str
    """`catalog` or `datamap`: through which of Purview's APIs it came."""

    def text(self, name: str) -> Optional[str]:
        """The last value of a query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), None)

    def texts(self, name: str) -> List[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def flag(self, name: str) -> bool:
        """A boolean query parameter, in any case; absent means false."""
        return (self.text(name) or "").lower() == "true"

    def number(self, name: str, default: int) -> int:
        """An integer query parameter; 400 -01A for anything else."""
        value = self.text(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except ValueError:
            raise CatalogError(INVALID_PARAMETERS, f"{name} {value!r} is no number") from None

    def unique(self) -> Dict[str, str]:
        """`attr:name=value` parameters."""
        found = self.uniques()
        return found[0] if found else {}

    def uniques(self) -> List[Dict[str, str]]:
        """`attr_N:name=value` parameters, one dict for each N in order of appearance."""
        groups: Dict[str, Dict[str, str]] = {}
        for key, value in self.query:
            match = _ATTRIBUTE.match(key)
            if match:
                groups.setdefault(match.group(1) or "", {})[match.group(2)] = value
        return list(groups.values())

    def reading(self) -> Dict[str, bool]:
        """The two parameters that all entity reads share."""
        return {
            "min_ext_info": self.flag("minExtInfo"), "ignore_relationships": self.flag("ignoreRelationships"),
        }

    def graph(self) -> Dict[str, Any]:
        """The parameters that both lineage reads share."""
        return {
            "direction": (self.text("direction") or BOTH).upper(),
            "depth": self.number("depth", DEFAULT_DEPTH),
            "width": self.number("width", 0) if self.text("width") else None,
            "include_parent": self.flag("includeParent"),
        }

    def field(self, name: str) -> Any:
        """A key of the body, which must be an object."""
        if not isinstance(self.body, dict):
            raise CatalogError(INVALID_PARAMETERS, "the body must be a JSON object")
        return self.body.get(name)


Handler = Callable[[Call], Any]
"""Gives the JSON of a 200, or None for a 204."""

_TYPE_CATEGORIES = {
    "entitydef": "ENTITY", "classificationdef": "CLASSIFICATION", "relationshipdef": "RELATIONSHIP",
    "enumdef": "ENUM", "structdef": "STRUCT", "businessmetadatadef": "BUSINESS_METADATA", "typedef": None,
}


def _typedef(call: Call) -> Any:
    category = _TYPE_CATEGORIES[call.path["kind"]]
    return call.catalog.typedef(category, **{call.path["key"]: call.path["value"]})


def _delete_typedefs(call: Call) -> None:
    if not isinstance(call.body, dict):
        raise CatalogError(INVALID_PARAMETERS, "the body must be an AtlasTypesDef object")
    definitions = [one for value in call.body.values() if isinstance(value, list) for one in value]
    call.catalog.delete_typedefs([str(one.get("name")) for one in definitions if isinstance(one, dict)])


def _post_entity(call: Call) -> Any:
    entity = call.field("entity")
    return call.catalog.create_or_update(
        [entity] if entity is not None else [], call.field("referredEntities"), collection=call.text("collectionId"))


def _post_bulk(call: Call) -> Any:
    return call.catalog.create_or_update(
        call.field("entities"), call.field("referredEntities"), collection=call.text("collectionId"))


def _put_attribute(call: Call) -> Any:
    return call.catalog.update_attribute(call.path["guid"], call.text("name") or "", call.body)


ATLAS_ROUTES: Sequence[Tuple[str, str, Handler]] = (
    ("GET", "/types/typedefs", lambda call: call.catalog.typedefs(call.text("type"))),
    ("POST", "/types/typedefs", lambda call: call.catalog.create_typedefs(call.body)),
    ("PUT", "/types/typedefs", lambda call: call.catalog.update_typedefs(call.body)),
    ("DELETE", "/types/typedefs", _delete_typedefs),
    ("GET", "/types/typedefs/headers", lambda call: call.catalog.typedef_headers(call.text("type"))),
    ("DELETE", "/types/typedef/name/{name}", lambda call: call.catalog.delete_typedefs([call.path["name"]])),
    ("GET", "/types/{kind}/{key}/{value}", _typedef),
    ("GET", "/types/statistics", lambda call: call.catalog.statistics()),
    ("POST", "/entity", _post_entity),
    ("POST", "/entity/bulk", _post_bulk),
    ("GET", "/entity/bulk", lambda call: call.catalog.entities(call.texts("guid"), **call.reading())),
    ("DELETE", "/entity/bulk", lambda call: call.catalog.delete(call.texts("guid"))),
    ("GET", "/entity/guid/{guid}", lambda call: call.catalog.entity(call.path["guid"], **call.reading())),
    ("PUT", "/entity/guid/{guid}", _put_attribute),
    ("DELETE", "/entity/guid/{guid}", lambda call: call.catalog.delete([call.path["guid"]])),
    ("GET", "/entity/guid/{guid}/header", lambda call: call.catalog.entity_header(call.path["guid"])),
    ("GET", "/entity/uniqueAttribute/type/{type}",
     lambda call: call.catalog.entity_by_unique(call.path["type"], call.unique(), **call.reading())),
    ("PUT", "/entity/uniqueAttribute/type/{type}",
     lambda call: call.catalog.update_by_unique(call.path["type"], call.unique(), call.field("entity"))),
    ("DELETE", "/entity/uniqueAttribute/type/{type}",
     lambda call: call.catalog.delete_by_unique(call.path["type"], call.unique())),
    ("GET", "/entity/bulk/uniqueAttribute/type/{type}",
     lambda call: call.catalog.entities_by_unique(call.path["type"], call.uniques(), **call.reading())),
    ("POST", "/relationship", lambda call: call.catalog.create_relationship(call.body)),
    ("PUT", "/relationship", lambda call: call.catalog.update_relationship(call.body)),
    ("GET", "/relationship/guid/{guid}",
     lambda call: call.catalog.relationship(call.path["guid"], extended=call.flag("extendedInfo"))),
    ("DELETE", "/relationship/guid/{guid}", lambda call: call.catalog.delete_relationship(call.path["guid"])),
    ("GET", "/lineage/{guid}", lambda call: call.catalog.lineage(call.path["guid"], **call.graph())),
    ("GET", "/lineage/uniqueAttribute/type/{type}",
     lambda call: call.catalog.lineage_by_unique(call.path["type"], call.unique(), **call.graph())),
)


def _lineage_next(call: Call) -> Any:
    return call.catalog.lineage_next(
        call.path["guid"], direction=(call.text("direction") or BOTH).upper(), offset=call.number("offset", 0),
        limit=call.number("limit", -1))


SERVICE_ROUTES: Sequence[Tuple[str, str, Handler]] = (
    ("POST", "/search/query", lambda call: call.catalog.search(call.body, offset_allowed=call.service == "catalog")),
    ("GET", "/lineage/{guid}/next", _lineage_next),
    ("GET", "/atlas/v2/lineage/{guid}/next", _lineage_next),
)
PAGE_ROUTES: Sequence[Tuple[str, str, Handler]] = (
    ("GET", "/web/overview", lambda call: call.catalog.overview()),
    ("GET", "/web/search", lambda call: call.catalog.search(
        {
            "keywords": call.text("q"), "limit": call.number("limit", 50), "offset": call.number("offset", 0),
            "filter": {"entityType": call.text("type")} if call.text("type") else None,
            "facets": [{"facet": "entityType"}], "orderby": None if call.text("q") else [{"updateTime": "desc"}],
        }, hidden=not call.flag("indexed"))),
)


def create_app(catalog: Catalog, *, require_authorization: bool = False) -> Application:
    """The ASGI application of a catalog.

    With `require_authorization`, API requests without an Authorization header are answered 401, so that a client
    that forgets its token is found out; the token itself is never checked.
    """
    log = RequestLog()
    services: List[BaseRoute] = []
    for prefix in SERVICE_PREFIXES:
        services.extend(_routes(catalog, SERVICE_ROUTES, prefix, prefix.split("/")[1]))
    for prefix in ATLAS_PREFIXES:
        services.extend(_routes(catalog, ATLAS_ROUTES, prefix, prefix.split("/")[1]))
    routes = [
        *services,
        *_routes(catalog, PAGE_ROUTES, "", ""),
        Route("/debug/requests", _requests(log), methods=["GET", "DELETE"]),
        Route("/", _file("index.html")),
        Mount("/web", routes=[Route(f"/{path.name}", _file(path.name)) for path in sorted(WEB.iterdir())]),
    ]
    starlette = Starlette(routes=routes, exception_handlers={HTTPException: _no_route, Exception: _fault})
    return Gate(starlette, log, require_authorization)


def _routes(
    catalog: Catalog, table: Sequence[Tuple[str, str, Handler]], prefix: str, service: str
) -> List[BaseRoute]:
    return [
        Route(prefix + path, _endpoint(catalog, handler, prefix + path, service), methods=[method])
        for method, path, handler in table
    ]


def _endpoint(
    catalog: Catalog, handler: Handler, template: str, service: str
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope["catalog.route"] = template
        body = await _body(request)
        try:
            return await run_in_threadpool(_answer, catalog, handler, request, body, service)
        except CatalogError as error:
            return _error(catalog, error, request)
        except (UnicodeEncodeError, RecursionError) as error:  # lone surrogates, absurd nesting
            return _error(catalog, CatalogError(INVALID_PARAMETERS, f"the body can not be stored: {error}"), request)

    return endpoint


def _answer(catalog: Catalog, handler: Handler, request: Request, body: bytes, service: str) -> Response:
    if request.path_params.get("kind", "typedef") not in _TYPE_CATEGORIES or (
            request.path_params.get("key", "name") not in ("name", "guid")):
        raise CatalogError("RequestUriNotFound", request.url.path)
    call = Call(catalog, request.path_params, request.query_params.multi_items(), _parse(body), service)
    answer = handler(call)
    if answer is None:
        return Response(status_code=204)
    return Response(json.dumps(answer, separators=(",", ":")), media_type="application/json")


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_BODY:
                raise HTTPException(413, f"the body is over {MAX_BODY} bytes")
            parts.append(part)
    except ClientDisconnect:  # a client that was killed is no error of ours
        raise HTTPException(400, "the client went away before its request was complete") from None
    return b"".join(parts)


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CatalogError(INVALID_PARAMETERS, f"the body is not JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _error(catalog: Catalog, error: CatalogError, request: Request) -> Response:
    body = {"errorCode": error.code, "errorMessage": error.message}
    if catalog.profile.request_id_in_errors:
        body = {"requestId": request.scope["catalog.request_id"], **body}
    return Response(json.dumps(body), status_code=error.status, media_type="application/json")


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "RequestUriNotFound", 405: "MethodNotAllowed", 413: "RequestTooLarge"}.get(status, "Error")
    body = {
        "requestId": request.scope["catalog.request_id"], "errorCode": code,
        "errorMessage": f"{request.method} {request.url.path}: {getattr(error, 'detail', error)}",
    }
    return Response(json.dumps(body), status_code=status, media_type="application/json")


async def _fault(request: Request, error: Exception) -> Response:
    """A fault of ours: the server logs the trace after this answer."""
    refusal = CatalogError("ATLAS-500-00-001", f"{type(error).__name__}: {error}")
    body = {
        "requestId": request.scope["catalog.request_id"], "errorCode": refusal.code, "errorMessage": refusal.message,
    }
    return Response(json.dumps(body), status_code=refusal.status, media_type="application/json")


def _requests(log: RequestLog) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if request.method == "DELETE":
            log.clear()
            return Response(status_code=204)
        last = request.query_params.get("last", "100")
        body = log.report(int(last) if last.isdigit() else 100)
        return Response(json.dumps(body), media_type="application/json")

    return endpoint


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    path = WEB / name

    async def endpoint(request: Request) -> Response:
        headers = {
            "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
        }
        return Response(path.read_bytes(), media_type=_CONTENT_TYPES[path.suffix], headers=headers)

    return endpoint


class Gate:
    """What every request passes: the check of Host and Origin, a request id, the log, trailing slashes."""

    def __init__(self, app: Application, log: RequestLog, require_authorization: bool) -> None:
        self._app = app
        self._log = log
        self._require_authorization = require_authorization

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = str(uuid.uuid4())
        scope["catalog.request_id"] = request_id
        path: str = scope["path"]
        if len(path) > 1 and path.endswith("/"):  # some Atlas clients always send one
            scope["path"] = path.rstrip("/") or "/"
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()), (b"x-ms-correlation-request-id", request_id.encode()),
                ]
            await send(message)

        refused = self._refused(scope)
        try:
            if refused is None:
                await self._app(scope, receive, send_with_id)
            else:
                body = {"requestId": request_id, "errorCode": refused.code, "errorMessage": refused.message}
                response = Response(json.dumps(body), status_code=refused.status, media_type="application/json")
                await response(scope, receive, send_with_id)
        finally:
            if not path.startswith(("/debug", "/web")) and path != "/":
                milliseconds = (time.perf_counter() - started) * 1000
                self._log.add(scope["method"], scope.get("catalog.route", path), path, status, milliseconds)

    def _refused(self, scope: Scope) -> Optional[CatalogError]:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in LOCAL_HOSTS:
            return CatalogError("Forbidden", f"Host {host!r} is not this machine: ask for 127.0.0.1 or localhost")
        origin = headers.get("origin")
        if origin is not None and _hostname(origin) not in LOCAL_HOSTS:
            return CatalogError("Forbidden", f"Origin {origin!r} is not this machine")
        if self._require_authorization and "/api/" in scope["path"] and "authorization" not in headers:
            return CatalogError("Unauthorized", "the request has no Authorization header")
        return None


def _hostname(url: str) -> Optional[str]:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
