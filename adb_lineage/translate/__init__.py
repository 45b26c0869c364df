"""OpenLineage events in, Atlas entities out: pure functions of the events and the options, no I/O and no clock."""
from adb_lineage.translate.options import TranslateOptions
from adb_lineage.translate.run import translate_run
from adb_lineage.translate.translation import Link, RunTranslation, Skip

__all__ = ["Link", "RunTranslation", "Skip", "TranslateOptions", "translate_run"]
