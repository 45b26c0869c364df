"""An HTTP server that misbehaves on order, in front of a backend that answers properly.

`FaultServer` speaks real HTTP on a real socket. A `Fault` decides, request by request, what goes wrong; without one the
backend answers. Doubles: Purview cannot be asked to fail on demand; the faults are those of the Purview reference,
sections 1.12, 2.14 and 4.2.
"""
from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    method: str
    path: str
    query: List[Tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    target: str

    @property
    def json(self) -> Any:
        return json.loads(self.body.decode("utf-8")) if self.body else None


Reply = Tuple[int, Dict[str, str], bytes]
Backend = Callable[[Request], Reply]


@dataclass
class Fault:
    """What goes wrong. `times`: for how many fitting requests; `fits`: for which."""

    kind: str
    """`drop`: closed without an answer; `lost`: done, then closed; `reset`: RST; `half`: cut in the middle;
    `endless`: an answer that goes on until the client leaves; `delay`: answered after `seconds`;
    `status`: answered with `status`, `headers`, `body`."""
    times: int = 1
    fits: Callable[[Request], bool] = lambda request: True
    status: int = 0
    body: Any = None
    headers: Dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def status(
    code: int, body: Any = None, times: int = 1, fits: Optional[Callable[[Request], bool]] = None, **headers: str
) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault("status", times, fits or (lambda request: True), code, body, named)


def atlas(code: int, atlas_code: str, message: str = "no", **more: Any) -> Fault:
    return status(code, {"errorCode": atlas_code, "errorMessage": message}, **more)


def is_bulk_write(request: Request) -> bool:
    return request.method == "POST" and request.path.endswith("/entity/bulk")


def is_poison(request: Request) -> bool:
    """A bulk write with an entity that has "poison" in its name: the one that a catalog does not take."""
    return is_bulk_write(request) and b"poison" in request.body


def is_lookup(request: Request) -> bool:
    return "/uniqueAttribute/" in request.path


class FaultServer:
    """Use as a context manager; `url` is its base."""

    def __init__(self, backend: Backend, tls: Optional[ssl.SSLContext] = None) -> None:
        self.backend = backend
        self.connections = 0
        self.faults: List[Fault] = []
        self.seen: List[Request] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                query = parse_qsl(parts.query, keep_blank_values=True)
                outer._answer(self, Request(self.command, parts.path, query, dict(self.headers), body, self.path))

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def requests(self, fits: Callable[[Request], bool] = lambda request: True) -> List[Request]:
        with self._lock:
            return [request for request in self.seen if fits(request)]

    def clear(self) -> None:
        with self._lock:
            self.seen.clear()

    def fail(self, *faults: Fault) -> None:
        with self._lock:
            self.faults.extend(faults)

    def _next(self, request: Request) -> Optional[Fault]:
        with self._lock:
            self.seen.append(request)
            for fault in self.faults:
                if fault.fits(request):
                    fault.times -= 1
                    if fault.times <= 0:
                        self.faults.remove(fault)
                    return fault
        return None

    def _answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        fault = self._next(request)
        kind = fault.kind if fault else ""
        if fault and kind == "delay":
            time.sleep(fault.seconds)
        if kind in ("drop", "reset"):
            self._cut(handler, rst=kind == "reset")
            return
        if fault and kind == "status":
            given = fault.body
            body = given if isinstance(given, bytes) else b"" if given is None else json.dumps(given).encode()
            self._write(handler, fault.status, fault.headers, body)
            return
        if kind == "endless":
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            while True:  # until the client closes its end: a ConnectionError
                handler.wfile.write(b"400\r\n" + b" " * 1024 + b"\r\n")
        code, headers, body = self.backend(request)
        if kind == "lost":
            self._cut(handler, rst=False)
        elif kind == "half":
            handler.send_response(code)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            self._cut(handler, rst=False)
        else:
            self._write(handler, code, headers, body)

    @staticmethod
    def _write(handler: BaseHTTPRequestHandler, code: int, headers: Mapping[str, str], body: bytes) -> None:
        handler.send_response(code)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def _cut(handler: BaseHTTPRequestHandler, rst: bool) -> None:
        handler.close_connection = True
        if rst:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            handler.connection.shutdown(socket.SHUT_RDWR)
        handler.connection.close()


def forward(url: str) -> Backend:
    """A backend that is another HTTP server."""

    def backend(request: Request) -> Reply:
        kept = {k: v for k, v in request.headers.items() if k.lower() in ("authorization", "content-type", "accept")}
        outgoing = urllib.request.Request(
            url + request.target, data=request.body or None, headers=kept, method=request.method
        )
        try:
            with urllib.request.urlopen(outgoing, timeout=60) as answer:
                return answer.status, _headers(answer.headers), answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, _headers(answer.headers), answer.read()

    return backend


def _headers(headers: Any) -> Dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower().startswith(("x-", "retry", "content-type"))}
