"""The wire: connections, time-outs, TLS, proxies, and what pyapacheatlas gets to see."""
from __future__ import annotations

import gzip
import json
import socket
import threading
import tracemalloc
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import certificates
import pytest
from fault_server import Fault, FaultServer, Reply, Request, atlas, status
from purview_world import FakeClock
from pyapacheatlas.core import AtlasException

from adb_lineage.errors import FixNeeded, GiveUp, RetryLater
from adb_lineage.purview.auth import FixedHeader
from adb_lineage.purview.client import Http, PooledAtlasClient, with_query
from adb_lineage.purview.options import PurviewOptions
from adb_lineage.purview.retry import Governor


def echo(request: Request) -> Reply:
    body = {"method": request.method, "target": request.target, "query": request.query,
            "headers": {k.lower(): v for k, v in request.headers.items()}, "body": request.json}
    return 200, {"x-ms-correlation-request-id": "c-7"}, json.dumps(body).encode()


@pytest.fixture
def front() -> Iterator[FaultServer]:
    with FaultServer(echo) as server:
        yield server


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Callable[..., PooledAtlasClient]]:
    made: List[PooledAtlasClient] = []

    def build(url: str, header: Any = None, **changes: Any) -> PooledAtlasClient:
        options = PurviewOptions(**{"endpoint": url, "rate": 1e9, "read_timeout": 5.0, "tries": 3, **changes})
        tokens = FixedHeader("none", header)
        made.append(PooledAtlasClient(options, Http(options, tokens, Governor(options, clock), clock)))
        return made[-1]

    yield build
    for client in made:
        client.http.close()


