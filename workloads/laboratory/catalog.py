"""Every laboratory run, in families. A faulty run stands before its look-alike and its mended twin."""

from spark_copilot.workloads.laboratory import cluster_jobs as cluster
from spark_copilot.workloads.laboratory import data_jobs as data
from spark_copilot.workloads.laboratory import plan_jobs as plan
from spark_copilot.workloads.laboratory import second_jobs as second
from spark_copilot.workloads.laboratory.cluster_jobs import CLUSTER
from spark_copilot.workloads.laboratory.scenario import Scenario

_NO_AQE = {"spark.sql.adaptive.enabled": "false"}
_TIGHT = {"spark.memory.fraction": "0.08", "spark.sql.adaptive.enabled": "false"}
_COME_AND_GO = {
    **CLUSTER,
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.minExecutors": "0",
    "spark.dynamicAllocation.maxExecutors": "3",
    "spark.dynamicAllocation.executorIdleTimeout": "2s",
}

_ALL = (
    Scenario("healthy-report", "healthy", plan.healthy_report),
    Scenario("hot-key", "fault", data.hot_key_shuffle, ("data-skew",)),
    Scenario("hot-key-salted", "mended", data.salted_shuffle, mends="hot-key"),
    Scenario("skewed-join", "fault", data.hot_key_join, ("data-skew",), conf=_NO_AQE),
    Scenario("even-join", "mended", data.even_join, mends="skewed-join", conf=_NO_AQE),
    Scenario("slow-lookup", "fault", data.slow_lookup, ("straggler-tasks",)),
    Scenario("even-sleep", "mended", data.even_sleep, mends=None),
    Scenario("slow-first-wave", "lookalike", data.slow_first_wave),
    Scenario("one-partition", "fault", data.one_partition, ("too-few-partitions",)),
    Scenario("eight-partitions", "mended", data.two_partitions_and_more, mends="one-partition"),
    Scenario(
        "one-shuffle-partition",
        "fault",
        data.low_shuffle_partitions,
        ("too-few-partitions",),
        conf={**_NO_AQE, "spark.sql.shuffle.partitions": "1"},
    ),
    Scenario("eight-shuffle-partitions", "mended", data.low_shuffle_partitions, mends="one-shuffle-partition", conf=_NO_AQE),
    Scenario("global-top", "lookalike", data.global_top),
    Scenario("crumbs", "fault", data.crumbs, ("too-many-small-tasks",), ("task-overhead",), conf=_NO_AQE),
    Scenario("crumbs-gathered", "mended", data.crumbs_mended, mends="crumbs", conf=_NO_AQE),
    Scenario("one-gz", "fault", data.scan_csv, ("unsplittable-input",), prepare=data.write_small_gz),
    Scenario(
        "one-csv", "mended", data.scan_csv, mends="one-gz", prepare=data.write_plain_csv, conf={"spark.sql.files.maxPartitionBytes": "32m"}
    ),
    Scenario("many-files", "fault", data.scan_files, ("small-files-read",), ("driver-bound",), prepare=data.write_many_files),
    Scenario("few-files", "mended", data.scan_files, mends="many-files", prepare=data.write_few_files),
    Scenario("sprayed-files", "fault", data.spray_files, ("small-files-written",)),
    Scenario("gathered-files", "mended", data.gathered_files, mends="sprayed-files"),
    Scenario(
        "every-day",
        "fault",
        data.scan_all_days,
        ("missing-partition-filter",),
        ("recomputed-data", "driver-bound"),
        prepare=data.write_partitioned,
    ),
    Scenario("one-day", "mended", data.scan_one_day, mends="every-day", prepare=data.write_partitioned),
    Scenario("global-window", "fault", data.global_window, ("single-partition-window",)),
    Scenario("keyed-window", "mended", data.keyed_window, mends="global-window"),
    Scenario("big-sort", "fault", plan.big_sort, ("spill",), ("SG515",), conf={**_TIGHT, "spark.driver.memory": "3g"}),
    Scenario("big-sort-room", "mended", plan.big_sort, mends="big-sort", conf={**_NO_AQE, "spark.driver.memory": "3g"}),
    Scenario("row-udf", "fault", plan.row_udf, ("python-udf",)),
    Scenario("native-expression", "mended", plan.native_expression, mends="row-udf"),
    Scenario("small-udf", "lookalike", plan.small_udf),
    Scenario("nested-loop", "fault", plan.nested_loop, ("cartesian-or-nested-loop-join",)),
    Scenario("equi-join", "mended", plan.equi_join, mends="nested-loop"),
    Scenario(
        "sorted-small-side",
        "fault",
        plan.shuffled_small_side,
        ("broadcast-missed",),
        conf={"spark.sql.autoBroadcastJoinThreshold": "-1", **_NO_AQE},
    ),
    Scenario("broadcast-small-side", "mended", plan.shuffled_small_side, mends="sorted-small-side", conf=_NO_AQE),
    Scenario("huge-broadcast", "fault", plan.huge_broadcast, ("broadcast-too-large",), conf={"spark.driver.memory": "3g"}),
    Scenario("exploding-join", "fault", plan.exploding_join, ("row-explosion",)),
    Scenario("unique-join", "mended", plan.unique_join, mends="exploding-join"),
    Scenario("again-and-again", "fault", plan.again_and_again, ("recomputed-data",)),
    Scenario("once-and-kept", "mended", plan.once_and_kept, mends="again-and-again"),
    Scenario(
        "fetch-everything", "fault", plan.fetch_everything, ("large-driver-result",), ("driver-bound",), conf={"spark.driver.memory": "3g"}
    ),
    Scenario("fetch-summary", "mended", plan.fetch_summary, mends="fetch-everything"),
    Scenario("cache-for-nothing", "fault", plan.cache_for_nothing, ("cache-evicted-or-unused",)),
    Scenario("slow-driver", "fault", plan.slow_driver, ("driver-bound",), ("recomputed-data",)),
    Scenario("quick-driver", "mended", plan.quick_driver, allow=("recomputed-data",), mends="slow-driver"),
    Scenario("flaky-tasks", "fault", plan.flaky_tasks, ("task-failures",), conf={"spark.master": "local[2,4]"}),
    Scenario("failing-job", "fault", plan.failing_job, ("job-failed",), ("task-failures",), fails=True),
    Scenario("slow-executor", "fault", cluster.one_slow_executor, ("slow-node",), conf=CLUSTER),
    Scenario("even-executors", "mended", cluster.even_executors, mends="slow-executor", conf=CLUSTER),
    Scenario("one-core-needed", "fault", cluster.one_core_needed, ("idle-executors",), ("too-few-partitions",), conf=CLUSTER),
    Scenario("lost-executor", "fault", cluster.lost_executor, ("executor-lost", "stage-retries"), ("task-failures",), conf=CLUSTER),
    Scenario("come-and-go", "fault", cluster.bursts, ("allocation-churn",), ("driver-bound", "idle-executors"), conf=_COME_AND_GO),
    Scenario(
        "locality-wait",
        "fault",
        cluster.waits_for_locality,
        ("locality-wait",),
        ("python-udf",),
        conf={**CLUSTER, "spark.locality.wait": "8s"},
    ),
    Scenario("grouped-hot-key", "fault", second.grouped_hot_key, ("data-skew",), ("python-udf",)),
    Scenario("window-on-hot-key", "fault", second.window_on_hot_key, ("data-skew",), conf=_NO_AQE),
    Scenario("slow-call", "fault", second.slow_call_in_udf, ("straggler-tasks",), ("python-udf",)),
    Scenario("coalesce-before-work", "fault", second.coalesce_before_work, ("too-few-partitions",)),
    Scenario("rdd-again", "fault", second.rdd_again, ("recomputed-data",), ("python-udf",)),
    Scenario("small-jobs", "fault", second.loop_of_small_jobs, ("driver-bound",), ("task-overhead",)),
    Scenario("exploded-arrays", "fault", second.explode_arrays, ("row-explosion",)),
    Scenario(
        "big-closure",
        "fault",
        second.big_closure,
        ("too-many-small-tasks", "task-overhead"),
        ("python-udf", "recomputed-data", "driver-bound"),
    ),
    Scenario("evicted-cache", "fault", second.evicted_cache, ("cache-evicted-or-unused",), ("recomputed-data",)),
    Scenario(
        "greedy-task",
        "fault",
        second.greedy_task,
        ("out-of-memory",),
        ("executor-lost", "task-failures", "job-failed", "stage-retries"),
        conf=CLUSTER,
        fails=True,
    ),
    Scenario(
        "idle-heap",
        "fault",
        second.idle_heap,
        ("memory-overallocated",),
        ("recomputed-data",),
        conf={
            "spark.master": "local-cluster[2,1,4096]",
            "spark.executor.memory": "4g",
            "spark.executor.cores": "1",
            "spark.executor.heartbeatInterval": "2s",
        },
    ),
    Scenario("late-batches", "fault", second.late_batches, ("batch-slower-than-trigger",), ("driver-bound",)),
    Scenario("quick-batches", "lookalike", second.quick_batches),
    Scenario("endless-state", "fault", second.endless_state, ("state-growth",), ("batch-slower-than-trigger", "spill")),
)

SCENARIOS = {scenario.name: scenario for scenario in _ALL}
