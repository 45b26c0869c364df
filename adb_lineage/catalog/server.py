"""Running the catalog as a server on 127.0.0.1, in a thread of its own."""
from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Optional, Union

import uvicorn

from adb_lineage.catalog.app import create_app
from adb_lineage.catalog.catalog import Catalog
from adb_lineage.catalog.profile import PURVIEW, Profile

HOST = "127.0.0.1"
START_SECONDS = 30.0


class CatalogServer:
    """A catalog and the server in front of it.

    Connections are accepted at `url` as soon as the object exists, and answered once it runs.
    Raises `OSError` for a port that is taken, `sqlite3.Error` for a file that is no catalog.
    """

    def __init__(
        self,
        path: Optional[Union[str, Path]] = None,
        port: int = 0,
        *,
        profile: Profile = PURVIEW,
        require_authorization: bool = False,
    ) -> None:
        # Without the protocol's number asyncio leaves Nagle's algorithm on: 40 ms more for every small answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
            self._socket.listen(128)  # who reads the URL may connect before the server runs
            self.catalog = Catalog(path, profile=profile)
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        config = uvicorn.Config(
            create_app(self.catalog, require_authorization=require_authorization),
            log_config=None, access_log=False, lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread: Optional[threading.Thread] = None

    def run(self) -> None:
        """Serve until a signal ends it (Ctrl-C, SIGTERM), then close. From the main thread only."""
        with self.start():
            self.wait()

    def start(self) -> CatalogServer:
        """Serve in a thread of its own; returns when requests are answered. Raises `TimeoutError` otherwise."""
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="catalog", daemon=True)
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                self.close()
                raise TimeoutError(f"the catalog on {self.url} did not start")
            time.sleep(0.01)
        return self

    def wait(self) -> None:
        """After `start`, wait for a signal (Ctrl-C, SIGTERM). From the main thread only."""
        asked = threading.Event()
        former = {number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self._thread is not None and self._thread.is_alive() and not asked.wait(1.0):
                pass
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def close(self) -> None:
        """Stop serving and close the database; safe to call twice."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=START_SECONDS)
        self._release()

    def __enter__(self) -> CatalogServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()
        self.catalog.close()


def serve_in_thread(
    db_path: Optional[Union[str, Path]] = None,
    port: int = 0,
    *,
    profile: Profile = PURVIEW,
    require_authorization: bool = False,
) -> CatalogServer:
    """A running catalog with `.url`, `.port`, `.catalog` and `.close()`; port 0 takes a free one.

    Without a path the database is a temporary file.
    """
    return CatalogServer(
        db_path, port, profile=profile, require_authorization=require_authorization).start()
