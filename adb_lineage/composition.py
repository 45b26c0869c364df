"""Puts the rooms together from the settings: the one place that knows how each is built."""
from __future__ import annotations

import os
from typing import Any

from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.outbox import Outbox
from adb_lineage.record import Record
from adb_lineage.settings import Settings, default_data_dir


def data_dir(settings: Settings) -> str:
    """The folder of outbox, record and delivery state, made if need be, for the user alone."""
    path = settings.data_dir or default_data_dir()
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError:
        pass  # the outbox says what it does without a disk
    return path


def record_from_settings(settings: Settings) -> Record:
    """The record of what became of every query."""
    return Record(os.path.join(data_dir(settings), "record.sqlite"))


def outbox_from_settings(settings: Settings, record: Any = None) -> Outbox:
    """The durable queue; `record` is told of what its bound costs."""
    raise NotImplementedError


def delivery_from_settings(settings: Settings, outbox: Outbox, record: Record) -> Delivery:
    """The worker, with the translation and the catalog it needs; not started."""
    raise NotImplementedError
