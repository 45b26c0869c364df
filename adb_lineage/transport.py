"""The OpenLineage client's transport that ends in Purview.

`type: purview` once this module is imported, `type: adb_lineage.transport.PurviewTransport` always. Each key of the
configuration beside `type` is a setting (see `adb_lineage.settings`).
"""
from __future__ import annotations

import os
from typing import Any, Dict, Optional

import attr
import yaml

from adb_lineage.errors import SettingsError
from adb_lineage.openlineage_client import Config, Serde, Transport, register_transport
from adb_lineage.settings import Settings

KINDS = ("purview", "adb_lineage.transport.PurviewTransport")


@attr.define
class PurviewConfig(Config):
    """The merged settings."""

    settings: Settings

    @classmethod
    def from_dict(cls, params: Dict[str, Any]) -> PurviewConfig:
        """Settings from a transport section, below keyword and environment.

        Raises SettingsError for an unknown key or a bad value.
        """
        return cls(Settings.load(file_config={key: value for key, value in params.items() if key != "type"}))


@register_transport
class PurviewTransport(Transport):
    """Stores each event durably, and lets one worker of the driver bring them to the catalog."""

    kind = "purview"
    name: Optional[str] = None
    priority = 0
    config_class = PurviewConfig

    def __init__(self, config: PurviewConfig) -> None:
        from adb_lineage.composition import delivery_from_settings, outbox_from_settings, record_from_settings

        self.settings = config.settings
        self.settings.demand_target()
        self.record = record_from_settings(self.settings)
        self.outbox = outbox_from_settings(self.settings, self.record)
        self.delivery = delivery_from_settings(self.settings, self.outbox, self.record)
        self.delivery.start()

    def emit(self, event: Any) -> None:
        """Store an event of the client; it is durable on return. Never waits for the catalog."""
        self.outbox.append(Serde.to_dict(event))

    def wait_for_completion(self, timeout: float = -1) -> bool:
        """Wait until all events stored so far are delivered or set aside; see `close` for the time."""
        return self.delivery.flush(self._seconds(timeout))

    def close(self, timeout: float = -1) -> bool:
        """Deliver what is there, then stop; True when nothing is left.

        `timeout` is in seconds; below zero it is the setting `exit_seconds`, as a catalog may be away for days. What
        is left stays in the outbox for the next start.
        """
        done = self.delivery.stop(self._seconds(timeout))
        self.outbox.close()
        self.record.close()
        return bool(done)

    def _seconds(self, timeout: float) -> float:
        return self.settings.exit_seconds if timeout < 0 else timeout


def file_config() -> Dict[str, Any]:
    """Our keys in the transport section of `openlineage.yml`; {} when there is none or its type is another one."""
    section = _transport_section()
    return {key: value for key, value in section.items() if key != "type"} if section.get("type") in KINDS else {}


def configured_kind() -> str:
    """The transport type that the OpenLineage client's own configuration names, "" for none.

    Looked up here because the client, when it finds none, falls back to printing events.
    """
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return "noop"
    for key, value in os.environ.items():
        if key.upper() in ("OPENLINEAGE__TRANSPORT", "OPENLINEAGE__TRANSPORT__TYPE") and value:
            try:
                parsed = yaml.safe_load(value)
            except yaml.YAMLError:  # its message shows the text, and with it perhaps a key
                raise SettingsError(f"the environment variable {key} is no YAML or JSON") from None
            return str(parsed.get("type", "")) if isinstance(parsed, dict) else str(parsed)
    if os.environ.get("OPENLINEAGE_URL"):
        return "http"
    return str(_transport_section().get("type") or "")


def _transport_section() -> Dict[str, Any]:
    """The transport section of the first readable configuration file, in the client's order."""
    places = (os.environ.get("OPENLINEAGE_CONFIG"), os.path.join(os.getcwd(), "openlineage.yml"),
              os.path.join(os.path.expanduser("~"), ".openlineage", "openlineage.yml"))
    for path in places:
        if path and os.path.isfile(path) and os.access(path, os.R_OK):
            try:
                with open(path, encoding="utf-8") as file:
                    content = yaml.safe_load(file)
            except yaml.YAMLError as error:
                raise SettingsError(f"{path} is no YAML: {error}") from None
            section = content.get("transport") if isinstance(content, dict) else None
            return section if isinstance(section, dict) else {}
    return {}
