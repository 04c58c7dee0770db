"""dbt: profiles of its Spark adapters, hooks and clusters in projects, property files and models; Jinja is never guessed."""

import pytest

from spark_copilot.connectors.settings_files import read_text
from tests.connectors.settings_files.test_readers import held

P = "spark.sql.shuffle.partitions"

MODEL = f"""{{#- pre_hook="set {P}=1" -#}}
{{{{
  config(
    enabled = true,
    meta = {{'a': {{'pre_hook': 'set spark.none=1'}}}},
    pre_hook = [
      "SET {P} = 200",
      "set spark.b={{{{ var('x', '1') }}}}",
      {{"sql": "set spark.c=4g", "transaction": false}},
      after_commit("set spark.d=10mb; set spark.e=1")
    ],
    post_hook = "set spark.f=" ~ var('n'),
    sql_header = 'set spark.g=1;
       set spark.h=yes;'
  )
}}}}
{{% call set_sql_header(config) %}}
set spark.i=true;
{{%- endcall %}}
select 'set spark.q=1;' as x, ";", `a;b` from {{{{ ref('a') }}}} -- ; set spark.z=1
"""


def test_a_model_says_its_hooks_and_header() -> None:
    assert held("models/m.sql", MODEL) == [
        (7, P, "200"),
        (8, "spark.b", None),
        (9, "spark.c", "4g"),
        (10, "spark.d", "10mb"),
        (10, "spark.e", "1"),
        (13, "spark.g", "1"),
        (14, "spark.h", "yes"),
        (18, "spark.i", "true"),
    ]


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        pytest.param("dbt_project.yml",
            f"name: shop\nvars:\n  pre_hook: set spark.no=1\non-run-start:\n  - set {P}=8\nmodels:\n  shop:\n    +pre-hook:\n      - sql: set spark.b=1\n"
            "      - '{{ set_things() }}'\n    marts:\n      +post-hook: |-\n        set spark.c=1;\n        set spark.d={{ target.name }}\n",
            [(5, P, "8"), (9, "spark.b", "1"), (13, "spark.c", "1"), (14, "spark.d", None)], id="project"),
        pytest.param("models/schema.yml",
            "version: 2\nmodels:\n  - name: a\n    config:\n      job_cluster_config:\n        spark_version: 15.4.x-scala2.12\n        spark_conf:\n"
            "          spark.a: 1\n    columns:\n      - name: x\n        meta: {pre_hook: set spark.no=1}\n",
            [(8, "spark.a", "1")], id="cluster of a Python model"),
        pytest.param("models/properties.yml",
            "models:\n  - name: a\n    config:\n      engine_config:\n        MaxConcurrentDpus: 4\n        SparkProperties:\n          spark.a: '2'\n",
            [(7, "spark.a", "2")], id="Athena"),
        pytest.param("models/p.py",
            "def model(dbt, spark):\n    dbt.config(\n        pre_hook='set spark.a=1',\n        job_cluster_config={'num_workers': 2,\n"
            "            'spark_conf': {'spark.b': '2'}},\n        engine_config={'SparkProperties': {'spark.c': '3'}},\n    )\n    x = dbt.config.get('spark.d')\n",
            [(3, "spark.a", "1"), (5, "spark.b", "2"), (6, "spark.c", "3")], id="Python model"),
        pytest.param("profiles.yml",
            "a:\n  outputs:\n    prod:\n      type: glue\n      glue_version: '4.0'\n      conf: spark.a=1 --conf spark.b=x=y\n"
            "    two:\n      type: glue\n      conf: |\n        --conf spark.c=1\n        --conf spark.d={{ env_var('D') }}\n",
            [(6, "spark.a", "1"), (6, "spark.b", "x=y"), (10, "spark.c", "1"), (11, "spark.d", None)], id="dbt-glue"),
        pytest.param("profiles.yml",
            "a:\n  outputs:\n    prod:\n      type: fabricspark\n      spark_config:\n        name: x\n        conf:\n          spark.a: '1'\n"
            "    bq:\n      type: bigquery\n      dataproc_batch:\n        runtime_config:\n          properties:\n            spark.b: '2'\n",
            [(8, "spark.a", "1"), (14, "spark.b", "2")], id="Fabric and Dataproc"),
    ],
)  # fmt: skip
def test_settings_and_lines(file: str, text: str, expected: list[tuple[int, str, str | None]]) -> None:
    assert held(file, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ config(pre_hook=\"set spark.a='x' \n select 1 -- spark",
        "{{ config(materialized='table', tblproperties={'delta.x': 'spark'}) }} select 1",
        "{{ config(pre_hook=make('set spark.a=1')) }} select 1",
        "{{ config(**spark_defaults) }} select 1",
        "{{ config(" * 50_000 + "spark",
    ],
)
def test_what_is_not_literal_in_a_model_says_nothing(text: str) -> None:
    parsed = read_text("m.sql", text)
    assert parsed is None or (parsed.settings, parsed.error) == ((), None)


def test_a_property_file_without_spark_settings_is_no_dbt_file() -> None:
    parsed = read_text("schema.yml", "version: 2\nmodels:\n  - name: spark_sales\n    config: {materialized: table}\n")
    assert parsed is not None
    assert parsed.kind == "other"
