"""The stand-in itself: it has to behave as the reference says, or the tests on it say nothing."""
from __future__ import annotations

import pathlib
from typing import Callable

import pytest

from tests.databricks.standin import notebook
from tests.databricks.standin.cluster import Cluster

SOURCE = """# Databricks notebook source
# MAGIC %md
# MAGIC # Title

# COMMAND ----------

# DBTITLE 1,Numbers
x = 1

# COMMAND ----------

# MAGIC %sql
# MAGIC select 1 as one

# COMMAND ----------

# MAGIC %pip install a.whl
"""


def test_a_notebook_s_cells() -> None:
    assert notebook.parse(SOURCE) == [("md", "# Title"), ("python", "x = 1"), ("sql", "select 1 as one"),
                                      ("pip", "install a.whl")]
    with pytest.raises(ValueError, match="begins with"):
        notebook.parse("x = 1")


@pytest.mark.spark
def test_repls_share_the_driver_and_nothing_else(cluster: Callable[..., Cluster], tmp_path: pathlib.Path) -> None:
    with cluster() as one:
        first, second = one.attach("/a"), one.attach("/b")
        assert first.session != second.session
        first.cell("spark.range(3).createOrReplaceTempView('mine'); print(sc.applicationId)")
        second.cell("print(sc.applicationId); print(spark.catalog.tableExists('mine'))")
        assert first.output.read_text() == f"{one.application}\n"
        assert second.output.read_text() == f"{one.application}\nFalse\n"
        second.cell("select count(*) as n from range(7)", "sql")
        assert "|  7|" in second.output.read_text()
        first.cell("print(sc.getLocalProperty('spark.databricks.notebook.path'))")
        assert first.output.read_text().endswith("/a\n")
        first.cell("print(dbutils.notebook.entry_point.getDbutils().notebook().getContext().toJson())")
        assert '"notebook_path": "/a"' in first.output.read_text()
        assert first.cell("1 / 0")["error"].startswith("ZeroDivisionError")
        first.cell("dbutils.library.restartPython()")
        assert first.cell("x")["error"].startswith("NameError")
        first.kill()
        assert second.cell("print(spark.range(4).count())")["error"] == ""


@pytest.mark.spark
def test_the_shell_before_11(cluster: Callable[..., Cluster]) -> None:
    with cluster(shell="plain", after_init_hook=False, dbruntime=False) as one:
        repl = one.attach()
        assert repl.cell("import sys; print('IPython' in sys.modules, spark.range(2).count())")["error"] == ""
        assert repl.output.read_text() == "False 2\n"


@pytest.mark.spark
def test_a_notebook_runs_another(cluster: Callable[..., Cluster], tmp_path: pathlib.Path) -> None:
    (tmp_path / "child.py").write_text("# Databricks notebook source\nn = int(dbutils.widgets.get('n'))\n"
                                       "# COMMAND ----------\ndbutils.notebook.exit(str(n + 1))\n"
                                       "# COMMAND ----------\n1 / 0\n")
    (tmp_path / "main.py").write_text("# Databricks notebook source\n"
                                      "print(dbutils.notebook.run('./child', 60, {'n': '4'}))\n")
    with cluster() as one:
        repl = one.attach("/Shared/main")
        assert repl.run_notebook(tmp_path / "main.py")[-1]["error"] == ""
        assert repl.output.read_text() == "5\n"
