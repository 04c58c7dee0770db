"""What runs: one explicit tuple, in the order of the report's families."""

from spark_copilot.rules_engine.rule import AnyRule
from spark_copilot.rules_engine.rules import (
    delta_rules,
    executor_rules,
    failure_rules,
    io_rules,
    join_rules,
    memory_rules,
    partition_rules,
    plan_rules,
    recompute_rules,
    shuffle_rules,
    skew_rules,
    streaming_rules,
)

RULES: tuple[AnyRule, ...] = (
    partition_rules.too_few_partitions,
    partition_rules.too_many_small_tasks,
    partition_rules.oversized_partitions,
    io_rules.unsplittable_input,
    io_rules.small_files_read,
    io_rules.small_files_written,
    io_rules.missing_partition_filter,
    partition_rules.single_partition_window,
    skew_rules.data_skew,
    skew_rules.straggler_tasks,
    skew_rules.slow_node,
    memory_rules.spill,
    memory_rules.gc_pressure,
    memory_rules.out_of_memory,
    memory_rules.memory_overallocated,
    memory_rules.cache_evicted_or_unused,
    plan_rules.python_udf,
    join_rules.nested_loop,
    join_rules.broadcast_missed,
    join_rules.broadcast_too_large,
    join_rules.row_explosion,
    recompute_rules.recomputed_data,
    plan_rules.large_driver_result,
    shuffle_rules.shuffle_fetch_wait,
    shuffle_rules.locality_wait,
    shuffle_rules.task_overhead,
    executor_rules.driver_bound,
    executor_rules.idle_executors,
    executor_rules.allocation_churn,
    executor_rules.speculation_waste,
    failure_rules.task_failures,
    failure_rules.stage_retries,
    failure_rules.executor_lost,
    failure_rules.job_failed,
    delta_rules.delta_small_files,
    delta_rules.delta_full_scan,
    delta_rules.delta_rewrite_amplification,
    streaming_rules.batch_slower_than_trigger,
    streaming_rules.state_growth,
)
"""Every rule on runs. Codes of the vocabulary that need a table's own files have no rule on logs."""


def rule_of(code: str) -> AnyRule | None:
    """The rule of a code; None when there is none."""
    return next((r for r in RULES if r.code == code), None)
