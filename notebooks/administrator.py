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
from adb_lineage.databricks import autostart, compute

print(compute.recognise(spark).words())
for key, value in autostart.report().items():
    print(f"{key}: {value}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. Settings, and where each comes from
# MAGIC Secrets are masked.

# COMMAND ----------

# MAGIC %sh
# MAGIC python -m adb_lineage settings

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Doctor: network, identity, rights and types of the catalog
# MAGIC Each line that fails says what to change, and where.

# COMMAND ----------

# MAGIC %sh
# MAGIC python -m adb_lineage doctor

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
# MAGIC ## 5. Explain: the newest queries of this driver
# MAGIC Captured or skipped and why, the assets, the process in Purview, delivered or waiting and for what.

# COMMAND ----------

for row in lineage.status()["newest"]:
    print(row["when"], row.get("notebook", ""), row["statement"])
    print("   ", row["capture"], row["reason"], row.get("delivery", ""), row.get("delivery_reason", ""))
    for asset in row.get("assets", []):
        print("   ", asset["typeName"], asset["qualifiedName"], "found" if asset.get("found") else "not scanned yet")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 6. Coverage
# MAGIC What this driver has run, and how much of it has lineage.

# COMMAND ----------

for key, value in lineage.status()["coverage"].items():
    print(f"{key}: {value}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 7. Roll-out
# MAGIC 1. One cluster: wheel as a cluster library, `ADB_LINEAGE_ACCOUNT` in its environment (`docs/install.md`, first way).
# MAGIC 2. A team: the same in a cluster policy, so that nobody can leave it out.
# MAGIC 3. Everybody: `init_scripts/adb_lineage_global.sh` as a global init script. A cluster opts out with
# MAGIC    `ADB_LINEAGE_ENABLED=false`.
# MAGIC
# MAGIC Watch sections 5 and 6 for a day between the steps. Clusters with standard access mode, serverless and SQL
# MAGIC warehouses are not covered: section 1 says so on each, and what to do instead.
