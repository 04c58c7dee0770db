"""On which platform a run ran, from its version and settings."""

from spark_copilot.rules_engine.facts import AppRun


def platform(run: AppRun) -> str:
    """Where the run ran, as far as its settings tell."""
    keys, version = run.environment.spark, run.app.spark_version.lower()
    if any(k.startswith("spark.databricks.") for k in keys):
        return "databricks"
    if "amzn" in version or any(k.startswith(("spark.emr", "spark.yarn.appMasterEnv.EMR")) for k in keys):
        return "emr"
    if any(k.startswith("spark.dataproc.") for k in keys) or "dataproc" in (run.conf("spark.yarn.historyServer.address") or ""):
        return "dataproc"
    master = (run.conf("spark.master") or "").lower()
    for prefix, name in (
        ("local-cluster", "standalone"),
        ("local", "local"),
        ("k8s", "kubernetes"),
        ("yarn", "yarn"),
        ("spark:", "standalone"),
    ):
        if master.startswith(prefix):
            return name
    return "unknown"
