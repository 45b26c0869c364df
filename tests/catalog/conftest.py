"""A real catalog server for every test that asks for one, and a thin HTTP client for it."""
from __future__ import annotations

import pytest
import requests

from adb_lineage.catalog import ATLAS
from adb_lineage.catalog.server import serve_in_thread


class Api:
    """Calls the catalog over HTTP; every call tells the expected status."""

    def __init__(self, url):
        self.url = url
        self.session = requests.Session()

    def call(self, method, path, status=200, *, json=None, prefix="/datamap/api/atlas/v2", **kwargs):
        answer = self.session.request(method, self.url + prefix + path, json=json, timeout=30, **kwargs)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None

    def get(self, path, status=200, **kwargs):
        return self.call("GET", path, status, **kwargs)

    def refuse(self, method, path, status, code, **kwargs):
        """Expect an error; gives its message."""
        answer = self.call(method, path, status, **kwargs)
        assert answer["errorCode"] == code, answer
        assert answer["requestId"]
        return answer["errorMessage"]

    def upsert(self, *entities, status=200, **kwargs):
        return self.call("POST", "/entity/bulk", status, json={"entities": list(entities)}, **kwargs)

    def refuse_entities(self, status, code, *entities):
        return self.refuse("POST", "/entity/bulk", status, code, json={"entities": list(entities)})

    def read(self, type_name, qualified_name, status=200, **params):
        params["attr:qualifiedName"] = qualified_name
        answer = self.get(f"/entity/uniqueAttribute/type/{type_name}", status, params=params)
        return answer["entity"] if status == 200 else answer

    def guid(self, type_name, qualified_name):
        return self.read(type_name, qualified_name)["guid"]

    def search(self, body, status=200, service="/datamap/api"):
        return self.call("POST", "/search/query", status, json=body, prefix=service)


def entity(type_name, qualified_name, guid=None, related=None, **attributes):
    """An entity as a client sends it."""
    body = {
        "typeName": type_name,
        "attributes": {"qualifiedName": qualified_name, "name": qualified_name.rsplit("/", 1)[-1], **attributes},
    }
    if guid is not None:
        body["guid"] = guid
    if related:
        body["relationshipAttributes"] = related
    return body


def ref(type_name, qualified_name):
    """A reference by type and unique attribute."""
    return {"typeName": type_name, "uniqueAttributes": {"qualifiedName": qualified_name}}


def names(objects, key="displayText"):
    """What a list of related ids or headers shows, sorted."""
    return sorted(one[key] for one in objects)


@pytest.fixture
def server(tmp_path):
    with serve_in_thread(tmp_path / "catalog.db") as running:
        yield running


@pytest.fixture
def api(server):
    return Api(server.url)


@pytest.fixture
def atlas_api(tmp_path):
    with serve_in_thread(tmp_path / "atlas.db", profile=ATLAS) as running:
        yield Api(running.url)


@pytest.fixture
def make():
    """The builders of entities and references, for test modules that can't import this file."""

    class Make:
        pass

    Make.entity, Make.ref, Make.names = staticmethod(entity), staticmethod(ref), staticmethod(names)
    return Make
