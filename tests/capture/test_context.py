"""What an event says of the program that ran, outside Databricks."""
from adb_lineage.capture.context import script_environment, with_metastore


def test_the_metastore_of_the_setting_is_in_the_event():
    environment = script_environment("etl/orders")
    assert "adb_lineage.metastore" not in with_metastore(environment, "")({}, "")
    told = with_metastore(environment, "11111111-2222-3333-4444-555555555555")({"user": "u"}, "session")
    assert told == {"spark.databricks.notebook.path": "etl/orders", "user": "u",
                    "adb_lineage.metastore": "11111111-2222-3333-4444-555555555555"}
