"""Stand-ins for classes of Delta and Databricks, compiled by the Scala compiler that pyspark itself carries.

The sources under tests/doubles have the documented class names and members; what differs between Spark versions is
filled in by probing which classes this Spark has.
"""
from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Dict, Tuple

from tests.case_harness.java import JVM_OPTIONS, find_java

SOURCES = Path(__file__).parent.parent / "doubles"
COMPILE_SECONDS = 600


def compiled() -> Path:
    """The folder of class files for the installed pyspark; compiled once for each state of the sources."""
    import pyspark

    jars = Path(pyspark.__file__).parent / "jars"
    folders = [SOURCES] if _has_mount_table(jars) else [SOURCES, SOURCES / "hadoop"]
    sources = [source for folder in folders for source in sorted(folder.glob("*.scala"))]
    names = _names(jars)
    contents = {one.name: _filled(one.read_text(encoding="utf-8"), names) for one in sources}
    digest = hashlib.sha256(f"{pyspark.__version__}\n{jars}\n{contents}".encode()).hexdigest()[:16]
    target = Path(tempfile.gettempdir()) / f"adb_lineage-doubles-{digest}"
    if target.is_dir():
        return target
    work = Path(tempfile.mkdtemp(prefix="doubles-"))
    (work / "classes").mkdir()
    arguments = ["-usejavacp", "-nowarn", "-d", str(work / "classes")]
    for name, content in contents.items():
        (work / name).write_text(content, encoding="utf-8")
        arguments.append(str(work / name))
    find_java()
    java = _java()
    done = subprocess.run([java, *JVM_OPTIONS, "-cp", f"{jars}/*", "scala.tools.nsc.Main", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=COMPILE_SECONDS)
    if done.returncode or not any((work / "classes").iterdir()):
        raise RuntimeError(f"the doubles do not compile:\n{done.stdout.decode(errors='replace')[-6000:]}")
    shutil.copytree(SOURCES / "META-INF", work / "classes" / "META-INF")
    try:
        (work / "classes").rename(target)
    except OSError:  # another process was faster
        assert target.is_dir()
    return target


def mount_table() -> Tuple[str, Dict[str, str]]:
    """The class of a mount table under any scheme, and the Spark configuration that it needs.

    Older Hadoops have none: there it is compiled with the doubles.
    """
    import pyspark

    if _has_mount_table(Path(pyspark.__file__).parent / "jars"):
        return "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme", {}
    return "org.apache.hadoop.fs.viewfs.MountedFiles", {
        "spark.driver.extraClassPath": str(compiled())}


def _has_mount_table(jars: Path) -> bool:
    for jar in jars.glob("hadoop-c*.jar"):
        with zipfile.ZipFile(jar) as content:
            if "org/apache/hadoop/fs/viewfs/ViewFileSystemOverloadScheme.class" in content.namelist():
                return True
    return False


def _filled(text: str, names: Dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"@{name}@", value)
    return text


def _java() -> str:
    import os

    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _names(jars: Path) -> Dict[str, str]:
    """What the sources write as `@NAME@`."""
    classes = set()
    for jar in [*jars.glob("spark-sql_*.jar"), *jars.glob("spark-catalyst_*.jar")]:
        with zipfile.ZipFile(jar) as content:
            classes.update(content.namelist())
    command = "org/apache/spark/sql/execution/command/LeafRunnableCommand.class" in classes
    classic = "org/apache/spark/sql/classic/SparkSession.class" in classes
    v1_write = "org/apache/spark/sql/connector/write/V1Write.class" in classes
    return {
        "V1_BUILDER": "WriteBuilder" if v1_write else "V1WriteBuilder",
        "V1_BUILD": "build(): V1Write = () =>" if v1_write else "buildForV1Write(): InsertableRelation =",
        "LEAF_COMMAND": "org.apache.spark.sql.execution.command." + (
            "LeafRunnableCommand" if command else "RunnableCommand"),
        "SESSION": f"org.apache.spark.sql.{'classic.' if classic else ''}SparkSession",
        "DATASET": f"org.apache.spark.sql.{'classic.' if classic else ''}Dataset",
    }
