"""A small Atlas in memory, until the local catalog is merged."""
from __future__ import annotations

import json, threading, time, uuid
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import unquote

from fault_server import Reply, Request

BASE = {"entityDefs": [
    {"name": "Referenceable", "superTypes": [], "attributeDefs": [{"name": "qualifiedName", "typeName": "string", "isOptional": False, "isUnique": True}]},
    {"name": "Asset", "superTypes": ["Referenceable"], "attributeDefs": [{"name": "name", "typeName": "string", "isOptional": False}, {"name": "description", "typeName": "string", "isOptional": True}, {"name": "displayName", "typeName": "string", "isOptional": True}]},
    {"name": "DataSet", "superTypes": ["Asset"], "attributeDefs": []},
    {"name": "Process", "superTypes": ["Asset"], "attributeDefs": []},
    {"name": "azure_datalake_gen2_path", "superTypes": ["DataSet"], "attributeDefs": [{"name": "isFile", "typeName": "boolean", "isOptional": True}, {"name": "size", "typeName": "long", "isOptional": True}]},
    {"name": "azure_datalake_gen2_resource_set", "superTypes": ["DataSet"], "attributeDefs": []},
    {"name": "azure_sql_table", "superTypes": ["DataSet"], "attributeDefs": [{"name": "objectType", "typeName": "string", "isOptional": True}]},
    {"name": "azure_sql_column", "superTypes": ["DataSet"], "attributeDefs": [{"name": "data_type", "typeName": "string", "isOptional": False}]},
    {"name": "needs_more", "superTypes": ["DataSet"], "attributeDefs": [{"name": "more", "typeName": "string", "isOptional": False}]},
], "relationshipDefs": [
    {"name": "dataset_process_inputs", "endDef1": {"type": "Process", "name": "inputs", "cardinality": "SET"}, "endDef2": {"type": "DataSet", "name": "inputToProcesses", "cardinality": "SET"}},
    {"name": "process_dataset_outputs", "endDef1": {"type": "Process", "name": "outputs", "cardinality": "SET"}, "endDef2": {"type": "DataSet", "name": "outputFromProcesses", "cardinality": "SET"}},
    {"name": "azure_sql_table_columns", "endDef1": {"type": "azure_sql_table", "name": "columns", "cardinality": "SET"}, "endDef2": {"type": "azure_sql_column", "name": "table", "cardinality": "SINGLE"}},
]}


