"""A reader in a process of its own, as each notebook of a Databricks driver is one: prints the id of what it gets.

Arguments: gateway port, its secret, the relay's key among the JVM's system properties, the reader's name.
"""
from __future__ import annotations

import sys


def main(port: int, secret: str, key: str, name: str) -> None:
    """Poll until the JVM is gone."""
    from py4j.java_gateway import GatewayParameters, JavaGateway

    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=secret, auto_convert=True))
    relay = gateway.jvm.java.lang.System.getProperties().get(key)
    print("ready", flush=True)
    while True:
        item = relay.take(name, None, 200)
        if item is not None:
            print(item.id(), flush=True)
            if item.query().analyzed() is not None:
                relay.done(name, item.id())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4])
