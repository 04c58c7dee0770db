"""Each format: what is read, at which line, and what is left unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_copilot.connectors.settings_files import READERS, read_text, reader_of
from spark_copilot.connectors.settings_files.properties import unescape

P = "spark.sql.shuffle.partitions"


def held(file: str, text: str) -> list[tuple[int, str, str | None]]:
    parsed = read_text(file, text)
    assert parsed is not None
    return [(s.line, s.key, s.value if s.known else None) for s in parsed.settings]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        pytest.param("spark-defaults.conf",
            f"# c\n! c\n\n {P}=1\nspark.a: b \\\n  c\nspark.d\te\n",
            [(4, P, "1"), (5, "spark.a", "b c"), (7, "spark.d", "e")], id="properties"),
        pytest.param("a.sh", f'spark-submit \\\n --conf {P}=1 \\\n --conf "spark.b=$X" a.py', [(2, P, "1"), (3, "spark.b", None)], id="submit"),
        pytest.param("a.sh", f"C=(--conf {P}=1\n  --conf spark.b=2)\nspark-submit \"${{C[@]}}\" a.py", [(1, P, "1"), (2, "spark.b", "2")], id="array"),
        pytest.param("a.sh", f"cat <<X\nspark-submit --conf {P}=1 a.py\nX\n# spark-submit --conf spark.b=1\n", [], id="here-document and comment"),
        pytest.param("a.py",
            f"import pyspark\nN = 2 * 100\nspark.conf.set('{P}', N)\nspark.conf.set('spark.b', f())",
            [(3, P, "200"), (4, "spark.b", None)], id="folding"),
        pytest.param("a.py", f"import pyspark\nN = 1\nN = 2\nspark.conf.set('{P}', N)", [(4, P, None)], id="bound twice"),
        pytest.param("a.py",
            f"import pyspark\nfor k, v in {{'{P}': '1',\n 'spark.b': True}}.items():\n    b = SparkSession.builder.config(k, v)",
            [(2, P, "1"), (3, "spark.b", "true")], id="loop"),
        pytest.param("a.py",
            f"import pyspark\nA = {{'{P}': 1}}\nB = {{**A, 'spark.b': 'x'}}\nSparkConf().setAll(B.items())",
            [(2, P, "1"), (3, "spark.b", "x")], id="merged dictionaries"),
        pytest.param("a.sql", f"-- set {P}=1;\nSELECT ';set {P}=2;';\nset `{P}` = '3';", [(3, P, "3")], id="sql"),
        pytest.param("A.scala",
            f'// .set("{P}", "1")\nval n = 5\nconf.set("{P}", n.toString).set("spark.b", s"$x")\nspark.conf.set("spark.c", 2 * 3)',
            [(3, P, None), (3, "spark.b", None), (4, "spark.c", "6")], id="scala"),
        pytest.param("n.ipynb", f'{{"cells": [{{"cell_type": "code", "source": ["%pip install x\\n",\n"spark.conf.set(\'{P}\', 1)"]}}]}}', [(2, P, "1")], id="notebook"),
        pytest.param("v.yaml",
            "kind: ConfigMap\ndata:\n  spark-defaults.conf: |\n    spark.a 1\n    spark.b {{ .Values.x }}\n",
            [(4, "spark.a", "1"), (5, "spark.b", None)], id="config map in a Helm template"),
        pytest.param("ci.yml", f"steps:\n  - run: |\n      echo x\n      spark-submit --conf {P}=1 a.py\n", [(4, P, "1")], id="workflow"),
        pytest.param("p.yaml", f"command: [spark-submit,\n  --conf, {P}=1, a.py]\n", [(2, P, "1")], id="container"),
        pytest.param("m.tf",
            f'resource "databricks_cluster" "c" {{\n  spark_conf = {{\n    "{P}" = 8\n    "spark.b" = var.x\n  }}\n}}',
            [(3, P, "8"), (4, "spark.b", None)], id="terraform"),
        pytest.param("a.sh", f"if ! spark-submit --conf {P}=1 a.py; then exit 1; fi\nOUT=$(spark-submit \\\n --conf {P}=2 a.py)",
            [(1, P, "1"), (3, P, "2")], id="condition and substitution"),
        pytest.param("a.sh", f"kubectl exec p -- /opt/spark/bin/spark-submit --conf {P}=1 a.py\nssh h 'cd x\nspark-submit --conf {P}=2 a.py'\nbash -c \"spark-submit --conf {P}=3 a.py\"",
            [(1, P, "1"), (3, P, "2"), (4, P, "3")], id="a command inside another"),
        pytest.param("a.sh", f"ssh h 'echo spark-submit --conf {P}=1 a.py'\necho 'spark-submit --conf {P}=2'\ngrep -c 'spark-submit --conf {P}=3' x", [], id="texts that are printed"),
        pytest.param("a.sh", 'aws emr create-cluster --configurations \'[{"Classification": "spark-defaults",\n "Properties": {"spark.a": "1"}}]\'\n'
            'aws glue create-job --default-arguments \'{"--conf": "spark.b=2"}\'\n'
            'databricks jobs create --json \'{"new_cluster": {"num_workers": 2, "spark_conf": {"spark.c": "3"}}}\'',
            [(2, "spark.a", "1"), (3, "spark.b", "2"), (4, "spark.c", "3")], id="JSON of a command line"),
        pytest.param("M.java", f'static final String KEY = "{P}";\nstatic final String OTHER = "x.y";\nb.config(KEY, 8).config(OTHER, 1);\nspark.sqlContext().setConf("spark.b", "2");',
            [(3, P, "8"), (4, "spark.b", "2")], id="constant keys"),
        pytest.param("a.py", f"import pyspark\nsqlContext.setConf('{P}', 8)", [(2, P, "8")], id="setConf"),
        pytest.param("m.tf",
            'resource "aws_emrserverless_application" "a" {\n  runtime_configuration {\n    classification = "spark-defaults"\n'
            '    properties = { "spark.a" = "1", "spark.b" = var.x }\n  }\n}\n'
            'resource "aws_emr_cluster" "c" {\n  step {\n    args = ["spark-submit",\n      "--conf", "spark.c=3", "a.py"]\n  }\n}',
            [(4, "spark.a", "1"), (4, "spark.b", None), (10, "spark.c", "3")], id="terraform on one line, and steps"),
        pytest.param("t.yaml",
            "Resources:\n  J:\n    Properties:\n      GlueVersion: '4.0'\n      DefaultArguments:\n        --conf: spark.a=1\n"
            "  C:\n    Configurations:\n      - Classification: spark-defaults\n        ConfigurationProperties:\n          spark.b: 2\n",
            [(6, "spark.a", "1"), (11, "spark.b", "2")], id="template with Glue and EMR"),
        pytest.param("conf/base/spark.yml", "spark.a: 1\nspark.b: many words here\n", [(1, "spark.a", "1"), (2, "spark.b", None)], id="a map of settings"),
        pytest.param("livy.json", '{"file": "a.py",\n "conf": {"spark.a": "1"}}', [(2, "spark.a", "1")], id="request to Livy"),
    ],
)  # fmt: skip
def test_settings_and_lines(file: str, text: str, expected: list[tuple[int, str, str | None]]) -> None:
    assert held(file, text) == expected


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("log4j.properties", "log4j.rootCategory=INFO\nspark.x=1"),
        ("application.conf", 'spark {\n  master = "local"\n}\n'),
        ("a.json", '{"name": "spark", "list": [1, 2]}'),
        ("a.py", "print(1)"),
        ("tokenizer.json", '{"vocab": {"spark": 1, "classification": 5579, "properties": 7}}'),
        ("data.json", '{"text": "spark.sql"}\n{"text": "spark.x"}\n'),
        ("names.py", "RENAMED = {'spark.akka.frameSize': 'spark.rpc.message.maxSize', 'spark.a': 'x'}"),
        ("a.sh", "echo hello"),
    ],
)
def test_other_files_hold_nothing(file: str, text: str) -> None:
    parsed = read_text(file, text)
    assert parsed is None or not parsed.settings


@pytest.mark.parametrize("name", ["a.py", "a.sql", "a.sh", "a.scala", "a.json", "a.yaml", "a.tf", "a.ipynb", "spark-defaults.conf"])
@given(text=st.text(alphabet="spark.{}[]()=:'\"\\\n\t $#-,{{}}&*!|>%@`set", max_size=200))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    read_text(name, f"spark.conf.set spark-submit set {text}")


def test_every_reader_is_named_in_the_table() -> None:
    assert [reader_of(module).kind for _, module in READERS] == [
        "notebook",
        "python",
        "sql",
        "scala",
        "shell",
        "terraform",
        "document",
        "properties",
    ]


def test_escapes_are_those_of_java_properties() -> None:
    assert unescape(r"a\tb\u0041\=\:c\x") == "a\tbA=:cx"
