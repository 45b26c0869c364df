"""What the tests of this room share: the wheel, built once, and clusters of the stand-in."""
from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
from typing import Any, Callable, Iterator, List

import pytest

from tests.databricks.standin.cluster import Cluster

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel of this checkout, built from a copy: a build leaves `build/` behind, which would feed the next one."""
    source = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", "build", "dist", "*.egg-info", "tests"))
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder),
                    str(source)], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture()
def cluster(tmp_path: pathlib.Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters; they are not started yet (libraries go in first) and are ended with the test."""
    made: List[Cluster] = []

    def make(**more: Any) -> Cluster:
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, **more))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()
