"""Every rule fires on its case, and the gate keeps its contract around them."""

import json
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.orchestration.gate import GateReport, chosen_rules, gate_texts, run_gate
from spark_copilot.orchestration.gate_config import GateConfig, JobGroup, load_profile, parse_config, target_from
from spark_copilot.orchestration.gate_fix import diff, repaired
from spark_copilot.orchestration.gate_suppress import apply, suppressions
from spark_copilot.rules_engine.errors import NotFound, UsageError
from spark_copilot.rules_engine.gate import page_of
from spark_copilot.rules_engine.gate.rules import RULES
from tests.orchestration.gate_cases import CONF, FIRES, FIRES_WITH_PROFILE, PROFILE, Case

ALL = GateConfig(select=("ALL",))


def judge(file: str, text: str, facts: dict[str, Any], config: GateConfig = ALL) -> GateReport:
    report = gate_texts({file: text}, config=config, target=target_from(facts))
    assert not report.failed
    return report


def codes(report: GateReport) -> set[tuple[str, int]]:
    return {(f.rule, f.line) for f in report.findings}


@pytest.mark.parametrize("case", FIRES, ids=lambda c: c[0])
def test_rule_fires_at_its_line(case: Case) -> None:
    code, file, text, line, facts = case
    assert (code, line) in codes(judge(file, text, facts))


@pytest.mark.parametrize("case", FIRES_WITH_PROFILE, ids=lambda c: c[0])
def test_sizing_against_a_profile(case: Case, tmp_path: Path) -> None:
    code, file, text, line, facts = case
    (tmp_path / "node.json").write_text(json.dumps(PROFILE))
    target = replace(target_from(facts), profile=load_profile(tmp_path / "node.json"))
    report = gate_texts({file: text}, config=ALL, target=target)
    assert (code, line) in codes(report)
    assert code not in {f.rule for f in judge(file, text, facts).findings}, "silent without the profile"


def test_every_rule_has_a_case_or_a_reason() -> None:
    covered = {c[0] for c in [*FIRES, *FIRES_WITH_PROFILE]}
    assert {r.code for r in RULES} - covered == {"SG018", "SG308"}, "these two have tests of their own below"


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.code)
def test_every_rule_has_a_page(rule: Any) -> None:
    page = page_of(rule.code)
    assert page is not None
    assert page_of(rule.name) == page
    assert all(heading in page for heading in ("Example:", "Fix:", "When not:"))


