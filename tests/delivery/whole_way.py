"""Outbox, translation, Purview client and local catalog as they are, the catalog in a process of its own."""
from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import urllib.request
from typing import Any, Dict, Iterator, List, Tuple

from adb_lineage.settings import Settings
from tests.planted import ENVIRONMENT

PLANTED = dict(zip(("client_secret", "certificate_password", "password"), ENVIRONMENT.values()))

CATALOG = """
import sys
from adb_lineage.catalog.server import CatalogServer
server = CatalogServer(sys.argv[1], int(sys.argv[2]))
print(server.url, flush=True)
server.run()
"""


class CatalogProcess:
    """The local catalog over HTTP; `url` is its address."""

    def __init__(self, path: str, port: int = 0) -> None:
        self.path = path
        self._child = subprocess.Popen([sys.executable, "-c", CATALOG, path, str(port)], stdout=subprocess.PIPE,
                                       text=True)
        self.url = self._child.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), "the catalog did not start"

    def close(self) -> None:
        self._child.terminate()
        self._child.wait()
        self._child.stdout.close()

    def __enter__(self) -> CatalogProcess:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def settings(url: str, folder: str, **more: Any) -> Settings:
    """Settings of a driver whose disk is `folder`, delivering to `url` without a rate limit that a test would feel."""
    values = {"endpoint": url, "auth": "none", "data_dir": folder, "requests_per_second": 1e6, **PLANTED, **more}
    return Settings.load(values, environ={})


def scan(catalog: CatalogProcess, *names: Tuple[str, str]) -> None:
    """What a scan of Purview does: bring assets, told by type and qualified name."""
    entities = [{"typeName": kind, "guid": f"-{number}", "attributes": {"qualifiedName": name, "name": name}}
                for number, (kind, name) in enumerate(names, 1)]
    body = json.dumps({"entities": entities}).encode()
    request = urllib.request.Request(f"{catalog.url}/datamap/api/atlas/v2/entity/bulk", body,
                                     {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


def picture(path: str) -> Dict[str, List[Any]]:
    """All that a catalog holds, without what differs between two equal catalogs (guids, times)."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        names = dict(connection.execute("SELECT id, type || ' ' || coalesce(qualified_name, name, '') FROM entity"))
        guids = {guid: names[key] for key, guid in connection.execute("SELECT id, guid FROM entity")}

        def known(text: str) -> Any:
            for guid, name in guids.items():
                text = text.replace(guid, name)
            return json.loads(text)

        entities = [
            [names[key], status, known(attributes)]
            for key, status, attributes in connection.execute("SELECT id, status, attributes FROM entity")
        ]
        edges = [
            [kind, names[end1], names[end2], status]
            for kind, end1, end2, status in connection.execute("SELECT type, end1, end2, status FROM relationship")
        ]
    connection.close()
    return {"entities": sorted(entities, key=json.dumps), "edges": sorted(edges)}


def events(processes: int, runs: int) -> Iterator[Dict[str, Any]]:
    """Each process runs `runs` times; START and COMPLETE of each run, some out of order, one process without inputs."""
    storage = "abfss://lake@account.dfs.core.windows.net"
    fields = {"schema": {"fields": [{"name": "id", "type": "long"}, {"name": "имя$", "type": "string"}]}}
    for run in range(runs):
        for process in range(processes):
            number = run * processes + process
            output = {"namespace": storage, "name": f"clean/p{process}", "facets": {**fields, "columnLineage": {
                "fields": {"id": {"inputFields": [{"namespace": storage, "name": f"raw/p{process}", "field": "id"}]}}}}}
            base = {
                "producer": "https://example.com/test",
                "run": {"runId": f"0195f000-0000-7000-8000-{number:012d}", "facets": {
                    "environment-properties": {"environment-properties": {
                        "spark.databricks.workspaceUrl": "adb-1.1.azuredatabricks.net",
                        "spark.databricks.notebook.path": f"/Shared/notebook_{process % 3}"}}}},
                "job": {"namespace": "adb-1.1", "name": f"job_{process}", "facets": {}},
                "inputs": [{"namespace": storage, "name": f"raw/p{process}", "facets": fields},
                           {"namespace": storage, "name": "raw/shared", "facets": fields}],
            }
            minute = f"2026-03-01T{10 + number // 60:02}:{number % 60:02}"
            pair = [{**base, "eventType": "START", "eventTime": f"{minute}:00Z", "outputs": []},
                    {**base, "eventType": "COMPLETE", "eventTime": f"{minute}:30Z", "outputs": [output]}]
            yield from reversed(pair) if number % 4 == 3 else pair
