"""Our Java classes, compiled in the driver JVM by the compiler that Spark ships (Janino)."""
from __future__ import annotations

import hashlib
import pkgutil
from typing import Any

PACKAGE = "adb.lineage"


def package_of(file: str) -> str:
    """The Java package of a source file, named by its content: another version of ours has classes of its own."""
    return f"{PACKAGE}.r{hashlib.sha256(_source(file)).hexdigest()[:12]}"


def compiled_class(context: Any, file: str, name: str) -> Any:
    """The JVM's `java.lang.Class` of that name out of a source file beside this module.

    It is compiled once a JVM and kept there: Py4J remembers methods by class name, so a second class of the same name
    would not answer. Raises what Py4J raises where nothing can be compiled.
    """
    lang = context._jvm.java.lang
    properties = lang.System.getProperties()
    class_name = f"{package_of(file)}.{name}"
    found = properties.get(class_name)
    if found is None:
        compiler = context._jvm.org.codehaus.janino.SimpleCompiler()
        compiler.setParentClassLoader(lang.Thread.currentThread().getContextClassLoader())
        compiler.cook(_source(file).decode().replace(f"package {PACKAGE};", f"package {package_of(file)};"))
        found = compiler.getClassLoader().loadClass(class_name)
        found = properties.putIfAbsent(class_name, found) or found
    return found


def _source(file: str) -> bytes:
    return pkgutil.get_data("adb_lineage.capture", file) or b""
