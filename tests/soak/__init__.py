"""Very many small queries with lineage on: nothing may grow with their number, neither in the JVM nor in Python."""
