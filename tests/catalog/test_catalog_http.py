"""The HTTP face: prefixes, hosts, bad bodies, request log, the page's files."""
from __future__ import annotations

import http.client
import json

import pytest

from adb_lineage.catalog import app
from adb_lineage.catalog.server import CatalogServer, serve_in_thread

PATH = "azure_datalake_gen2_path"


def raw(server, method, path, body=None, **headers):
    """One request with exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), content


@pytest.mark.parametrize("prefix", app.ATLAS_PREFIXES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_prefix_with_and_without_a_slash(api, make, prefix, slash):
    api.call("POST", "/entity/bulk" + slash, json={"entities": [make.entity(PATH, "x")]}, prefix=prefix)
    url = f"/entity/uniqueAttribute/type/{PATH}{slash}?attr%3AqualifiedName=x&api-version=2023-09-01"
    assert api.get(url, prefix=prefix)["entity"]["displayText"] == "x"


def test_search_is_no_atlas_route_and_atlas_has_no_search(api):
    for service in app.SERVICE_PREFIXES:
        assert api.search({}, service=service)["@search.count"] == 0
    api.refuse("POST", "/search/query", 404, "RequestUriNotFound", json={}, prefix="/api/atlas/v2")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "0.0.0.0"])
def test_a_strange_host_is_refused(server, host):
    status, _, content = raw(server, "GET", "/datamap/api/atlas/v2/types/typedefs/headers", Host=host)
    assert status in (400, 403)
    assert b"guid" not in content


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1", "[::1]:80"])
def test_a_local_host_is_served(server, host):
    assert raw(server, "GET", "/", Host=host)[0] == 200


@pytest.mark.parametrize(("origin", "status"), [
    ("http://evil.example", 403), ("null", 403), ("http://localhost:3000", 200), ("http://127.0.0.1", 200)])
def test_a_strange_origin_is_refused(server, origin, status):
    body = json.dumps({"entities": [{"typeName": PATH, "attributes": {"qualifiedName": "x", "name": "x"}}]}).encode()
    assert raw(server, "POST", "/datamap/api/atlas/v2/entity/bulk", body, Origin=origin)[0] == status
    assert len(server.catalog.search({})["value"]) == (status == 200)


@pytest.mark.parametrize("body", [
    b"{", b'{"entities": [NaN]}', b"\xff\xfe", b'{"entities": ' + b"[" * 100_000, b"[" * 1000 + b"]" * 1000,
    b'{"entities": [{"typeName": "DataSet", "attributes": {"qualifiedName": "\\ud800", "name": "x"}}]}',
    b'{"entities": [{"typeName": "DataSet", "attributes": {"qualifiedName": ' + b"9" * 5000 + b"}}]}",
])
def test_a_bad_body_is_a_400_and_stores_nothing(server, body):
    status, headers, content = raw(server, "POST", "/datamap/api/atlas/v2/entity/bulk", body)
    assert status == 400, content
    assert json.loads(content)["errorCode"] == "ATLAS-400-00-01A"
    assert json.loads(content)["requestId"] == headers["x-ms-correlation-request-id"]
    assert server.catalog.statistics()["entities"] == {}


def test_a_body_that_is_too_large(server, monkeypatch):
    monkeypatch.setattr(app, "MAX_BODY", 1000)
    status, _, content = raw(server, "POST", "/datamap/api/atlas/v2/entity/bulk", b" " * 1001)
    assert (status, json.loads(content)["errorCode"]) == (413, "RequestTooLarge")


def test_unknown_routes_and_methods(api):
    api.refuse("GET", "/nope", 404, "RequestUriNotFound")
    api.refuse("PATCH", "/entity", 405, "MethodNotAllowed")
    api.refuse("GET", "/../../etc/passwd", 404, "RequestUriNotFound", prefix="/web")


def test_a_fault_of_ours_is_a_500_with_its_name(server, api):
    server.catalog.close()
    message = api.refuse("GET", "/types/statistics", 500, "ATLAS-500-00-001")
    assert "ProgrammingError" in message


def test_authorization_may_be_required(tmp_path):
    with serve_in_thread(tmp_path / "c.db", require_authorization=True) as server:
        path = "/datamap/api/atlas/v2/types/typedefs/headers"
        assert raw(server, "GET", path)[0] == 401
        assert raw(server, "GET", path, Authorization="Bearer any")[0] == 200
        assert raw(server, "GET", "/")[0] == 200


def test_requests_are_counted(api, make):
    api.upsert(make.entity(PATH, "x"))
    api.upsert(make.entity(PATH, "x"))
    api.get("/entity/guid/nope/", 404)
    report = api.get("/debug/requests", prefix="")
    assert report["total"] == 3
    atlas = "/datamap/api/atlas/v2"
    assert report["counts"] == [
        {"method": "POST", "route": f"{atlas}/entity/bulk", "status": 200, "count": 2},
        {"method": "GET", "route": f"{atlas}/entity/guid/{{guid}}", "status": 404, "count": 1},
    ]
    assert [one["status"] for one in report["requests"]] == [200, 200, 404]
    assert len(api.get("/debug/requests?last=1", prefix="")["requests"]) == 1
    api.call("DELETE", "/debug/requests", 204, prefix="")
    assert api.get("/debug/requests", prefix="")["total"] == 0


def test_the_page_asks_nobody_else(server):
    status, headers, _ = raw(server, "GET", "/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'")
    names = [path.name for path in app.WEB.iterdir()]
    assert {"index.html", "app.js", "graph.js", "style.css"} <= set(names)
    for name in names:
        status, _, content = raw(server, "GET", f"/web/{name}")
        assert status == 200
        assert b"https://" not in content
        assert b"http://" not in content.replace(b"http://www.w3.org/2000/svg", b"")


def test_a_taken_port_is_an_error_at_once(server, tmp_path):
    with pytest.raises(OSError, match="in use"):
        CatalogServer(tmp_path / "other.db", server.port)


def test_close_twice(tmp_path):
    server = serve_in_thread(tmp_path / "c.db")
    server.close()
    server.close()
    assert not (tmp_path / "c.db-wal").exists()
