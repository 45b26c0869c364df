"""Random programs on real Spark, and an oracle that knows their column lineage without looking at any plan.

The oracle changes one source column, runs the program again, and watches which output columns change: each of those
must have an edge from the source column, or the rows of all must depend on it.
"""
