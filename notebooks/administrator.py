# Databricks notebook source
# MAGIC %md
# MAGIC # Lineage for a workspace: the administrator's notebook
# MAGIC
# MAGIC Run it on a cluster that has adb_lineage (cluster library or init script) and `ADB_LINEAGE_ACCOUNT` in its environment.
# MAGIC It changes nothing but what `doctor` installs in Purview: the type definitions that are lacking.

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. Is it on here?
# MAGIC `stage` is `started` on a cluster that is covered (`starting` in its first seconds); `refused` says why it is not.
# MAGIC More than one copy means that a notebook, the cluster's library and an init script each brought one: the first runs.

# COMMAND ----------

import adb_lineage
from adb_lineage.cli import main
from adb_lineage.databricks import autostart, compute

print(compute.recognise(spark).words())
for key, value in autostart.report().items():
    print(f"{key}: {value}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. Settings, and where each comes from
# MAGIC Secrets are masked. In a `%sh` cell each command below is `python -m adb_lineage settings`, `doctor`, `explain`.

# COMMAND ----------

adb_lineage.enable(spark).flush(30)  # until it has read the cluster's Spark conf, if it is still in its first seconds
exit_status = main(["settings"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Doctor: network, identity, rights and types of the catalog
# MAGIC Each line that fails says what to change, and where.

# COMMAND ----------

exit_status = main(["doctor"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. A probe
# MAGIC A query that reads and writes, and what became of it.

# COMMAND ----------

import tempfile

folder = tempfile.mkdtemp(prefix="adb_lineage_probe_")
spark.range(3).write.mode("overwrite").parquet(f"file:{folder}/in")
spark.read.parquet(f"file:{folder}/in").selectExpr("id + 1 as id").write.mode("overwrite").parquet(f"file:{folder}/out")
lineage = adb_lineage.enable(spark)
print("delivered" if lineage.flush(60) else "not delivered yet: see the rows below")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 5. Explain: the newest queries of this driver, and its coverage
# MAGIC Captured or skipped and why, the assets, the process in Purview, delivered or waiting and for what; then how much of
# MAGIC all that this driver has run has lineage.

# COMMAND ----------

exit_status = main(["explain", "--last", "10"])

# COMMAND ----------

# MAGIC %md
# MAGIC ## 6. Roll-out
# MAGIC 1. One cluster: wheel as a cluster library, `ADB_LINEAGE_ACCOUNT` in its environment (`docs/install.md`, first way).
# MAGIC 2. A team: the same in a cluster policy, so that nobody can leave it out.
# MAGIC 3. Everybody: `init_scripts/adb_lineage_global.sh` as a global init script. A cluster opts out with
# MAGIC    `ADB_LINEAGE_ENABLED=false`.
# MAGIC
# MAGIC Watch section 5 for a day between the steps. Clusters with standard access mode, serverless and SQL
# MAGIC warehouses are not covered: section 1 says so on each, and what to do instead.
