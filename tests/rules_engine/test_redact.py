"""What is a secret, what only looks like one."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from spark_copilot.rules_engine.redact import Redactor, is_secret_key, redact_settings, redact_text
from tests.timing import below

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "key",
    [
        "spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.access.key", "spark.ssl.keyPassword", "spark.ssl.ui.keyStorePassword", "PGPASSWORD",
        "spark.authenticate.secret", "spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net", "spark.executorEnv.MY_API_KEY", "aws.session.token",
        "spark.hadoop.fs.azure.account.oauth2.client.secret.a.dfs.core.windows.net", "AWS_SECRET_ACCESS_KEY", "clientSecret", "fs.azure.sas.c.a.blob",
    ],
)  # fmt: skip
def test_secret_keys(key: str) -> None:
    assert is_secret_key(key)
    assert redact_settings({key: "s3cr3t-value"}) == {key: "[redacted:setting]"}


@pytest.mark.parametrize(
    "key",
    [
        "spark.sql.shuffle.partitions", "spark.hadoop.fs.s3a.aws.credentials.provider", "spark.redaction.regex", "spark.ml.tokenizer", "max.tokens",
        "spark.ssl.keyStore", "spark.kubernetes.authenticate.oauthTokenFile", "spark.yarn.kerberos.principal", "spark.sql.passenger.key.column",
        "dfs.namenode.delegation.token.max-lifetime", "spark.kubernetes.driver.secretKeyRef.X", "spark.security.credentials.hive.enabled", "keys",
    ],
)  # fmt: skip
def test_i8_harmless_keys(key: str) -> None:
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://u:pw%40x@h/p", "https://u:[redacted:password]@h/p"),
        ("-Dx.password=abc123 -Xmx4g", "-Dx.password=[redacted:secret] -Xmx4g"),
        ("--token abcdef --verbose", "--token [redacted:secret] --verbose"),
        ("{\"password\": \"a b c\"}", "{\"password\": \"[redacted:secret]\"}"),
        ("OPTIONS (password 'x y z')", "OPTIONS (password '[redacted:secret]')"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic [redacted:token]"),
        ("password=*********(redacted)", "password=*********(redacted)"),
        ("password={{secrets/scope/key}}", "password={{secrets/scope/key}}"),
        ("struct<token:string,password:string>", "struct<token:string,password:string>"),
        ("wrong password for user etl", "wrong password for user etl"),
        ("[token#1, secret#2] = 3", "[token#1, secret#2] = 3"),
        ("a plain sentence", "a plain sentence"),
    ],
)  # fmt: skip
def test_texts(text: str, masked: str) -> None:
    assert redact_text(text) == masked
    assert redact_text(masked) == masked


def test_i7_what_one_place_shows_is_masked_in_all() -> None:
    redactor = Redactor()
    early = redactor.text("cannot log in with hunter2-hunter2")
    assert "hunter2" in early
    redactor.settings({"my.password": "hunter2-hunter2", "other.password": "secret"})
    assert redactor.everywhere((early, {"x": ["hunter2-hunter2"]}, "a secret place")) == (
        "cannot log in with [redacted:setting]",
        {"x": ["[redacted:setting]"]},
        "a secret place",
    )


@pytest.mark.parametrize("text", ["a" * (1 << 20), "password" * (1 << 17), "://" * (1 << 18), "a:b@" * (1 << 18), "eyJ" + "a." * (1 << 19)])
def test_p14_hostile_text_costs_linear_time(text: str) -> None:
    begun = time.process_time()
    redact_text(text)
    assert below(time.process_time() - begun, 5)  # quadratic time would be hours


def test_i6_i8_planted_secrets_and_lookalikes() -> None:
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "redaction.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
