"""The capture room: Spark's finished queries become OpenLineage events. It knows nothing of Purview."""
