"""At home on a Databricks cluster: starting by itself, who ran it, the Jobs API, and events of the OpenLineage JAR.

Importing this package imports none of its modules: `autostart` runs at the start of every Python of the cluster.
"""