def test_one_connection_serves_many_calls(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    client = make(front.url)
    for _ in range(20):
        client.get_all_typedefs()
    assert front.connections == 1 and client.http.requests == 20


def test_a_connection_that_died_in_the_pool_is_replaced(
    front: FaultServer, make: Callable[..., PooledAtlasClient]
) -> None:
    client = make(front.url)
    client.get_all_typedefs()
    front.fail(Fault("drop"))
    assert client.get_all_typedefs()["method"] == "GET"
    assert front.connections == 2


def test_headers(front: FaultServer, make: Callable[..., PooledAtlasClient], tmp_path: Path,
                 monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other")
    monkeypatch.setenv("NETRC", str(netrc))
    client = make(front.url, "Bearer mine")
    seen = [client.http.send("POST", f"{front.url}/x", content={}).body["headers"] for _ in range(2)]
    assert seen[0]["authorization"] == "Bearer mine"
    assert seen[0]["user-agent"].startswith("adb_lineage/") and "gzip" in seen[0]["accept-encoding"]
    assert seen[0]["x-ms-client-request-id"] != seen[1]["x-ms-client-request-id"]
    assert client.http.last_request_id == "c-7"


@pytest.mark.parametrize("content", [{}, [], 0, False, "", None, {"ключ": "значение\u2028"}])
def test_json_that_is_false_is_sent_too(
    front: FaultServer, make: Callable[..., PooledAtlasClient], content: Any
) -> None:
    body = make(front.url)._post_http(f"{front.url}/x", json=content).body
    assert body["body"] == content
    assert ("content-type" in body["headers"]) == (content is not None)


def test_queries_are_encoded_whole(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    name = "a b&c=d#e?f%25+ü/Я$'\"{N}|\\"
    client = make(front.url)
    answer = client._get_http(f"{front.url}/x", {"attr_0:qualifiedName": name, "b": True, "n": None, "g": ["1", "2"]})
    assert answer.body["query"] == [["attr_0:qualifiedName", name], ["b", "true"], ["g", "1"], ["g", "2"]]
    assert with_query("http://h/x?a=1", {"b": 2}) == "http://h/x?a=1&b=2"
    assert with_query("http://h/x", {}) == "http://h/x"


def test_the_inherited_vocabulary_goes_over_our_connection(
    front: FaultServer, make: Callable[..., PooledAtlasClient]
) -> None:
    client = make(front.url)
    assert client.get_entity(guid=["a", "b"])["query"][:2] == [["guid", "a"], ["guid", "b"]]
    assert client.delete_entity(guid="a")["method"] == "DELETE"
    assert client.upload_entities([{"guid": "-1", "typeName": "t", "attributes": {}}])["method"] == "POST"
    assert client.get_typedef(name="t")["target"].endswith("/types/typedef/name/t")
    assert client.upload_relationship({"typeName": "r"})["body"] == {"typeName": "r"}
    assert client.get_entity_lineage("g")["method"] == "GET"
    assert front.connections == 1


def test_no_atlas_exception_escapes(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    client = make(front.url)
    for code in (400, 401, 403, 404, 409, 500, 503):
        front.fail(atlas(code, f"ATLAS-{code}-00-001", times=3))
        try:
            client.get_entity(guid="x")
        except Exception as failure:
            assert not isinstance(failure, AtlasException)
        front.faults.clear()
        client.http.governor.breaker.passed()
    assert not issubclass(AtlasException, Exception)  # the trap that this test is about


def test_an_empty_answer_is_none(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    front.fail(status(204))
    assert make(front.url)._delete_http(f"{front.url}/x").body is None


def test_a_compressed_answer_is_read(make: Callable[..., PooledAtlasClient]) -> None:
    with FaultServer(lambda r: (200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"a": 1}'))) as server:
        assert make(server.url).get_all_typedefs() == {"a": 1}


def test_an_answer_that_unpacks_to_more_than_memory_may_hold_is_not_read(
    make: Callable[..., PooledAtlasClient]
) -> None:
    bomb = gzip.compress(b" " * (64 << 20))
    with FaultServer(lambda r: (200, {"Content-Encoding": "gzip"}, bomb)) as server:
        tracemalloc.start()
        with pytest.raises(RetryLater, match="an answer of more than 1000000 bytes"):
            make(server.url, answer_bytes=1_000_000).get_all_typedefs()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 << 20


class Ticking(FakeClock):
    """A second goes by with each look at the clock."""

    def monotonic(self) -> float:
        self.pass_by(1.0)
        return super().monotonic()


@pytest.mark.parametrize("limits, message", [
    ({"answer_bytes": 100_000}, "an answer of more than 100000 bytes"),
    ({"answer_seconds": 30.0}, "time-out an answer that has not ended after 30 s"),
])
def test_an_answer_that_never_ends_is_left(
    front: FaultServer, limits: Dict[str, Any], message: str
) -> None:
    clock = Ticking()
    options = PurviewOptions(front.url, rate=1e9, tries=2, **limits)
    client = PooledAtlasClient(options, Http(options, FixedHeader("none", None), Governor(options, clock), clock))
    front.fail(Fault("endless", times=2))
    with pytest.raises(RetryLater, match=message):
        client.get_all_typedefs()
    client.http.close()


@pytest.mark.parametrize("code", [200, 500])
def test_an_answer_too_deep_for_a_parser_is_no_answer(
    front: FaultServer, make: Callable[..., PooledAtlasClient], code: int
) -> None:
    front.fail(status(code, b"[" * 100_000))
    assert make(front.url).get_all_typedefs()["method"] == "GET"


@pytest.mark.parametrize("kind", ["drop", "reset", "half", "lost"])
def test_broken_connections_are_retried(
    front: FaultServer, make: Callable[..., PooledAtlasClient], kind: str
) -> None:
    front.fail(Fault(kind, times=2))
    assert make(front.url).get_all_typedefs()["method"] == "GET"
    assert len(front.requests()) == 3


def test_html_with_200_is_not_an_answer(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    front.fail(status(200, b"<html><title>Sign in</title></html>", times=3, Content_Type="text/html"))
    with pytest.raises(RetryLater, match="HTML where JSON belongs: Sign in"):
        make(front.url).get_all_typedefs()


def test_a_redirect_is_not_followed(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    front.fail(status(302, Location="http://127.0.0.1:1/steal"))
    with pytest.raises(FixNeeded, match="302"):
        make(front.url, "Bearer x").get_all_typedefs()


def test_a_read_that_takes_too_long(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    front.fail(Fault("delay", times=3, seconds=1.0))
    with pytest.raises(RetryLater, match="time-out"):
        make(front.url, read_timeout=0.1).get_all_typedefs()


def test_writes_have_a_time_out_of_their_own(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    front.fail(Fault("delay", seconds=0.5))
    make(front.url, read_timeout=0.1, write_timeout=10.0).upsert([])
    assert len(front.requests()) == 1


def test_a_token_that_is_no_header_is_not_shown(
    front: FaultServer, make: Callable[..., PooledAtlasClient]
) -> None:
    with pytest.raises(FixNeeded) as raised:
        make(front.url, "Bearer broken\ntoken").get_all_typedefs()
    assert "broken" not in str(raised.value) and "line break" in str(raised.value)


def test_nobody_listens(make: Callable[..., PooledAtlasClient]) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{one.getsockname()[1]}"
        with pytest.raises(RetryLater, match="not available"):
            make(url).get_all_typedefs()


def test_a_name_without_an_address_is_said_so(make: Callable[..., PooledAtlasClient]) -> None:
    with pytest.raises(RetryLater) as raised:
        make("https://no-such-account.purview.invalid", proxy="").get_all_typedefs()
    assert "no-such-account.purview.invalid" in str(raised.value)


class TestTls:
    @pytest.fixture
    def files(self, tmp_path: Path) -> certificates.Certificates:
        return certificates.make(tmp_path)

    @pytest.fixture
    def secure(self, files: certificates.Certificates) -> Iterator[FaultServer]:
        with FaultServer(echo, files.context()) as server:
            yield server

    def test_an_unknown_authority_is_refused(
        self, secure: FaultServer, make: Callable[..., PooledAtlasClient]
    ) -> None:
        with pytest.raises(FixNeeded, match="ca_bundle"):
            make(secure.url, "Bearer secret-token").get_all_typedefs()
        assert secure.requests() == []

    def test_an_authority_of_ones_own(
        self, secure: FaultServer, files: certificates.Certificates, make: Callable[..., PooledAtlasClient],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")  # requests would let it win
        assert make(secure.url, ca_bundle=str(files.authority)).get_all_typedefs()["method"] == "GET"

    def test_an_authority_file_that_is_not_there(
        self, secure: FaultServer, make: Callable[..., PooledAtlasClient]
    ) -> None:
        with pytest.raises(FixNeeded, match="/no/such/file"):
            make(secure.url, ca_bundle="/no/such/file").get_all_typedefs()


class Proxy:
    """A forward proxy that notes what it is asked for; it may want a password."""

    def __init__(self, wants: str = "") -> None:
        self.seen: List[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._wants = wants
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    return
                head += more
            self.seen.append(head.split(b"\r\n")[0].decode())
            if self._wants and self._wants.encode() not in head:
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = self.seen[-1].split(" ")[1].split(":")
            with socket.create_connection((host, int(port))) as upstream:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(upstream, connection), daemon=True)
                back.start()
                _pump(connection, upstream)
                back.join(5)

    def close(self) -> None:
        self._listener.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class TestProxy:
    @pytest.fixture
    def files(self, tmp_path: Path) -> certificates.Certificates:
        return certificates.make(tmp_path)

    def test_it_is_used_and_its_password_is_not_shown(
        self, files: certificates.Certificates, make: Callable[..., PooledAtlasClient]
    ) -> None:
        proxy = Proxy(wants="Basic dXNlcjpoYXNoYmFuZw==")  # user:hashbang
        with FaultServer(echo, files.context()) as secure:
            url = secure.url.replace("127.0.0.1", "localhost")
            good = make(url, ca_bundle=str(files.authority), proxy=f"http://user:hashbang@127.0.0.1:{proxy.port}")
            assert good.get_all_typedefs()["method"] == "GET"
            assert [line.rsplit(" ", 1)[0] for line in proxy.seen] == [f"CONNECT localhost:{secure.port}"]
            bad = make(url, ca_bundle=str(files.authority), proxy=f"http://user:wrongpass@127.0.0.1:{proxy.port}")
            with pytest.raises(FixNeeded, match="proxy") as raised:
                bad.get_all_typedefs()
        assert "wrongpass" not in str(raised.value) + repr(bad._options)
        proxy.close()

    def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
        self, front: FaultServer, make: Callable[..., PooledAtlasClient], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        assert make(front.url).get_all_typedefs()["method"] == "GET"


class TestByGuid:
    def test_missing_guids_are_left_out(self, make: Callable[..., PooledAtlasClient]) -> None:
        there = {str(n): {"guid": str(n), "status": "DELETED" if n == 4 else "ACTIVE"} for n in range(400)}

        def backend(request: Request) -> Reply:
            guids = [value for key, value in request.query if key == "guid"]
            if any(guid not in there for guid in guids):
                return 404, {}, b'{"errorCode": "ATLAS-404-00-005", "errorMessage": "no"}'
            return 200, {}, json.dumps({"entities": [there[guid] for guid in guids]}).encode()

        with FaultServer(backend) as server:
            client = make(server.url)
            assert len(client.by_guid(there)) == 399
            assert all(len(request.target) < 8_000 for request in server.requests())
            server.clear()
            found = client.by_guid([*map(str, range(100)), "gone", "1"])
            assert len(found) == 99 and len(server.requests()) < 20
            assert client.by_guid(["gone"]) == [] and client.by_guid([]) == []

    def test_another_404_is_an_error(self, front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
        front.fail(status(404, {"errorCode": "RequestUriNotFound"}))
        with pytest.raises(FixNeeded):
            make(front.url).by_guid(["1"])

    def test_entities_may_come_as_a_map(self, make: Callable[..., PooledAtlasClient]) -> None:
        with FaultServer(lambda r: (200, {}, b'{"entities": {"1": {"guid": "1"}}}')) as server:
            assert make(server.url).by_guid(["1"]) == [{"guid": "1"}]


@pytest.mark.parametrize("code", [400, 402, 406, 410, 421, 451])
def test_the_types_can_t_be_refused_for_what_we_want_to_write(
    front: FaultServer, make: Callable[..., PooledAtlasClient], code: int
) -> None:
    front.fail(status(code, b"<html>Blocked by policy</html>"))
    with pytest.raises(FixNeeded, match=f"{code} HTML where JSON belongs: Blocked by policy.*correct the endpoint"):
        make(front.url).typedefs()


@pytest.mark.parametrize("entities", ["x", [None], [["a"]], 7])
def test_a_list_of_something_else_is_no_answer(
    front: FaultServer, make: Callable[..., PooledAtlasClient], entities: Any
) -> None:
    front.fail(status(200, {"entities": entities, "entityDefs": entities}, times=2))
    with pytest.raises(RetryLater, match="another shape"):
        make(front.url).lookup("hive_table", ["q"])
    with pytest.raises(RetryLater, match="another shape"):
        make(front.url).typedefs()


def test_delete_goes_in_calls_that_fit_the_url(front: FaultServer, make: Callable[..., PooledAtlasClient]) -> None:
    make(front.url).delete_guids([f"{n:036}" for n in range(400)])
    assert len(front.requests()) == 3 and all(len(r.target) < 8_000 for r in front.requests())
    assert all(r.method == "DELETE" for r in front.requests())


class TestSearch:
    def test_pages_of_purview(self, make: Callable[..., PooledAtlasClient]) -> None:
        def backend(request: Request) -> Reply:
            start = int(request.json.get("continuationToken") or 0)
            hits = [{"id": f"g{n}"} for n in range(start, min(start + 1000, 2500))]
            more = {"continuationToken": str(start + 1000)} if start + 1000 < 2500 else {}
            return 200, {}, json.dumps({"value": hits, **more}).encode()

        with FaultServer(backend) as server:
            assert len(list(make(server.url).search_guids("t"))) == 2500
            assert server.requests()[0].path == "/datamap/api/search/query"

    def test_pages_of_atlas(self, make: Callable[..., PooledAtlasClient]) -> None:
        def backend(request: Request) -> Reply:
            start = request.json["offset"]
            hits = [{"guid": f"g{n}"} for n in range(start, min(start + 1000, 2000))]
            return 200, {}, json.dumps({"entities": hits} if hits else {}).encode()

        with FaultServer(backend) as server:
            assert len(list(make(server.url, flavour="atlas").search_guids("t"))) == 2000
            assert server.requests()[0].path == "/api/atlas/v2/search/basic"


def test_collection_and_version_go_to_purview_only(
    front: FaultServer, make: Callable[..., PooledAtlasClient]
) -> None:
    make(front.url, collection="abcdef").upsert([])
    make(front.url, flavour="atlas", collection="abcdef").upsert([])
    purview, plain = front.requests()
    assert dict(purview.query) == {"api-version": "2023-09-01", "collectionId": "abcdef"}
    assert purview.path == "/datamap/api/atlas/v2/entity/bulk"
    assert plain.query == [] and plain.path == "/api/atlas/v2/entity/bulk"


def test_a_refusal_carries_everything_that_helps(
    front: FaultServer, make: Callable[..., PooledAtlasClient]
) -> None:
    front.fail(atlas(400, "ATLAS-400-00-01A", "no way", x_ms_correlation_request_id="c-9"))
    with pytest.raises(GiveUp) as raised:
        make(front.url).upsert([])
    for part in ("POST /datamap/api/atlas/v2/entity/bulk", "400", "ATLAS-400-00-01A", "no way", "c-9"):
        assert part in str(raised.value)
