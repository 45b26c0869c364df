"""Atlas v2 over HTTP: identity, client, type definitions, finding assets, writing entities."""
from adb_lineage.purview.auth import TokenSource, credential
from adb_lineage.purview.catalog import PurviewCatalog
from adb_lineage.purview.options import PurviewOptions, account_endpoint
from adb_lineage.purview.report import Refusal, WriteReport

__all__ = [
    "PurviewCatalog",
    "PurviewOptions",
    "Refusal",
    "TokenSource",
    "WriteReport",
    "account_endpoint",
    "credential",
]
