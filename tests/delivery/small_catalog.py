"""A catalog of a page: entities by type and qualified name, over real HTTP, that fails on order.

It stands for Purview in the tests of the delivery alone; the tests with the real client are in `test_whole_way.py`.
"""
from __future__ import annotations

import http.client
import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, Dict, List

from adb_lineage.assets import AssetName
from adb_lineage.errors import FixNeeded, GiveUp, RetryLater


class SmallServer:
    """`faults` are used up by the next write requests, one each: a status, "drop" (no answer), "half" (done, but the
    answer gets lost), or "slow". `known` are assets that a scan has brought. `calls` counts requests by path."""

    def __init__(self) -> None:
        self.entities: Dict[str, Dict[str, Any]] = {}
        self.writes: List[List[str]] = []
        self.known: Dict[str, str] = {}
        self.faults: deque = deque()
        self.always: Any = None
        self.calls: Dict[str, int] = {}
        self.seconds = 0.0
        self.retry_after = 7
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.answer(self, body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        self.calls[handler.path] = self.calls.get(handler.path, 0) + 1
        fault = self.always
        if handler.path == "/write" and fault is None and self.faults:
            fault = self.faults.popleft()
        time.sleep(self.seconds)
        if fault == "slow":
            time.sleep(0.5)
        if fault == "drop":
            handler.close_connection = True
            return
        if isinstance(fault, int):
            self._send(handler, fault, {"error": fault})
            return
        result = getattr(self, "on_" + handler.path.strip("/"))(body)
        if fault == "half":
            handler.close_connection = True
            return
        self._send(handler, 200, result)

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        handler.send_response(status)
        if status in (429, 503):
            handler.send_header("Retry-After", str(self.retry_after))
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def on_resolve(self, names: Any) -> Any:
        ours = {name for name, entity in self.entities.items() if entity["typeName"] == "databricks_process"}
        return {name: self.known.get(name, name) for name in names if name in self.known or name in ours}

    def on_write(self, entities: Any) -> Any:
        if any(entity["attributes"].get("unbearable") for entity in entities):
            raise ConnectionAbortedError  # the server falls over: no answer
        refused = [entity["attributes"]["qualifiedName"] for entity in entities if entity["attributes"].get("bad")]
        accepted = {entity["attributes"]["qualifiedName"]: entity for entity in entities
                    if entity["attributes"]["qualifiedName"] not in refused}
        self.entities.update(accepted)
        self.writes.append(sorted(accepted))
        return refused


class SmallCatalog:
    """The client side: `delivery.Catalog`."""

    def __init__(self, port: int) -> None:
        self._port = port

    def _post(self, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("POST", path, json.dumps(body))
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RetryLater(f"no answer: {error!r}") from error
        finally:
            connection.close()
        if response.status in (401, 403):
            raise FixNeeded(f"{response.status}: the role Data Curator is missing")
        if response.status == 400:
            raise GiveUp("400: the whole call is refused")
        if response.status != 200:
            wish = response.headers.get("Retry-After")
            raise RetryLater(f"{response.status} from the catalog", float(wish) if wish else None)
        return json.loads(text)

    def resolve(self, assets: Any) -> Any:
        found = self._post("/resolve", [asset.name.qualified_name for asset in assets])
        return {asset.name: AssetName("scanned", found[asset.name.qualified_name]) for asset in assets
                if asset.name.qualified_name in found}

    def write(self, entities: Any, missing: Any) -> Any:
        stand_ins = [{"typeName": "stand_in", "attributes": {"qualifiedName": asset.name.qualified_name}}
                     for asset in missing]
        refused = self._post("/write", stand_ins + list(entities))
        names = {entity["attributes"]["qualifiedName"]: AssetName(entity["typeName"],
                                                                  entity["attributes"]["qualifiedName"])
                 for entity in entities}
        return SimpleNamespace(
            refused=[(names[name], 404, "ATLAS-404-00-007", "missing mandatory attribute", "id-1")
                     for name in refused],
            placeholders={asset.name: AssetName("stand_in", asset.name.qualified_name) for asset in missing},
            left_out={}, requests=1)

    def plan_write(self, entities: Any, missing: Any) -> Any:
        names = [AssetName(entity["typeName"], entity["attributes"]["qualifiedName"]) for entity in entities]
        return SimpleNamespace(new=names, placeholders=[asset.name for asset in missing], changed={}, unchanged=[],
                               left_out={}, invalid={}, links=[])

    def link(self, links: Any) -> None:
        assert not links, "the translation of a page has none"

    def plan_links(self, links: Any) -> Any:
        return []

    def close(self) -> None:
        pass
