"""A stand-in for a workspace's REST API: the Jobs API 2.1 and 2.2 and the OAuth token, over real HTTP.

The shapes are those of reference/databricks.md 7. `answers` maps a run id to its document; a document may be a list of
pages. `script` holds answers to give first: (status, headers, body).
"""
from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from typing import Any, Dict, List, Tuple


class Workspace:
    """Serves on 127.0.0.1 while used as a context manager; `calls` are (version, run id, page token, bearer)."""

    def __init__(self, versions: Tuple[str, ...] = ("2.2", "2.1")) -> None:
        self.versions = versions
        self.answers: Dict[str, Any] = {}
        self.script: List[Tuple[int, Dict[str, str], Any]] = []
        self.calls: List[Tuple[str, str, str, str]] = []
        self.tokens_given = 0

    def __enter__(self) -> Workspace:
        workspace = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def _send(self, status: int, headers: Dict[str, str], body: Any) -> None:
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                workspace.tokens_given += 1
                self._send(200, {}, {"access_token": f"oauth-{workspace.tokens_given}", "expires_in": 3600})

            def do_GET(self) -> None:
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                version = url.path.split("/")[2]
                bearer = (self.headers.get("Authorization") or "").replace("Bearer ", "")
                workspace.calls.append((version, query.get("run_id", ""), query.get("page_token", ""), bearer))
                if version not in workspace.versions:
                    return self._send(404, {}, {"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"})
                if workspace.script:
                    return self._send(*workspace.script.pop(0))
                document = workspace.answers.get(query.get("run_id", ""))
                if document is None:
                    return self._send(400, {}, {"error_code": "INVALID_PARAMETER_VALUE",
                                                "message": "Run does not exist"})
                if isinstance(document, list):
                    page = int(query.get("page_token", "0"))
                    more = {"next_page_token": str(page + 1)} if page + 1 < len(document) else {}
                    return self._send(200, {}, {**document[page], **more})
                return self._send(200, {}, document)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"
