"""Keys that vendors' Sparks read. Data, with source and date.

Sources (2025-11): docs.databricks.com Spark configuration and delta.io configuration pages; AWS EMR release guide "Configure Spark" and
"Optimize Spark performance"; AWS Glue job parameters; Google Dataproc cluster and Serverless properties; Microsoft Fabric and Synapse Spark docs.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vendor:
    """Who reads keys under a prefix. No platforms: a library that runs anywhere."""

    name: str
    platforms: tuple[str, ...]


_DATABRICKS = Vendor("Databricks", ("databricks",))
_EMR = Vendor("Amazon EMR", ("emr", "emr-serverless"))
_DATAPROC = Vendor("Google Dataproc", ("dataproc", "dataproc-serverless"))
_GLUE = Vendor("AWS Glue", ("glue",))
_MICROSOFT = Vendor("Microsoft Fabric or Synapse", ("synapse", "fabric"))
_ANYWHERE = Vendor("a library", ())

PREFIXES: tuple[tuple[str, Vendor], ...] = (
    ("spark.databricks.delta.", _ANYWHERE),
    ("spark.databricks.sql.initial.catalog", _DATABRICKS),
    ("spark.databricks.", _DATABRICKS),
    ("spark.emr-serverless.", Vendor("EMR Serverless", ("emr-serverless",))),
    ("spark.emr.", _EMR),
    ("spark.sql.emr.", _EMR),
    ("spark.blacklist.decommissioning.", _EMR),
    ("spark.decommissioning.timeout.threshold", _EMR),
    ("spark.resourceManager.cleanupExpiredHost", _EMR),
    ("spark.stage.attempt.ignoreOnDecommissionFetchFailure", _EMR),
    ("spark.yarn.heterogeneousExecutors.", _EMR),
    ("spark.sql.parquet.fs.optimized.committer.", Vendor("Amazon EMR", ("emr", "emr-serverless", "glue"))),
    ("spark.sql.optimizer.flattenScalarSubqueriesWithAggregates.enabled", _EMR),
    ("spark.sql.optimizer.distinctBeforeIntersect.enabled", _EMR),
    ("spark.sql.optimizer.sizeBasedJoinReorder.enabled", _EMR),
    ("spark.sql.bloomFilterJoin.enabled", _EMR),
    ("spark.dataproc.", _DATAPROC),
    ("spark.glue.", _GLUE),
    ("spark.synapse.", _MICROSOFT),
    ("spark.microsoft.", _MICROSOFT),
    ("spark.ms.", _MICROSOFT),
    ("spark.rapids.", _ANYWHERE),
    ("spark.gluten.", _ANYWHERE),
    ("spark.comet.", _ANYWHERE),
    ("spark.celeborn.", _ANYWHERE),
    ("spark.rss.", _ANYWHERE),
    ("spark.shuffle.rss.", _ANYWHERE),
    ("spark.openlineage.", _ANYWHERE),
    ("spark.datahub.", _ANYWHERE),
    ("spark.hoodie.", _ANYWHERE),
    ("spark.delta.", _ANYWHERE),
    ("spark.sedona.", _ANYWHERE),
    ("spark.cassandra.", _ANYWHERE),
    ("spark.mongodb.", _ANYWHERE),
    ("spark.es.", _ANYWHERE),
    ("spark.redis.", _ANYWHERE),
    ("spark.snowflake.", _ANYWHERE),
    ("spark.bigquery.", _ANYWHERE),
    ("spark.datasource.", _ANYWHERE),
    ("spark.kyuubi.", _ANYWHERE),
    ("spark.livy.", _ANYWHERE),
    ("spark.jobserver.", _ANYWHERE),
    ("spark.sparklyr.", _ANYWHERE),
    ("spark.sql.cassandra.", _ANYWHERE),
)


def vendor_of(key: str) -> Vendor | None:
    """Who reads this key, when it is not Spark itself."""
    if not key.startswith("spark."):
        return None
    return next((vendor for prefix, vendor in PREFIXES if key.startswith(prefix)), None)


RETIRED_ON_DATABRICKS: dict[str, str] = {
    "spark.databricks.delta.preview.enabled": "Delta needs no preview switch since runtime 6",
    "spark.databricks.passthrough.enabled": "credential passthrough is retired; use Unity Catalog",
    "spark.databricks.pyspark.enablePy4JSecurity": "access modes replace it",
    "spark.databricks.acl.dfAclsEnabled": "table access control on clusters is retired; use Unity Catalog",
    "spark.databricks.pyspark.dbconnect.enabled": "Databricks Connect of today does not need it",
    "spark.databricks.service.server.enabled": "the old Databricks Connect is retired",
    "spark.databricks.service.port": "the old Databricks Connect is retired",
    "spark.databricks.hive.metastore.glueCatalog.preview.enabled": "no preview switch is needed any more",
}

DATABRICKS_SERVERLESS = frozenset(
    [
        "spark.databricks.execution.timeout",
        "spark.sql.ansi.enabled",
        "spark.sql.legacy.timeParserPolicy",
        "spark.sql.session.timeZone",
        "spark.sql.shuffle.partitions",
        "spark.sql.files.maxPartitionBytes",
    ]
)
"""What serverless compute lets a session set. Source: Databricks "Set Spark configuration properties", 2025-11."""

SPARK_OPERATOR_DENIES: dict[str, str] = {
    **{f"spark.kubernetes.authenticate.{r}.serviceAccountName": "set serviceAccount in the spec" for r in ("driver", "executor")},
    **{
        f"spark.kubernetes.authenticate{part}.{kind}": "the operator manages credentials"
        for part in ("", ".driver", ".executor")
        for kind in ("oauthToken", "oauthTokenFile")
    },
    "spark.master": "the operator sets it",
    "spark.kubernetes.driver.master": "the operator sets it",
    "spark.kubernetes.container.image": "use the image field",
    "spark.kubernetes.driver.container.image": "use the driver's image field",
    "spark.kubernetes.executor.container.image": "use the executor's image field",
}
"""sparkConf keys that the webhook of kubeflow/spark-operator 2.x refuses."""

EMR_CLASSIFICATIONS = frozenset(
    [
        "spark",
        "spark-defaults",
        "spark-env",
        "spark-hive-site",
        "spark-log4j",
        "spark-log4j2",
        "spark-metrics",
        "core-site",
        "hadoop-env",
        "hadoop-log4j",
        "hdfs-site",
        "hdfs-env",
        "httpfs-site",
        "httpfs-env",
        "hadoop-kms-site",
        "hadoop-ssl-server",
        "hadoop-ssl-client",
        "mapred-site",
        "mapred-env",
        "yarn-site",
        "yarn-env",
        "capacity-scheduler",
        "container-executor",
        "container-log4j",
        "emrfs-site",
        "hive",
        "hive-site",
        "hive-env",
        "hive-log4j",
        "hive-log4j2",
        "hive-exec-log4j",
        "hive-exec-log4j2",
        "hive-beeline-log4j2",
        "hiveserver2-site",
        "hcatalog-env",
        "hcatalog-server-jndi",
        "hcatalog-server-proto-hive-site",
        "hcatalog-webhcat-env",
        "hcatalog-webhcat-log4j",
        "hcatalog-webhcat-log4j2",
        "hcatalog-webhcat-site",
        "llap-cli-log4j2",
        "llap-daemon-log4j2",
        "hbase",
        "hbase-site",
        "hbase-env",
        "hbase-log4j",
        "hbase-metrics",
        "hbase-policy",
        "hue-ini",
        "jupyter-notebook-conf",
        "jupyter-hub-conf",
        "jupyter-s3-conf",
        "jupyter-sparkmagic-conf",
        "livy-conf",
        "livy-env",
        "livy-log4j",
        "livy-log4j2",
        "oozie-env",
        "oozie-log4j",
        "oozie-site",
        "phoenix-hbase-site",
        "phoenix-hbase-metrics",
        "phoenix-log4j",
        "phoenix-metrics",
        "pig-env",
        "pig-properties",
        "pig-log4j",
        "presto-log",
        "presto-config",
        "presto-env",
        "presto-node",
        "presto-connector-hive",
        "prestosql-config",
        "prestosql-env",
        "trino-config",
        "trino-env",
        "trino-connector-hive",
        "trino-connector-delta",
        "trino-connector-iceberg",
        "trino-log",
        "zeppelin-env",
        "zeppelin-site",
        "zookeeper-config",
        "zookeeper-log4j",
        "tez-site",
        "tez-env",
        "flink-conf",
        "flink-log4j",
        "flink-log4j2",
        "iceberg-defaults",
        "delta-defaults",
        "hudi-defaults",
        "hudi-env",
        "ranger-kms-site",
        "recordserver-env",
        "emr-metrics",
        "export",
        "docker-conf",
        "sqoop-env",
        "sqoop-site",
        "hadoop-streaming-site",
        "hadoop-http-auth-signature-secret",
        "hive-parquet-logging",
        "tls-artifacts",
        "spark-executor-log4j2",
        "spark-driver-log4j2",
        "emr-containers-defaults",
        "emr-job-submitter",
        "job-submitter-auth",
        "spark-session-defaults",
    ]
)
"""EMR configuration classifications. Source: EMR release guides 5.30 to 7.5, EMR on EKS, EMR Serverless (2025-11)."""
