"""Arguments that several commands share, and how they are read and answered."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, List, Mapping, Optional

from adb_lineage.errors import SettingsError
from adb_lineage.settings import Settings
from adb_lineage.translate.databricks import full_host
from adb_lineage.translate.names import RuleSet, default_rules, load_rules


def add_naming_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of all commands that name datasets."""
    parser.add_argument("--mounts", metavar="FILE", help='[{"mountPoint": "/mnt/x", "source": "abfss://…"}, …]')
    parser.add_argument("--rules", metavar="FILE",
                        help="rule file, ours or the accelerator's OlToPurviewMappings (default: the setting)")
    parser.add_argument("--workspace", metavar="HOST",
                        help="host of the workspace, where the events do not tell it (default: the setting)")
    parser.add_argument("--metastore", metavar="ID",
                        help="id of Unity Catalog's metastore, where they do not tell it (default: the setting)")


def read_rules(file: Optional[str]) -> RuleSet:
    """The rules of a file, else those that the setting names, else the built-in ones. Raises `RuleError`."""
    file = file or _settings().rules
    return load_rules(file) if file else default_rules()


def read_workspace(host: Optional[str]) -> Optional[str]:
    """A workspace as given by hand: its host, or `adb-123.4` without the suffix; else that of the settings."""
    host = host or _settings().workspace
    return full_host(host) if host else None


def read_metastore(identifier: Optional[str]) -> Optional[str]:
    """The metastore as given by hand, else that of the settings."""
    return identifier or _settings().metastore or None


def _settings() -> Settings:
    """What the product on this machine would go by. Raises `SettingsError`."""
    from adb_lineage.transport import file_config

    return Settings.load(file_config=file_config())


def read_mounts(file: Optional[str]) -> List[Mapping[str, str]]:
    """Mount points of a JSON file in the shape of OpenLineage's facet. Raises `SettingsError`."""
    if not file:
        return []
    try:
        content: Any = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{file}: can't read the mounts: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{file}: the mounts are not JSON: {error}") from None
    if isinstance(content, dict):
        content = content.get("mountPoints")
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise SettingsError(f'{file}: the mounts are not a list of {{"mountPoint": …, "source": …}}')
    return content


_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
"""What JSON may hold as it is, but many readers of lines take for the end of one."""


def print_json(value: Any, indent: Optional[int] = None) -> None:
    """Print JSON, letters of all alphabets as they are where the terminal can show them."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(value, ensure_ascii=not readable, indent=indent).translate(_LINE_ENDS))