class Bad(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class MiniAtlas:
    def __init__(self, user: str = "us") -> None:
        self.types: Dict[str, List[Dict[str, Any]]] = json.loads(json.dumps(BASE))
        self.entities: Dict[str, Dict[str, Any]] = {}
        self.edges: Dict[Tuple[str, str, str], str] = {}
        self.user = user
        self.reject_types: Dict[str, Tuple[int, str]] = {}
        self.lock = threading.Lock()

    # -- types
    def entity_def(self, name: str) -> Optional[Dict[str, Any]]:
        return next((d for d in self.types["entityDefs"] if d["name"] == name), None)

    def lineage(self, name: str) -> List[str]:
        out, wait = [], [name]
        while wait:
            n = wait.pop(0)
            d = self.entity_def(n)
            if d and n not in out:
                out.append(n)
                wait.extend(d.get("superTypes") or [])
        return out

    def end(self, type_name: str, attribute: str) -> Optional[Tuple[str, str, str, str]]:
        for d in self.types["relationshipDefs"]:
            for near, far in ((d["endDef1"], d["endDef2"]), (d["endDef2"], d["endDef1"])):
                if near["name"] == attribute and near["type"] in self.lineage(type_name):
                    return d["name"], near["cardinality"], far["name"], far["type"]
        return None

    def find(self, type_name: str, qn: str) -> Optional[Dict[str, Any]]:
        for e in self.entities.values():
            if e["status"] == "ACTIVE" and e["attributes"]["qualifiedName"] == qn and type_name in self.lineage(e["typeName"]):
                return e
        return None

    # -- http
    def __call__(self, r: Request) -> Reply:
        with self.lock:
            try:
                path = r.path.split("/v2", 1)[-1]
                return 200, {"x-ms-correlation-request-id": str(uuid.uuid4())}, json.dumps(self.route(r.method, path, r)).encode()
            except Bad as b:
                return b.status, {"x-ms-correlation-request-id": str(uuid.uuid4())}, json.dumps({"requestId": "r", "errorCode": b.code, "errorMessage": str(b)}).encode()

    def route(self, method: str, path: str, r: Request) -> Any:
        q = dict(r.query)
        if path == "/types/typedefs":
            if method == "GET":
                return self.types
            for kind in ("entityDefs", "relationshipDefs"):
                for d in r.json.get(kind) or []:
                    old = next((x for x in self.types[kind] if x["name"] == d["name"]), None)
                    if method == "POST":
                        if old:
                            raise Bad(409, "ATLAS-409-00-001", "exists")
                        options = (d.get("options") or {}).get("schemaAttributes")
                        if options and not isinstance(json.loads(options), list):
                            raise Bad(400, "ATLAS-400-00-01A", "schemaAttributes")
                        self.types[kind].append(d)
                    else:
                        if not old:
                            raise Bad(400, "ATLAS-400-00-029", "unknown")
                        old.update(d)
            return r.json
        if path.startswith("/entity/bulk/uniqueAttribute/type/"):
            t = unquote(path.rsplit("/", 1)[-1])
            if not self.entity_def(t):
                raise Bad(404, "ATLAS-404-00-001", "type")
            names = [v for k, v in r.query if k.startswith("attr_")]
            found = [e for e in (self.find(t, n) for n in names) if e]
            return {"entities": [self.show(e, q.get("ignoreRelationships") != "true") for e in found]} if found else {}
        if path == "/entity/bulk" and method == "POST":
            return self.upsert(r.json["entities"])
        guids = [v for k, v in r.query if k == "guid"] or [path.rsplit("/", 1)[-1]]
        if method == "DELETE":
            gone = []
            for g in guids:
                if g in self.entities and self.entities[g]["status"] == "ACTIVE":
                    gone += self.delete(g)
            return {"mutatedEntities": {"DELETE": [{"guid": g} for g in gone]}}
        if path in ("/entity/bulk", ) or path.startswith("/entity/guid/"):
            for g in guids:
                if g not in self.entities:
                    raise Bad(404, "ATLAS-404-00-005", g)
            return {"entities": [self.show(self.entities[g], q.get("ignoreRelationships") != "true") for g in guids]}
        if path.endswith("/search/query"):
            f = r.json["filter"]
            hits = [e for e in self.entities.values() if e["status"] == "ACTIVE" and (f.get("label") in e["labels"] if "label" in f else True)]
            return {"@search.count": len(hits), "value": [{"id": e["guid"], "qualifiedName": e["attributes"]["qualifiedName"], "entityType": e["typeName"]} for e in hits]}
        raise Bad(404, "RequestUriNotFound", path)

    def delete(self, guid: str) -> List[str]:
        self.entities[guid]["status"] = "DELETED"
        gone = [guid]
        for (rel, one, two) in list(self.edges):
            if guid in (one, two):
                d = next(x for x in self.types["relationshipDefs"] if x["name"] == rel)
                del self.edges[rel, one, two]
                if one == guid and d.get("relationshipCategory") == "COMPOSITION" and self.entities[two]["status"] == "ACTIVE":
                    gone += self.delete(two)
        return gone

    def show(self, e: Dict[str, Any], relations: bool) -> Dict[str, Any]:
        out = {k: v for k, v in e.items()}
        if relations:
            rel: Dict[str, Any] = {}
            for (name, one, two) in self.edges:
                if e["guid"] in (one, two):
                    d = next(x for x in self.types["relationshipDefs"] if x["name"] == name)
                    near, other = (d["endDef1"], two) if e["guid"] == one else (d["endDef2"], one)
                    o = self.entities[other]
                    end = {"guid": other, "typeName": o["typeName"], "entityStatus": o["status"], "relationshipStatus": "ACTIVE", "displayText": o["attributes"]["name"]}
                    if near["cardinality"] == "SET":
                        rel.setdefault(near["name"], []).append(end)
                    else:
                        rel[near["name"]] = end
            out["relationshipAttributes"] = rel
        return out

    def upsert(self, batch: List[Dict[str, Any]]) -> Any:
        before = json.dumps([self.entities, [list(k) for k in self.edges]])
        try:
            return self._upsert(batch)
        except Bad:
            self.entities, edges = json.loads(before)
            self.edges = {tuple(k): "" for k in edges}
            raise

    def _upsert(self, batch: List[Dict[str, Any]]) -> Any:
        assigned: Dict[str, str] = {}
        ops: Dict[str, List[Any]] = {"CREATE": [], "UPDATE": []}
        rows = []
        for e in batch:
            t, a = e["typeName"], dict(e["attributes"])
            if not self.entity_def(t):
                raise Bad(400, "ATLAS-400-00-014", f"Type ENTITY with name {t} does not exist")
            if t in self.reject_types:
                raise Bad(*self.reject_types[t], f"{t} not today")
            if "bad" in str(a.get("name", "")):
                raise Bad(404, "ATLAS-404-00-007", f"{t}: invalid value")
            rel = dict(e.get("relationshipAttributes") or {})
            for k in list(a):
                if self.end(t, k):
                    rel.setdefault(k, a.pop(k))
            known = {x["name"]: x for n in self.lineage(t) for x in self.entity_def(n)["attributeDefs"]}
            for n, d in known.items():
                if not d.get("isOptional", True) and a.get(n) is None:
                    raise Bad(404, "ATLAS-404-00-007", f"{t}.{n}: mandatory attribute value missing")
            a = {k: v for k, v in a.items() if k in known}
            old = self.find(t, a["qualifiedName"])
            if old:
                guid, changed = old["guid"], False
                for k, v in a.items():
                    if old["attributes"].get(k) != v:
                        old["attributes"][k] = v
                        changed = True
                if e.get("customAttributes") and e["customAttributes"] != old["customAttributes"]:
                    old["customAttributes"], changed = e["customAttributes"], True
                if changed:
                    old["updatedBy"] = self.user
                    ops["UPDATE"].append({"guid": guid})
            else:
                guid = str(uuid.uuid4())
                self.entities[guid] = {"guid": guid, "typeName": t, "attributes": a, "status": "ACTIVE", "labels": e.get("labels") or [], "customAttributes": e.get("customAttributes") or {}, "createdBy": self.user, "updatedBy": self.user, "createTime": int(time.time() * 1000), "updateTime": int(time.time() * 1000)}
                ops["CREATE"].append({"guid": guid})
            assigned[e["guid"]] = guid
            rows.append((guid, t, rel))
        for guid, t, rel in rows:
            for k, v in rel.items():
                info = self.end(t, k)
                if not info or v is None:
                    continue
                name, card, far, far_type = info
                d = next(x for x in self.types["relationshipDefs"] if x["name"] == name)
                near_first = d["endDef1"]["name"] == k
                wanted = set()
                for ref in v if isinstance(v, list) else [v]:
                    if "guid" in ref:
                        other = assigned.get(ref["guid"], ref["guid"])
                    else:
                        o = self.find(ref["typeName"], ref["uniqueAttributes"]["qualifiedName"])
                        other = o["guid"] if o else ""
                    if other not in self.entities:
                        raise Bad(404, "ATLAS-404-00-00A", f"Referenced entity {ref} is not found")
                    if far_type not in self.lineage(self.entities[other]["typeName"]):
                        raise Bad(400, "ATLAS-400-00-045", "wrong end")
                    wanted.add((name, guid, other) if near_first else (name, other, guid))
                mine = {x for x in self.edges if x[0] == name and x[1 if near_first else 2] == guid}
                for x in mine - wanted:
                    del self.edges[x]
                for x in wanted - mine:
                    self.edges[x] = ""
                if mine != wanted and not any(h["guid"] == guid for h in ops["CREATE"] + ops["UPDATE"]):
                    ops["UPDATE"].append({"guid": guid})
        return {"guidAssignments": assigned, "mutatedEntities": {k: v for k, v in ops.items() if v}}
