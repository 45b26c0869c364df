"""Puts the rooms together from the settings: the one place that knows how each is built."""
from __future__ import annotations

import dataclasses
import os
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from adb_lineage.delivery import Delivery, DeliveryOptions
from adb_lineage.outbox import Outbox
from adb_lineage.purview import PurviewCatalog, PurviewOptions, TokenSource, account_endpoint, credential
from adb_lineage.record import Record
from adb_lineage.settings import Settings, default_data_dir
from adb_lineage.translate import RunTranslation, TranslateOptions, translate_run
from adb_lineage.translate.names import NameEngine, Naming, RuleSet, default_rules, kin_of, load_rules

OUTBOX_FILE = "outbox.sqlite"
PREVIEW_FILE = "preview.sqlite"
RECORD_FILE = "record.sqlite"
STATE_FILE = "catalog.sqlite"


def data_file(settings: Settings, name: str) -> str:
    """A file in the data folder, which is made if need be, for the user alone."""
    folder = settings.data_dir or default_data_dir()
    with suppress(OSError):  # each file's owner says what it does without a disk
        os.makedirs(folder, mode=0o700, exist_ok=True)
    return os.path.join(folder, name)


def record_from_settings(settings: Settings) -> Record:
    """The record of what became of every query."""
    return Record(data_file(settings, RECORD_FILE))


def outbox_from_settings(settings: Settings, record: Optional[Record] = None) -> Outbox:
    """The durable queue of this driver; `record` is told what its bound costs."""
    # A preview takes its runs away without delivering them: it must not do so for others on the same driver.
    name = OUTBOX_FILE if settings.mode == "deliver" else PREVIEW_FILE
    return Outbox(data_file(settings, name), synchronous=settings.synchronous, max_bytes=settings.outbox_bytes,
                  incomplete_seconds=settings.run_seconds, record=record)


def translate_from_settings(settings: Settings) -> Callable[[Sequence[Mapping[str, Any]]], RunTranslation]:
    """The translation of all events of one run. Raises SettingsError for a bad rule file."""
    options = TranslateOptions(
        workspace=settings.workspace or None, metastore=settings.metastore or None, rules=_rules(settings),
        prefer=settings.prefer, plan=settings.logical_plan, include_one_sided=settings.include_one_sided,
        include_failed=settings.include_failed, indirect=settings.indirect_columns)
    return partial(translate_run, options=options)


def purview_options(settings: Settings) -> PurviewOptions:
    """What the catalog's client is told. Raises SettingsError."""
    settings.demand_target()
    endpoint = settings.endpoint.rstrip("/") or account_endpoint(settings.account, settings.cloud)
    volatile: Dict[str, Any] = {"volatile_seconds": 0.0} if settings.update_last_run else {}
    return PurviewOptions(
        endpoint, flavour=settings.flavour, atlas_prefix=settings.atlas_prefix, service_prefix=settings.service_prefix,
        collection=settings.collection, auth=settings.auth, cloud=settings.cloud, tenant_id=settings.tenant_id,
        client_id=settings.client_id, client_secret=settings.client_secret, certificate_path=settings.certificate_path,
        certificate_password=settings.certificate_password, service_credential=settings.service_credential,
        secret_scope=settings.secret_scope,
        username=settings.username, password=settings.password, proxy=settings.proxy, ca_bundle=settings.ca_bundle,
        rate=settings.requests_per_second, bulk_entities_cap=settings.bulk_entities,
        bulk_entities=min(100, settings.bulk_entities), bulk_bytes=settings.bulk_bytes,
        create_missing=settings.create_missing, **volatile)


def catalog_from_settings(settings: Settings) -> PurviewCatalog:
    """The catalog that the settings name. Raises SettingsError, FixNeeded."""
    options = purview_options(settings)

    @lru_cache(maxsize=None)
    def naming() -> Naming:  # only healing asks: whoever does not heal need not wait for the rules
        return NameEngine(_rules(settings)).within((), settings.workspace or None, settings.metastore or None)

    return PurviewCatalog(options, token_source(options), state_path=data_file(settings, STATE_FILE),
                          kin_of=lambda name: kin_of(name, naming()))


def _rules(settings: Settings) -> RuleSet:
    return default_rules() if not settings.rules else load_rules(settings.rules)


def token_source(options: PurviewOptions) -> TokenSource:
    """The identity that the options name; on a cluster, `dbutils` is at hand for it. Raises FixNeeded."""
    find_dbutils: Optional[Callable[[], Any]] = None
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        from adb_lineage.databricks.driver import find_dbutils
    return credential(options, find_dbutils=find_dbutils)


def identity_from_settings(settings: Settings, audience: str) -> TokenSource:
    """The identity of the settings towards another service of Azure. Raises SettingsError, FixNeeded."""
    return token_source(dataclasses.replace(purview_options(settings), audience=audience))


def delivery_from_settings(
    settings: Settings, outbox: Outbox, record: Record, catalog: Optional[PurviewCatalog] = None
) -> Delivery:
    """The worker, with the translation and the catalog it needs; not started. Raises SettingsError, FixNeeded."""
    options = DeliveryOptions(mode=settings.mode, target=settings.endpoint or settings.account,
                              spool_dir=settings.spool_dir)
    catalog = catalog or catalog_from_settings(settings)
    return Delivery(outbox, translate_from_settings(settings), catalog, record, options)
