"""The demo's work folder: the lake on the local disk, the catalog's database, the outbox, the logs.

    catalog.db   the catalog          data/      what adb_lineage keeps (outbox, record)
    spark.log    what Spark said      spark/     Spark's settings, scratch space and the Derby database
    lake/        a folder for each Azure container

All but the catalog is made anew by each run.
"""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Dict, Optional

from adb_lineage.demo import lakehouse, landing
from adb_lineage.errors import FixNeeded

CONTAINERS = (lakehouse.RAW, lakehouse.LAKE, lakehouse.REPORTS)
_VIEW_FILE_SYSTEM = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
_MADE_HERE = ".made-by-adb-lineage-demo"
_MADE_ANEW = ("lake", "spark", "data")


class Workspace:
    """Paths below one folder."""

    def __init__(self, folder: Optional[Path] = None) -> None:
        """Use `folder`, or a new temporary one. Raises `FixNeeded` if it can't be made or written to."""
        try:
            if folder is None:
                self.folder = Path(tempfile.mkdtemp(prefix="adb-lineage-demo-"))
            else:
                self.folder = folder.expanduser().resolve()
                self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FixNeeded(f"--dir {folder}: {error.strerror}; give a folder that can be written to") from None
        self.database = self.folder / "catalog.db"
        self.data = self.folder / "data"
        self.log = self.folder / "spark.log"
        self.spark = self.folder / "spark"
        self.lake = self.folder / "lake"

    def prepare(self) -> None:
        """Make the lake, Spark's folder and the outbox anew and let the raw files land.

        Only folders that an earlier run made are removed, `FixNeeded` is raised for others of the same name. The
        catalog stays, and so keeps what it knows.
        """
        try:
            for name in _MADE_ANEW:
                path = self.folder / name
                if path.exists():
                    if not (path / _MADE_HERE).exists():
                        raise FixNeeded(f"{path} was not made by this demo: give another --dir, or move it away")
                    shutil.rmtree(path)
                path.mkdir()
                (path / _MADE_HERE).touch()
            for uri in CONTAINERS:
                self.container(uri).mkdir()
            landing.deliver(self.container(lakehouse.RAW))
            conf = self.spark / "conf"
            conf.mkdir()
            lines = (f"{key} {value}\n" for key, value in self.spark_conf().items())
            (conf / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
        except OSError as error:
            raise FixNeeded(f"{self.folder}: {error}; give --dir a folder that can be written to") from None

    def container(self, uri: str) -> Path:
        """The local folder that stands for a container, `scheme://container@host`."""
        return self.lake / uri.split("://")[1].split("@")[0]

    def spark_conf(self) -> Dict[str, str]:
        """Settings that a cluster's owner would make: where the containers are, and how little this machine has.

        Hadoop's `ViewFileSystemOverloadScheme` serves the Azure URIs from the local disk, so that plans and lineage
        have the real names.
        """
        conf = {
            "spark.master": "local[2]",
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "1g",
            # A short job: the quick compiler and a collector without threads start fastest.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.warehouse.dir": f"{lakehouse.LAKE}/warehouse",
            "spark.local.dir": str(self.spark),
        }
        for uri in CONTAINERS:
            scheme, authority = uri.split("://")
            conf[f"spark.hadoop.fs.{scheme}.impl"] = _VIEW_FILE_SYSTEM
            conf[f"spark.hadoop.fs.viewfs.mounttable.{authority}.linkFallback"] = self.container(uri).as_uri()
        return conf
