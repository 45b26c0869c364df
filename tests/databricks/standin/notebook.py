"""Notebooks in Databricks' source format: `# COMMAND ----------` between cells, `# MAGIC` before foreign lines."""
from __future__ import annotations

import pathlib
import re
from typing import List, NamedTuple

HEADER = "# Databricks notebook source"
SEPARATOR = re.compile(r"^# COMMAND -+\s*$", re.M)


class Cell(NamedTuple):
    """`language`: `python`, `sql`, `md`, `sh`, `pip` or `run`; for the last two `source` holds the arguments."""

    language: str
    source: str


def parse(text: str) -> List[Cell]:
    """The cells of a notebook; refuses a file that Databricks would import as a plain file."""
    if not text.startswith(HEADER):
        raise ValueError(f"a notebook begins with {HEADER!r}")
    return [cell for part in SEPARATOR.split(text[len(HEADER):]) for cell in _cells(part.strip("\n"))]


def load(path: pathlib.Path) -> List[Cell]:
    """The cells of a file."""
    return parse(path.read_text(encoding="utf-8"))


def _cells(part: str) -> List[Cell]:
    lines = [line for line in part.splitlines() if not line.startswith("# DBTITLE")]
    if not any(line.strip() for line in lines):
        return []
    first = next(line for line in lines if line.strip())
    if not first.startswith("# MAGIC"):
        return [Cell("python", "\n".join(lines))]
    body = [re.sub(r"^# MAGIC ?", "", line) for line in lines if line.strip()]
    word, _, rest = body[0].partition(" ")
    language = word.lstrip("%")
    if language not in ("sql", "md", "sh", "pip", "run", "python"):
        raise ValueError(f"the stand-in has no %{language} cells")
    return [Cell(language, "\n".join([rest, *body[1:]]).strip())]
