# Databricks notebook source
# MAGIC %md
# MAGIC # See your lineage in two minutes
# MAGIC
# MAGIC Run this on a cluster with **dedicated** (single user) access mode. Nothing leaves the cluster: the lineage goes to a
# MAGIC catalog inside this notebook's Python, which goes away with it. Only this notebook's own queries are captured.
# MAGIC
# MAGIC The wheel may also come from a volume: `%pip install /Volumes/main/tools/adb_lineage-0.1.0-py3-none-any.whl[catalog]`

# COMMAND ----------

# MAGIC %pip install adb_lineage[catalog]

# COMMAND ----------

dbutils.library.restartPython()

# COMMAND ----------

# MAGIC %md
# MAGIC ## Turn it on
# MAGIC The catalog speaks Purview's language, so what you see is what Purview would get.

# COMMAND ----------

import adb_lineage
from adb_lineage.catalog.server import CatalogServer

adb_lineage.disable()  # where the cluster has lineage on already: this notebook is to show its own
catalog = CatalogServer().start()
lineage = adb_lineage.enable(spark, settings={"endpoint": catalog.url, "auth": "none", "session_only": True})
lineage.status()

# COMMAND ----------

# MAGIC %md
# MAGIC ## A small lakehouse
# MAGIC Ordinary Spark, which knows nothing of lineage. Replace it with your own.

# COMMAND ----------

import tempfile

folder = tempfile.mkdtemp(prefix="adb_lineage_trial_")
spark.createDataFrame(
    [(1, "Ann", "DE"), (2, "Bob", "FR"), (3, "Cem", "DE")], "id long, name string, country string"
).write.mode("overwrite").parquet(f"file:{folder}/raw/customers")
spark.createDataFrame(
    [(1, 10.0), (1, 5.5), (2, 7.0), (3, 1.25)], "customer_id long, amount double"
).write.mode("overwrite").parquet(f"file:{folder}/raw/orders")

# COMMAND ----------

orders = spark.read.parquet(f"file:{folder}/raw/orders")
customers = spark.read.parquet(f"file:{folder}/raw/customers")
joined = orders.join(customers, orders.customer_id == customers.id)
joined.selectExpr("id", "upper(name) as name", "country", "amount").write.mode("overwrite").parquet(
    f"file:{folder}/clean/orders")

# COMMAND ----------

spark.read.parquet(f"file:{folder}/clean/orders").groupBy("country").sum("amount").withColumnRenamed(
    "sum(amount)", "revenue").write.mode("overwrite").parquet(f"file:{folder}/report/revenue")

# COMMAND ----------

# MAGIC %md
# MAGIC ## The lineage

# COMMAND ----------

lineage.flush(60)
lineage.graph()

# COMMAND ----------

print(lineage.graph())

# COMMAND ----------

# MAGIC %md
# MAGIC ## To Purview
# MAGIC One setting: put `ADB_LINEAGE_ACCOUNT=<your Purview account>` into the cluster's environment variables, install the
# MAGIC wheel as a cluster library, and every notebook and job of the cluster is covered, without a line of code.
# MAGIC Identity and rights: the administrator's notebook beside this one, and `docs/install.md`.

# COMMAND ----------

adb_lineage.disable()
catalog.close()
