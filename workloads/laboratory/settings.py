"""Settings that several laboratory runs share, and codes that several allow."""

from spark_copilot.workloads.laboratory.cluster_jobs import CLUSTER

NO_AQE = {"spark.sql.adaptive.enabled": "false"}
TIGHT = {"spark.memory.fraction": "0.08", "spark.sql.adaptive.enabled": "false"}
COME_AND_GO = {
    **CLUSTER,
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "0",
    "spark.dynamicAllocation.maxExecutors": "3",
    "spark.dynamicAllocation.executorIdleTimeout": "2s",
}

STREAM = {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "4"}
DELTA_OWN = ("driver-bound",)
"""Between the jobs of a Delta operation the driver reads and writes the table's log: in a run of some seconds that is a true share of it."""
