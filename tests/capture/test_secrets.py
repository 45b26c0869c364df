"""What must not leave the driver in SQL text and messages."""
from __future__ import annotations

import pytest

from adb_lineage.capture.secrets import MASK, without_secrets

SECRET = "hunter2/+=="


@pytest.mark.parametrize("text", [
    f"create table t using jdbc options (url 'jdbc:x', password '{SECRET}')",
    f"create table t using jdbc options (url 'jdbc:x', 'password' = '{SECRET}', dbtable 't')",
    f'options ("spark.cosmos.accountKey" "{SECRET}")',
    f"options (accountKey => '{SECRET}')",
    f"copy into t from 'abfss://x' with (credential '{SECRET}')",
    f"jdbc:sqlserver://h:1433;user=u;password={SECRET};encrypt=true",
    f"wasbs://c@a.blob.core.windows.net/p?sv=1&sig={SECRET}&se=2",
    f"Endpoint=sb://n/;SharedAccessKeyName=r;SharedAccessKey={SECRET}",
    f"jdbc:sqlserver://h:1433;password={{a;{SECRET} b}};encrypt=true",
    f"create table t location 's3a://AKIA:{SECRET}@bucket/x'",
    f"mongodb://user:{SECRET.replace('/', '_')}@host/db",
    f"set spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net={SECRET}",
    f"SET fs.azure.sas.c.a.blob.core.windows.net = '{SECRET}'",
    f"{{'api_key': '{SECRET}'}}",
    f"option('client-secret', '{SECRET}')",
    f"password 'it\\'s {SECRET}'",
    f"cut in the middle of password '{SECRET}",
    f"password 'over\n{SECRET}\nlines'",
])
def test_a_secret_is_masked(text):
    masked = without_secrets(text)
    assert SECRET not in masked and SECRET.replace("/", "_") not in masked
    assert MASK in masked


@pytest.mark.parametrize("text", [
    "select password_hash, token_count from users where name = 'x'",
    "select sum(amount) from t where key = 'a' group by id",
    "create table tokens (secret_id long, name string) using parquet location 'abfss://c@a/p'",
    "select 'abfss://lake@acct.dfs.core.windows.net/a:b@c'",
    "select 'https://h:443/a@b'",
])
def test_other_text_stays(text):
    assert without_secrets(text) == text


def test_long_text_is_no_trap():
    assert without_secrets("password " * 20_000 + "'x'").endswith(f"'{MASK}'")
    assert without_secrets("'" * 50_000)
    assert without_secrets("a." * 50_000 + "secret")