CLEAN: list[tuple[str, str, dict[str, Any]]] = [
    ("own keys", "spark.acme.mode fast\nspark.orders.executor.memory 4", {}),
    ("free parts", "spark.sql.catalog.lake.io-impl x.Y\nspark.executorEnv.A b\nspark.hadoop.fs.s3a.x y\nspark.metrics.conf.x y", {}),
    ("expansions that Spark makes", "spark.local.dir ${env:SCRATCH}\nspark.app.name ${spark.job.x}", {}),
    ("reference instead of secret", "spark.hadoop.fs.s3a.secret.key {{secrets/a/b}}\nspark.ssl.keyStorePassword ${env:P}", {}),
    ("file instead of secret", "spark.kubernetes.authenticate.oauthTokenFile /var/run/token\nspark.ssl.keyStore /etc/k.jks", {}),
    ("units that are right", "spark.executor.memory 4096\nspark.sql.files.maxPartitionBytes 134217728\nspark.network.timeout 120", {}),
    ("tracking is on by default", "spark.dynamicAllocation.enabled true\nspark.dynamicAllocation.maxExecutors 4", {"spark": "3.5", "platform": "yarn"}),
    ("EMR allocates dynamically", "spark.dynamicAllocation.maxExecutors 4", {"platform": "emr"}),
    ("old name before its end", "spark.excludeOnFailure.enabled true", {"spark": "3.5"}),
    ("delta keys anywhere", "spark.databricks.delta.schema.autoMerge.enabled true", {"platform": "kubernetes"}),
    ("auto on Databricks", "spark.sql.shuffle.partitions auto", {"platform": "databricks"}),
    ("kryo whole", "spark.serializer org.apache.spark.serializer.KryoSerializer\nspark.kryoserializer.buffer.max 1g", {}),
    ("other codecs", "spark.sql.parquet.compression.codec ZSTD\nspark.io.compression.codec LZ4\nspark.io.compression.zstd.level 3", {"spark": "3.5"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "facts"), [pytest.param(t, f, id=name) for name, t, f in CLEAN])
def test_clean_settings_are_silent(text: str, facts: dict[str, Any]) -> None:
    assert codes(judge(CONF, text, facts, GateConfig())) == set()


def test_descriptions_of_keys_and_masters_in_notebooks_are_no_faults() -> None:
    files = {
        "doc.py": 'HELP = {"spark.executor.memory": "memory of each executor", "spark.sql.shuffle.partitions": "number of partitions"}',
        "conf.yaml": "help:\n  spark.executor.memory: memory of each executor\n  spark.executor.cores: cores\n",
        "n.ipynb": '{"cells": [{"cell_type": "code", "source": ["SparkSession.builder.master(\'local[*]\').getOrCreate()"]}]}',
    }
    report = gate_texts(files)
    # One word is no description: that stays a wrong value.
    assert [(f.file, f.line, f.rule) for f in report.findings] == [("conf.yaml", 3, "SG202")]


def test_unknown_values_are_never_judged() -> None:
    text = (
        "#!/bin/sh\nspark-submit --master yarn --executor-memory $MEM --conf spark.sql.ansi.enabled=$(x) --conf spark.task.cpus=${N}x a.py"
    )
    assert codes(judge("a.sh", text, {"spark": "3.5"}, GateConfig())) == set()


def test_job_group_is_one_view() -> None:
    files = {"j/spark-defaults.conf": "spark.sql.shuffle.partitions 400\nspark.task.cpus 4", "j/job.py": (
        "s = SparkSession.builder.config('spark.sql.shuffle.partitions', 100).config('spark.executor.cores', 2).getOrCreate()"
    )}  # fmt: skip
    alone = gate_texts(files)
    together = gate_texts(files, config=GateConfig(jobs=(JobGroup("j", ("j/*",)),)))
    assert {f.rule for f in alone.findings} == set()
    assert {(f.rule, f.file, f.line) for f in together.findings} == {("SG308", "j/job.py", 1), ("SG413", "j/spark-defaults.conf", 2)}


def test_suppression_with_reason_and_expiry() -> None:
    text = "# spark-copilot: ignore[SG505] fat nodes until=2026-06-30\nspark.executor.cores 16\n"
    found = judge(CONF, "\n" + text.split("\n", 1)[1], {}, GateConfig(select=("SG505",))).findings
    before, after = date(2026, 6, 1), date(2026, 7, 1)
    assert [f.suppressed for f in apply(found, suppressions(text), before)] == ["fat nodes"]
    assert [f.suppressed for f in apply(found, suppressions(text), after)] == [None]


def test_unused_suppressions_are_reported_when_asked() -> None:
    text = "-- spark-copilot: ignore[SG201,SG606] old\nset spark.sql.ansi.enabled = yes;"
    report = judge("a.sql", text, {}, GateConfig(select=("+SG018",)))
    assert len(report.suppressed) == 1
    assert [(f.rule, f.line, f.message) for f in report.findings] == [("SG018", 1, "nothing to suppress here: SG606")]


def test_repairs_are_those_of_the_rules() -> None:
    text = "spark.executor.memroy  4g\nspark.executor.cores 4   # four\nspark.app.name 'x'\n"
    report = judge(CONF, text, {}, GateConfig())
    changed = repaired(report.findings, report.texts)
    assert changed == {CONF: "spark.executor.memory  4g\n# four\nspark.executor.cores 4\nspark.app.name x\n"}
    assert "+spark.executor.memory  4g" in diff(changed, report.texts)
    assert codes(judge(CONF, changed[CONF], {}, GateConfig())) == set()


def test_selection() -> None:
    assert {r.code for r in chosen_rules(["SG2"], ["SG201"])} == {f"SG2{n:02}" for n in range(2, 15)}
    assert "SG110" in {r.code for r in chosen_rules(["+SG110"], [])}
    with pytest.raises(UsageError):
        chosen_rules(["SG999"], [])


def test_configuration() -> None:
    table = {"ignore": ["SG505"], "severity": {"SG606": "info"}, "known-keys": ["spark.executor.memroy"], "per-file-ignores": {"legacy/*": ["SG7"]},
             "targets": [{"files": ["*.conf"], "spark": "3.5", "platform": "yarn"}]}  # fmt: skip
    config = parse_config(table, Path("pyproject.toml"))
    text = "spark.executor.cores 16\nspark.sql.autoBroadcastJoinThreshold -1\nspark.executor.memroy 1g\nspark.sql.adaptive.enabled false"
    report = gate_texts({CONF: text}, config=config)
    assert [(f.rule, f.severity) for f in report.findings] == [("SG606", "info"), ("SG601", "warning")]
    with pytest.raises(UsageError, match="no option"):
        parse_config({"selekt": []}, Path("x.toml"))


BOMB = (
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in pairwise("abcdefghi"))
    + "spark_conf: {}\n"
)


def test_bad_inputs_cost_only_themselves(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("spark = SparkSession.builder.config('a'")
    (tmp_path / "bad.yaml").write_text("kind: SparkApplication\n\tx: 1")
    (tmp_path / "bin.conf").write_bytes(b"spark.x\0\1\2")
    (tmp_path / "odd.conf").write_bytes(b"spark.executor.memory \xff\xfe4g")
    (tmp_path / "deep.json").write_text('{"spark_conf":' * 5000)
    (tmp_path / "deep.py").write_text("spark = " + "(" * 3000 + ")" * 3000)
    (tmp_path / "bomb.yaml").write_text(BOMB)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "ok.conf").write_text("spark.executor.memroy 4g")
    report = run_gate([tmp_path])
    found = {(Path(f.file).name, f.rule) for f in report.findings}
    assert {("half.py", "SG001"), ("bad.yaml", "SG001"), ("deep.json", "SG001"), ("deep.py", "SG001"), ("ok.conf", "SG101")} <= found
    assert {("gone.py", "SG001"), ("bomb.yaml", "SG001")} <= found
    assert not report.failed


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run_gate([tmp_path / "none"])
