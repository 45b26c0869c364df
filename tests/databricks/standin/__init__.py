"""A stand-in for an Azure Databricks cluster, as far as a Python package on it can see one.

Real: Spark, its driver JVM, one Py4J server a REPL (`PYSPARK_GATEWAY_PORT`, `PYSPARK_GATEWAY_SECRET`), several Python
processes attached to the one SparkContext, IPython and its cell events, virtual environments with their `.pth` files,
pip. Played after reference/databricks.md: the launcher and its environment variables (2.1 to 2.3), the folders of
libraries and environments (2.6), `_add_after_init_hook` (2.8), local properties, `clusterUsageTags` and the notebook
context (4), `dbutils`, notebooks in source format. What the reference calls unknown is a switch of `Cluster`.
"""
