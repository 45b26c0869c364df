"""Spark lineage of Azure Databricks, straight into Microsoft Purview."""
from adb_lineage._version import __version__

__all__ = ["__version__"]
