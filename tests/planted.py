"""Secrets where users keep theirs; `tests/planted_secrets.py` sees to it that nothing shows them."""

ENVIRONMENT = {
    "AZURE_CLIENT_SECRET": "planted~client.secret-81aa",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD": "planted~certificate.password-4c20",
    "ADB_LINEAGE_PASSWORD": "planted~catalog.password-9d7e",
}
SPARK = {
    "spark.hadoop.fs.azure.account.key.planted.dfs.core.windows.net": "planted~account.key-e51b==",
    "spark.hadoop.fs.azure.account.oauth2.client.secret.planted.dfs.core.windows.net": "planted~oauth.secret-77f3",
    "spark.databricks.api.token": "planted~api.token-0b6d",
}
