"""A local catalog that speaks the Atlas v2 REST API the way Microsoft Purview does, over one SQLite file.

    catalog.py      the engine: every operation as a method of `Catalog`, one transaction each
    store.py        the database         rows.py          its rows and queries      session.py  one request's context
    typesystem.py   resolved types       typedefs.py      reading, changing them    types/      the built-in ones
    values.py       attribute values     entities.py      create-or-update          links.py    relationship attributes
    mutation.py     the only writer      relationships.py relationships on their own
    reading.py      entities rendered    lineage.py       the graph                 search.py   search/query
    errors.py       codes and messages   profile.py       Purview or Atlas
    app.py          the HTTP adapter (extra `catalog`)    server.py  a server on 127.0.0.1    web/  the page

It imports nothing of the rest of the package: only HTTP leads here. What it follows is written down in Atlas' own
documentation and in what is publicly known of Purview's answers; where Purview has not been measured, `profile.py`
says so.
"""
from adb_lineage.catalog.catalog import Catalog
from adb_lineage.catalog.errors import CatalogError
from adb_lineage.catalog.profile import ATLAS, PURVIEW, Profile

__all__ = ["ATLAS", "PURVIEW", "Catalog", "CatalogError", "Profile"]
