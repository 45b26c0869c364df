"""The driver JVM's owner: starts Spark and opens one more Py4J server for each REPL that asks.

`python driver.py CONF.json`; then one JSON line a request on stdin, one JSON line an answer on stdout.
"""
from __future__ import annotations

import json
import sys
from typing import Any, Dict


def main() -> None:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    with open(sys.argv[1]) as stream:
        context = SparkContext(conf=SparkConf().setAll(json.load(stream).items()))
    context.setLogLevel("ERROR")
    session = SparkSession(context)
    servers = []
    print(json.dumps({"applicationId": context.applicationId}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer: Dict[str, Any] = {}
        if request["do"] == "gateway":
            server = context._jvm.org.apache.spark.api.python.Py4JServer(context._jsc.sc().conf())
            server.start()
            servers.append(server)
            answer = {"port": server.getListeningPort(), "secret": server.secret()}
        elif request["do"] == "sql":  # as a JDBC session or a Scala job would: no Python process belongs to it
            session._jsparkSession.newSession().sql(request["text"]).collectAsList()
        elif request["do"] == "listeners":
            answer = {"classes": [one.getClass().getName() for one in context._jsc.sc().listenerBus().listeners()]}
        print(json.dumps(answer), flush=True)
    context.stop()


if __name__ == "__main__":
    main()
