"""From the outbox to the catalog: takes, translates, resolves, writes, acknowledges; survives all that can go wrong.

    Delivery          the one worker thread of a process; of all processes on a driver one delivers
    DeliveryOptions   its knobs
    rehearse          what it would write
    Translation, Catalog, WriteReport, WritePlan   what it expects of its collaborators
"""
from adb_lineage.delivery.doors import Catalog, Translation, WritePlan, WriteReport
from adb_lineage.delivery.options import DeliveryOptions
from adb_lineage.delivery.rehearsal import Rehearsal, rehearse
from adb_lineage.delivery.worker import Delivery

__all__ = [
    "Catalog",
    "Delivery",
    "DeliveryOptions",
    "Rehearsal",
    "Translation",
    "WritePlan",
    "WriteReport",
    "rehearse",
]
