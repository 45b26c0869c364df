"""`adb-lineage demo`: a small lakehouse on local Spark, and its lineage in the local catalog.

    lakehouse.py   the Spark program; it knows only pyspark
    landing.py     the raw files that other systems delivered, before Spark starts
    workspace.py   the work folder and the Spark settings that put the lake's Azure URIs on the local disk
    java.py        a Java runtime for machines without one
    runner.py      the Spark process: switches lineage on from outside and runs the lakehouse
    readback.py    reads processes and columns back from the catalog over HTTP
    report.py      the tree and the JSON that the command prints
    demo.py        the whole demo, step by step
"""
