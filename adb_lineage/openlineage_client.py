"""The OpenLineage client, imported without a word: older versions log a warning where numpy is missing."""
from __future__ import annotations

import logging

_logger = logging.getLogger("openlineage")
_level = _logger.level
_logger.setLevel(logging.ERROR)
try:
    from openlineage.client import OpenLineageClient, event_v2, facet_v2
    from openlineage.client.serde import Serde
    from openlineage.client.transport import Config, Transport, register_transport
    from openlineage.client.uuid import generate_static_uuid
finally:
    _logger.setLevel(_level)

__all__ = ["Config", "OpenLineageClient", "Serde", "Transport", "event_v2", "facet_v2", "generate_static_uuid",
           "register_transport"]
