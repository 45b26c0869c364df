"""A world for the catalog client: the local catalog over HTTP, a server in front of it that fails on order, a clock."""
from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from fault_server import FaultServer, Request, is_bulk_write, is_lookup

from adb_lineage.assets import Asset, AssetName, Column
from adb_lineage.catalog import Catalog
from adb_lineage.catalog.server import CatalogServer
from adb_lineage.purview import PurviewCatalog, PurviewOptions, credential
from adb_lineage.translate.names import NameEngine, default_rules, kin_of

WORKSPACE = AssetName("databricks_workspace", "databricks://adb-1.azuredatabricks.net")
NAMING = NameEngine(default_rules()).within()
NOTEBOOK = AssetName("databricks_notebook", f"{WORKSPACE.qualified_name}/notebooks/Users/å/n")


class FakeClock:
    """Time that passes only when somebody sleeps, or when a test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._wall = now
        self._passed = 0.0
        self.sleeps: List[float] = []

    def time(self) -> float:
        with self._lock:
            return self._wall

    def monotonic(self) -> float:
        with self._lock:
            return self._passed

    def sleep(self, seconds: float, wake: Optional[threading.Event] = None) -> None:
        if wake is not None and wake.is_set():
            return
        self.sleeps.append(seconds)
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self._wall += seconds
            self._passed += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        with self._lock:
            self._wall += seconds


class World:
    """One local catalog, a fault server before it, and catalog clients with state files of their own."""

    def __init__(self, folder: Path, server: CatalogServer, front: FaultServer) -> None:
        self.folder = folder
        self.server = server
        self.front = front
        self.clock = FakeClock()
        self._open: List[PurviewCatalog] = []
        self._others: List[Catalog] = []

    def options(self, **changes: Any) -> PurviewOptions:
        return PurviewOptions(**{"endpoint": self.front.url, "rate": 1e6, "read_timeout": 10.0, **changes})

    def client(self, state: Optional[str] = "state.sqlite", clock: Any = None, **changes: Any) -> PurviewCatalog:
        options = self.options(**changes)
        catalog = PurviewCatalog(
            options,
            credential(options, environ={}),
            state_path=self.folder / state if state else None,
            clock=clock or self.clock,
            dice=random.Random(1),
            kin_of=lambda name: kin_of(name, NAMING),
        )
        self._open.append(catalog)
        return catalog

    def by_another_user(self, name: str = "scan") -> Catalog:
        """The same catalog as somebody else uses it."""
        catalog = Catalog(self.server.catalog.path, user=name)
        self._others.append(catalog)
        return catalog

    def scan(self, name: AssetName, **attributes: Any) -> str:
        """What a scan does: bring an asset. Its guid."""
        entity = {
            "typeName": name.type_name,
            "guid": "-1",
            "attributes": {"qualifiedName": name.qualified_name, "name": "scanned", **attributes},
        }
        answer = self.by_another_user().create_or_update([entity])
        return str(answer["guidAssignments"]["-1"])

    def entity(self, name: AssetName) -> Optional[Dict[str, Any]]:
        """An entity with its relationships, read behind the client's back."""
        found = self.server.catalog.entities_by_unique(name.type_name, [{"qualifiedName": name.qualified_name}])
        entities = found.get("entities") or []
        return entities[0] if entities else None

    def edges(self, process: AssetName) -> Dict[str, List[str]]:
        """Qualified names at both sides of a process."""
        entity = self.entity(process)
        assert entity is not None, process
        result = {}
        for side in ("inputs", "outputs"):
            names = []
            for end in entity["relationshipAttributes"].get(side) or []:
                if end["entityStatus"] == "ACTIVE" and end.get("relationshipStatus") == "ACTIVE":
                    other = self.server.catalog.entity(end["guid"])["entity"]
                    names.append(f"{other['typeName']} {other['attributes']['qualifiedName']}")
            result[side] = sorted(names)
        return result

    def writes(self) -> List[Request]:
        return self.front.requests(is_bulk_write)

    def lookups(self) -> List[Request]:
        return self.front.requests(is_lookup)

    def close(self) -> None:
        for catalog in self._open:
            catalog.close()
        for other in self._others:
            other.close()


def ref(name: AssetName) -> Dict[str, Any]:
    return {"typeName": name.type_name, "uniqueAttributes": {"qualifiedName": name.qualified_name}}


def asset(
    name: AssetName, columns: Sequence[str] = (), alternatives: Sequence[AssetName] = (), **more: Any
) -> Asset:
    return Asset(
        name,
        name.qualified_name.rstrip("/").rsplit("/", 1)[-1],
        "test",
        alternatives=tuple(alternatives),
        columns=tuple(Column(column, "string") for column in columns),
        **more,
    )


def process_name(key: str) -> AssetName:
    return AssetName("databricks_process", f"{NOTEBOOK.qualified_name}/processes/{key}")


def process(
    key: str, inputs: Sequence[AssetName], outputs: Sequence[AssetName], **attributes: Any
) -> Dict[str, Any]:
    return {
        "typeName": "databricks_process",
        "attributes": {
            "qualifiedName": process_name(key).qualified_name,
            "name": key,
            "inputs": [ref(name) for name in inputs],
            "outputs": [ref(name) for name in outputs],
            "columnMapping": "[]",
            **attributes,
        },
        "relationshipAttributes": {"task": ref(NOTEBOOK)},
    }


def containers() -> List[Dict[str, Any]]:
    return [
        {"typeName": WORKSPACE.type_name, "attributes": {"qualifiedName": WORKSPACE.qualified_name, "name": "adb-1"}},
        {
            "typeName": NOTEBOOK.type_name,
            "attributes": {"qualifiedName": NOTEBOOK.qualified_name, "name": "n", "user": "u"},
            "relationshipAttributes": {"workspace": ref(WORKSPACE)},
        },
    ]


def folder(path: str, container: str = "c") -> AssetName:
    return AssetName("azure_datalake_gen2_path", f"https://acct.dfs.core.windows.net/{container}/{path}/")


def resource_set(path: str) -> AssetName:
    return AssetName(
        "azure_datalake_gen2_resource_set", f"https://acct.dfs.core.windows.net/c/{path}/{{SparkPartitions}}"
    )


def lake(path: str, columns: Sequence[str] = ()) -> Asset:
    """A folder as the naming rules describe it."""
    bare = AssetName(folder(path).type_name, folder(path).qualified_name.rstrip("/"))
    return asset(folder(path), columns, [resource_set(path), folder(path), bare])


def exotic(table: str, columns: Sequence[str] = ()) -> Asset:
    """A table of a type that the account does not know."""
    return asset(AssetName("exotic_table", f"exotic://host/db/{table}"), columns)


def deliver(
    catalog: PurviewCatalog, key: str, inputs: Sequence[Asset], outputs: Sequence[Asset], **attributes: Any
) -> Any:
    """What the delivery worker does with one run."""
    assets = [*inputs, *outputs]
    chosen: Mapping[AssetName, AssetName] = catalog.resolve(assets)
    names = [[chosen.get(one.name, one.name) for one in side] for side in (inputs, outputs)]
    missing = [one for one in assets if one.name not in chosen]
    return catalog.write([*containers(), process(key, names[0], names[1], **attributes)], missing)
