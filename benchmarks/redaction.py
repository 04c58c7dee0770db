"""Planted secrets in many kinds of place of one log: how many can be found again in the parsed run, and how many harmless look-alikes are lost.

    python benchmarks/redaction.py

Each secret is planted once where something tells that it is one, and the learnt ones again bare, in a stack trace and a plan. Prints both counts;
exit 1 when a secret is found or a look-alike lost.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spark_copilot.connectors.eventlog import read_run
from spark_copilot.rules_engine.facts import AppRun

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq9\nZp3PlantedPemBody88\n-----END RSA PRIVATE KEY-----"

SETTINGS = {
    "spark.hadoop.fs.s3a.secret.key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYplanted01",
    "spark.hadoop.fs.azure.account.key.acct.dfs.core.windows.net": "Zm9vYmFyYmF6cGxhbnRlZDAyPT0xMjM0NTY3ODkw==",
    "spark.ssl.keyStorePassword": "planted03!store",
    "spark.executorEnv.DB_PASS": "planted04#env",
    "spark.kubernetes.authenticate.oauthToken": "planted05.oauth.token.value",
    "spark.hadoop.javax.jdo.option.ConnectionPassword": "planted06_hive",
    "spark.authenticate.secret": "planted07-auth-secret",
    "spark.driver.extraJavaOptions": "-Xss4m -Djavax.net.ssl.trustStorePassword=planted08trust -Dapi.key='planted09 quoted'",
    "spark.app.jdbc": "jdbc:postgresql://db:5432/x?user=etl&password=planted10pg&ssl=true",
    "spark.app.sqlserver": "jdbc:sqlserver://db;databaseName=x;user=sa;password=planted11Ms!;encrypt=true",
    "spark.app.oracle": "jdbc:oracle:thin:scott/planted12tiger@db:1521/x",
    "spark.app.url": "https://etl:planted13url@artifacts.example.com/simple",
    "spark.kafka.sasl.jaas.config": 'ScramLoginModule required username="u" password="planted14kafka";',
    "spark.app.sas": "https://acct.blob.core.windows.net/c?sv=2024&sp=r&sig=planted15%2Bsas%2Fsignature%3D",
    "spark.app.header": "Authorization: Bearer planted16.bearer-token_value",
    "spark.app.args": "--input s3://b/x --password planted17cli --verbose",
    "spark.app.json": '{"private_key": "planted18-private-key-body", "client_email": "a@b"}',
}
TEXTS = {
    "aws": "AKIAPLANTED19ABCDEFG",
    "github": "ghp_planted20ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "databricks": "dapi0123456789abcdef0123456789abcdef",
    "slack": "xoxb-planted22-1234567890",
    "google": "AIzaPlanted23ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoyNH0.c2lnbmF0dXJlcGxhbnRlZDI0",
    "pem": PEM,
    "sql": "CREATE TABLE t USING jdbc OPTIONS (url 'jdbc:mysql://h/d', user 'u', password 'planted25sql')",
    "identified": "CREATE USER x IDENTIFIED BY 'planted26by'",
    "glpat": "glpat-planted27ABCDEFGHIJK",
}
MUST_GO = [
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYplanted01", "Zm9vYmFyYmF6cGxhbnRlZDAyPT0xMjM0NTY3ODkw", "planted03", "planted04", "planted05", "planted06",
    "planted07", "planted08", "planted09", "planted10", "planted11", "planted12", "planted13", "planted14", "planted15", "planted16", "planted17",
    "planted18", "AKIAPLANTED19", "ghp_planted20", "dapi0123456789abcdef", "planted22", "Planted23", "c2lnbmF0dXJlcGxhbnRlZDI0", "PlantedPemBody88",
    "planted25", "planted26", "planted27",
]  # fmt: skip
AGAIN = "login failed for planted03!store and planted06_hive at h with planted11Ms! (wJalrXUtnFEMI/K7MDENG/bPxRfiCYplanted01)"

HARMLESS = {
    "spark.sql.shuffle.partitions": "200",
    "spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
    "spark.ml.tokenizer.class": "org.apache.spark.ml.feature.RegexTokenizer",
    "spark.llm.max.tokens": "4096",
    "spark.llm.token.count": "1234567",
    "spark.redaction.regex": "(?i)secret|password|token|access[.]?key",
    "spark.ssl.keyStore": "/etc/keystore.jks",
    "spark.kubernetes.authenticate.oauthTokenFile": "/var/run/token",
    "spark.yarn.keytab": "/etc/spark.keytab",
    "spark.security.credentials.hive.enabled": "false",
    "dfs.namenode.delegation.token.renew-interval": "86400000",
    "hive.cluster.delegation.token.store.class": "org.apache.hadoop.hive.thrift.MemoryTokenStore",
    "spark.kubernetes.driver.secretKeyRef.DB": "name:key",
    "spark.sql.files.maxPartitionBytes": "134217728",
    "spark.eventLog.dir": "s3a://bucket/keys/secretary/passengers",
}
HARMLESS_TEXTS = [
    "Scan parquet db.t [token#12,password#13] ReadSchema: struct<token:string,password:string,secret:int>",
    "HashAggregate(keys=[passenger_key#5], functions=[sum(tokens#6)])",
    "org.apache.spark.ml.feature.Tokenizer.transform(Tokenizer.scala:41)",
    "Exchange hashpartitioning(api_key#4, 200), ENSURE_REQUIREMENTS, [plan_id=77]",
    "SortMergeJoin [key#1], [key#2], Inner",
    "count of passwords reset at https://wiki.example.com/a:b",
]


def planted(lines: list[bytes]) -> Iterator[bytes]:
    """The log with the secrets in it."""
    texts = list(TEXTS.values())
    done: set[str] = set()

    def change(kind: str, edit: Callable[[Any], None], line: bytes) -> bytes:
        if kind in done or f'{kind}"'.encode() not in line[:100]:
            return line
        done.add(kind)
        event = json.loads(line)
        edit(event)
        return json.dumps(event, separators=(",", ":")).encode() + b"\n"

    def stage(event: Any) -> None:
        info = event["Stage Info"]
        info["Stage Name"], info["Details"] = f"save {texts[0]}", f"{texts[1]}\n{texts[6]}"
        info["RDD Info"][0]["Callsite"] = texts[2]
        info["Accumulables"].append({"ID": 99_999, "Name": texts[3], "Value": texts[4]})
        info["Failure Reason"] = f"{AGAIN} {texts[5]}"

    def task(event: Any) -> None:
        event["Task End Reason"] = {
            "Reason": "ExceptionFailure",
            "Class Name": "E",
            "Description": texts[7],
            "Full Stack Trace": f"{AGAIN} {texts[7]}",
        }
        event["Task Info"]["Failed"] = True

    def job(event: Any) -> None:
        event["Properties"].update({"spark.job.description": f"{texts[8]} {AGAIN}", "spark.jobGroup.id": texts[9]})

    def sql(event: Any) -> None:
        event["description"], event["details"] = texts[7], "\n".join([texts[5], *HARMLESS_TEXTS])
        event["physicalPlanDescription"] += f"\n{AGAIN}\n{texts[0]}\n" + "\n".join(HARMLESS_TEXTS)
        event["sparkPlanInfo"]["simpleString"] = f"Scan JDBCRelation {SETTINGS['spark.app.jdbc']} {AGAIN}"
        event["sparkPlanInfo"]["metadata"] = {"Location": SETTINGS["spark.app.url"], "password": "planted03!store"}
        event["modifiedConfigs"] = {"spark.my.api.key": "planted05.oauth.token.value"}

    def executor(event: Any) -> None:
        event["Executor Info"]["Log Urls"] = {"stdout": f"http://h/logs?token={texts[1]}&x=1"}
        event["Executor Info"]["Attributes"] = {"NOTE": texts[3]}

    def environment(event: Any) -> None:
        event["Spark Properties"].update(SETTINGS | HARMLESS)
        event["System Properties"]["sun.java.command"] = (
            f"org.apache.spark.deploy.SparkSubmit {SETTINGS['spark.app.args']} {SETTINGS['spark.app.sas']}"
        )
        event["Classpath Entries"][SETTINGS["spark.app.url"]] = "Added By User"

    edits = {
        "SparkListenerStageCompleted": stage, "SparkListenerTaskEnd": task, "SparkListenerJobStart": job, "SparkListenerSQLExecutionStart": sql,
        "SparkListenerExecutorAdded": executor, "SparkListenerEnvironmentUpdate": environment,
        "SparkListenerApplicationStart": lambda event: event.update({"App Name": f"job {texts[0]} planted03!store"}),
    }  # fmt: skip
    for line in lines:
        for kind, edit in edits.items():
            line = change(kind, edit, line)
        yield line
    yield b'{"Event":"SparkListenerJobEnd","Job ID":"' + texts[1].encode() + b'"}\n'  # a bad line: its text must not come out either


def everything(run: AppRun) -> str:
    """All texts of a run."""
    return repr((run.app, run.environment, run.stages, run.jobs, run.executors, run.sql, run.errors, run.quality, run.resource_profiles))


def main() -> int:
    """Print what is found and lost."""
    sample = Path(__file__).resolve().parent.parent / "tests" / "data" / "eventlogs" / "codec-sample"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        log.write_bytes(b"".join(planted(sample.read_bytes().splitlines(keepends=True))))
        text = everything(read_run(log))
    found = [secret for secret in MUST_GO if secret in text]
    lost = [f"{key}={value}" for key, value in HARMLESS.items() if repr(value) not in text or repr(key) not in text]
    lost += [line for line in HARMLESS_TEXTS if repr(line)[1:-1] not in text]
    print(f"planted secrets found again: {len(found)} of {len(MUST_GO)} {found or ''}")
    print(f"harmless look-alikes lost: {len(lost)} of {len(HARMLESS) + len(HARMLESS_TEXTS)} {lost or ''}")
    return 1 if found or lost else 0


if __name__ == "__main__":
    sys.exit(main())
