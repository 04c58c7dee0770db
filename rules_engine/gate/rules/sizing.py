"""SG5: executor and driver sizes."""

from collections.abc import Iterator
from dataclasses import dataclass

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.rules.values import is_odd_size
from spark_copilot.rules_engine.gate.setting import STARTUP
from spark_copilot.rules_engine.gate.view import View

MIB, GIB = 1 << 20, 1 << 30
_SERVERLESS = ("emr-serverless", "dataproc-serverless", "databricks", "glue")


@dataclass(frozen=True, slots=True)
class SizingLimits:
    """Thresholds of this family; judgement, so they stand apart from the rules."""

    least_heap: int = 450 * MIB
    """1.5 times Spark's reserve of 300 MiB; below it the memory manager refuses."""
    least_per_core: int = GIB
    most_per_core: int = 16 * GIB
    most_cores: int = 8
    most_heap: int = 64 * GIB
    least_overhead: int = 384 * MIB
    idle_share: float = 0.25


LIMITS = SizingLimits()


def overhead_of(view: View, role: str, heap: int) -> int | None:
    """Bytes beside the heap: written, or the factor of the heap with its floor; None when not known."""
    written = view.get(f"spark.{role}.memoryOverhead") or view.get(f"spark.yarn.{role}.memoryOverhead")
    if written is not None:
        return values.size(written.value, "MiB") if written.known else None
    factor = view.number(f"spark.{role}.memoryOverheadFactor") or view.number("spark.kubernetes.memoryOverheadFactor")
    if factor is None:
        factor = 0.4 if view.master == "kubernetes" and _is_python(view) else 0.1
    return max(int(heap * factor), LIMITS.least_overhead)


def _is_python(view: View) -> bool:
    return any(mark.text == "python" for mark in view.marked("language"))


def executor_bytes(view: View) -> int | None:
    """What one executor takes of a node: heap, overhead, Python and off-heap memory; None when a part is not known."""
    heap = view.size("spark.executor.memory")
    if heap is None:
        return None
    overhead = overhead_of(view, "executor", heap)
    python = view.size("spark.executor.pyspark.memory") if view.get("spark.executor.pyspark.memory") else 0
    offheap = view.size("spark.memory.offHeap.size") if view.says("spark.memory.offHeap.enabled", True) else 0
    return None if overhead is None or python is None else heap + overhead + python + (offheap or 0)


@gate_rule("SG501", "executor-does-not-fit", "error")
def does_not_fit(view: View) -> Iterator[Hit]:
    """Heap, overhead, Python and off-heap memory together are more than a node or YARN gives: no executor ever starts.

    Example: spark.executor.memory 64g on nodes of 64g
    Fix: a smaller executor
    When not: needs a node profile (--profile).
    """
    memory, profile, total = view.get("spark.executor.memory"), view.target.profile, executor_bytes(view)
    if memory is None or profile is None or total is None:
        return
    limits = [n for n in (profile.memory_bytes, profile.yarn_max_bytes) if n]
    if limits and total > min(limits):
        yield Hit(
            memory.line,
            f"an executor takes {total / GIB:.1f} GiB in all; at most {min(limits) / GIB:.1f} GiB are there",
            memory.key,
            memory.column,
            "a smaller executor",
        )


@gate_rule("SG502", "cores-do-not-fit", "error")
def cores_do_not_fit(view: View) -> Iterator[Hit]:
    """An executor asks for more cores than a node or YARN has: none ever starts.

    Example: spark.executor.cores 16 on nodes of 8
    Fix: fewer cores
    When not: needs a node profile (--profile).
    """
    cores, profile, count = view.get("spark.executor.cores"), view.target.profile, view.count("spark.executor.cores")
    if cores is None or profile is None or count is None:
        return
    limits = [n for n in (profile.cores, profile.yarn_max_cores) if n]
    if limits and count > min(limits):
        yield Hit(
            cores.line, f"an executor asks for {count} cores; at most {min(limits)} are there", cores.key, cores.column, "fewer cores"
        )


@gate_rule("SG503", "node-badly-packed", "warning")
def badly_packed(view: View) -> Iterator[Hit]:
    """Executors of this shape leave more than a quarter of a node's memory or cores unused.

    Example: 20g executors on nodes of 32g
    Fix: a shape that divides the node
    When not: needs a node profile (--profile).
    """
    memory, profile, total, cores = (
        view.get("spark.executor.memory"),
        view.target.profile,
        executor_bytes(view),
        view.count("spark.executor.cores"),
    )
    if memory is None or profile is None or total is None or not cores or not profile.memory_bytes or not profile.cores:
        return
    fit = min(profile.memory_bytes // total, profile.cores // cores)
    if fit < 1:
        return
    idle_memory = 1 - fit * total / profile.memory_bytes
    idle_cores = 1 - fit * cores / profile.cores
    if max(idle_memory, idle_cores) > LIMITS.idle_share:
        yield Hit(
            memory.line,
            f"{fit} executors a node leave {idle_memory:.0%} of its memory and {idle_cores:.0%} of its cores idle",
            memory.key,
            memory.column,
            "another shape",
        )


@gate_rule("SG504", "memory-per-core-odd", "warning")
def memory_per_core(view: View) -> Iterator[Hit]:
    """Less than 1 GiB or more than 16 GiB of heap for each core: tasks spill, or memory lies idle.

    Example: spark.executor.memory 2g with spark.executor.cores 4
    Fix: 2 to 8 GiB a core
    When not: special workloads; the thresholds are judgement.
    """
    memory, heap, cores = view.get("spark.executor.memory"), view.size("spark.executor.memory"), view.count("spark.executor.cores")
    if memory is None or not heap or not cores or cores < 1 or heap < LIMITS.least_heap or view.on(*_SERVERLESS) or view.is_test:
        return
    share = heap / cores
    too_little = share < LIMITS.least_per_core and cores > 1  # one small core is a toy or a test, not a mistake
    if too_little or share > LIMITS.most_per_core:
        yield Hit(
            memory.line,
            f"{share / GIB:.1f} GiB of heap for each of {cores} cores",
            memory.key,
            memory.column,
            "between 1 and 16 GiB a core",
        )


@gate_rule("SG505", "many-cores-per-executor", "warning")
def many_cores(view: View) -> Iterator[Hit]:
    """More than 8 cores in one JVM: garbage collection and file-system clients become the limit.

    Example: spark.executor.cores 16
    Fix: 4 or 5, and more executors
    When not: platforms that fix the sizes.
    """
    cores, count = view.get("spark.executor.cores"), view.count("spark.executor.cores")
    if cores is not None and count is not None and count > LIMITS.most_cores and not view.on(*_SERVERLESS) and not view.is_local:
        yield Hit(cores.line, f"{count} cores in one executor", cores.key, cores.column, "4 or 5 cores and more executors")


@gate_rule("SG506", "very-large-heap", "warning")
def very_large_heap(view: View) -> Iterator[Hit]:
    """A heap above 64g: long collections, and one lost executor loses much.

    Example: spark.executor.memory 120g
    Fix: smaller executors
    When not: platforms that fix the sizes.
    """
    memory, heap = view.get("spark.executor.memory"), view.size("spark.executor.memory")
    if (
        memory is not None
        and heap is not None
        and heap > LIMITS.most_heap
        and not view.on(*_SERVERLESS)
        and not is_odd_size(view, memory.key)
    ):
        yield Hit(memory.line, f"a heap of {heap / GIB:.0f} GiB", memory.key, memory.column, "several smaller executors")


@gate_rule("SG507", "python-overhead-too-small", "warning")
def python_overhead(view: View) -> Iterator[Hit]:
    """Python workers live in the overhead; with the default tenth, pandas and UDF work gets containers killed.

    Example: pandas UDFs with spark.executor.memory 8g and no overhead
    Fix: spark.executor.memoryOverhead 2g, or spark.executor.pyspark.memory
    When not: jobs without Python workers.
    """
    overhead, memory = view.get("spark.executor.memoryOverhead"), view.get("spark.executor.memory")
    if view.is_local or view.is_test or view.on(*_SERVERLESS):
        return
    size = view.size("spark.executor.memoryOverhead")
    if overhead is not None:
        if size is not None and 0 < size < LIMITS.least_overhead and _is_python(view) and not is_odd_size(view, overhead.key):
            yield Hit(
                overhead.line,
                f"an overhead of {size // MIB} MiB is below Spark's own minimum of 384 MiB",
                overhead.key,
                overhead.column,
                "384m at least",
            )
    elif (
        memory is not None
        and memory.place in STARTUP
        and view.master in ("yarn", "standalone")
        and view.has("pandas")
        and view.kind in ("python", "notebook")
    ):
        factor = view.first("spark.executor.memoryOverheadFactor", "spark.executor.pyspark.memory", "spark.yarn.executor.memoryOverhead")
        if factor is None:
            yield Hit(
                memory.line,
                "Python workers share the default overhead of a tenth of the heap",
                memory.key,
                memory.column,
                "set spark.executor.memoryOverhead or spark.executor.pyspark.memory",
            )


@gate_rule("SG508", "overhead-factor-is-percent", "error")
def overhead_factor(view: View) -> Iterator[Hit]:
    """The factor is a share of the heap: 10 asks for ten times the heap, not for ten percent.

    Example: spark.executor.memoryOverheadFactor 10
    Fix: spark.executor.memoryOverheadFactor 0.1
    When not: factors above 1 on purpose.
    """
    for key in ("spark.executor.memoryOverheadFactor", "spark.driver.memoryOverheadFactor", "spark.kubernetes.memoryOverheadFactor"):
        s, factor = view.get(key), view.number(key)
        if s is not None and factor is not None and factor > 1:
            yield Hit(s.line, f"a factor of {factor:g} asks for {factor:g} times the heap", key, s.column, f"write {factor / 100:g}")


@gate_rule("SG509", "heap-below-minimum", "error")
def heap_below_minimum(view: View) -> Iterator[Hit]:
    """Spark refuses heaps below 450 MiB.

    Example: spark.executor.memory 256m
    Fix: 512m or more
    When not: never.
    """
    for key in ("spark.executor.memory", "spark.driver.memory"):
        s, heap = view.get(key), view.size(key)
        if s is not None and heap is not None and 0 < heap < LIMITS.least_heap and not is_odd_size(view, key) and s.place in STARTUP:
            yield Hit(s.line, f"{s.value} is below the 450 MiB that Spark needs", key, s.column, "512m or more")


_SAFETY = (
    "spark.shuffle.service.enabled", "spark.dynamicAllocation.shuffleTracking.enabled", "spark.decommission.enabled",
    "spark.shuffle.sort.io.plugin.class", "spark.shuffle.manager",
)  # fmt: skip


@gate_rule("SG510", "dynamic-allocation-without-shuffle-safety", "error")
def no_shuffle_safety(view: View) -> Iterator[Hit]:
    """Dynamic allocation must keep shuffle files of removed executors; without a shuffle service, tracking or decommissioning it does not start.

    Example: spark.dynamicAllocation.enabled true on Spark 3.3 alone
    Fix: spark.dynamicAllocation.shuffleTracking.enabled true, or the shuffle service
    When not: Spark 3.4 and newer track by default.
    """
    on = view.says("spark.dynamicAllocation.enabled", True)
    if (
        on is None
        or on.place not in STARTUP
        or view.is_local
        or view.on("databricks", "emr", "emr-serverless", "dataproc", "dataproc-serverless", "glue")
    ):
        return
    if view.kind == "sparkapplication" and on.origin:
        return  # the operator switches tracking on
    service, tracking = view.get(_SAFETY[0]), view.text_or_default(_SAFETY[1])
    if any(s is not None and not s.known for s in map(view.get, _SAFETY)) or view.has("spark-conf-unknown"):
        return
    safe = [
        service is not None and values.boolean(service.value) is not False,
        tracking is None or values.boolean(tracking) is not False,
        view.says("spark.decommission.enabled", True) is not None,
        view.get(_SAFETY[3]) is not None,
        view.get(_SAFETY[4]) is not None and "." in (view.text(_SAFETY[4]) or ""),
    ]
    if not any(safe):
        yield Hit(
            on.line,
            "dynamic allocation without a shuffle service, shuffle tracking or decommissioning",
            on.key,
            on.column,
            "set spark.dynamicAllocation.shuffleTracking.enabled=true",
        )


@gate_rule("SG511", "dynamic-allocation-unbounded", "warning")
def unbounded(view: View) -> Iterator[Hit]:
    """Without maxExecutors one job may take the whole cluster (the default is 2147483647).

    Example: spark.dynamicAllocation.enabled true
    Fix: spark.dynamicAllocation.maxExecutors 50
    When not: platforms that set the limit.
    """
    on = view.says("spark.dynamicAllocation.enabled", True)
    if on is None or on.place not in STARTUP or view.is_test or view.is_local or view.on(*_SERVERLESS) or view.has("spark-conf-unknown"):
        return
    if view.get("spark.dynamicAllocation.maxExecutors") is None:
        yield Hit(on.line, "dynamic allocation without an upper limit", on.key, on.column, "set spark.dynamicAllocation.maxExecutors")


@gate_rule("SG512", "shuffle-service-on-kubernetes", "error")
def service_on_kubernetes(view: View) -> Iterator[Hit]:
    """Kubernetes has no external shuffle service: executors fail to register with it.

    Example: spark.shuffle.service.enabled true on Kubernetes
    Fix: spark.dynamicAllocation.shuffleTracking.enabled true
    When not: never.
    """
    on = view.says("spark.shuffle.service.enabled", True)
    if on is not None and (view.master == "kubernetes" or view.on("kubernetes")) and on.place in STARTUP:
        yield Hit(
            on.line, "Kubernetes has no external shuffle service", on.key, on.column, "use spark.dynamicAllocation.shuffleTracking.enabled"
        )


@gate_rule("SG513", "results-larger-than-driver", "warning")
def results_larger_than_driver(view: View) -> Iterator[Hit]:
    """Results or broadcasts may grow beyond the driver's heap: the driver dies instead of the query.

    Example: spark.driver.maxResultSize 8g with spark.driver.memory 4g
    Fix: a limit below the heap
    When not: never.
    """
    heap = view.size("spark.driver.memory")
    if not heap:
        return
    results, most = view.get("spark.driver.maxResultSize"), view.size("spark.driver.maxResultSize")
    if results is not None and most is not None and most >= heap:
        yield Hit(
            results.line,
            f"results of {results.value} do not fit into a driver of {view.text('spark.driver.memory')}",
            results.key,
            results.column,
            "below spark.driver.memory",
        )
    broadcast, size = view.get("spark.sql.autoBroadcastJoinThreshold"), view.size("spark.sql.autoBroadcastJoinThreshold")
    if broadcast is not None and size is not None and size > heap / 3:
        yield Hit(
            broadcast.line,
            f"broadcasts of {broadcast.value} in a driver of {view.text('spark.driver.memory')}",
            broadcast.key,
            broadcast.column,
            "below a third of spark.driver.memory",
        )


@gate_rule("SG514", "result-size-unlimited", "warning")
def unlimited_results(view: View) -> Iterator[Hit]:
    """0 takes the limit away: one collect can bring the driver down.

    Example: spark.driver.maxResultSize 0
    Fix: a limit, for instance 4g
    When not: never in a shared configuration.
    """
    s = view.get("spark.driver.maxResultSize")
    if s is not None and view.size(s.key) == 0:
        yield Hit(s.line, "results of any size are taken to the driver", s.key, s.column, "a limit such as 4g")


@gate_rule("SG515", "memory-fraction-extreme", "warning")
def memory_fraction(view: View) -> Iterator[Hit]:
    """Outside 0.4 to 0.8 either your own objects or Spark's work get too little heap.

    Example: spark.memory.fraction 0.9
    Fix: the default, 0.6
    When not: after measuring.
    """
    for key, low, high in (("spark.memory.fraction", 0.4, 0.8), ("spark.memory.storageFraction", 0.0, 0.9)):
        s, number = view.get(key), view.number(key)
        if s is not None and number is not None and 0 <= number < 1 and not low <= number <= high:
            yield Hit(s.line, f"{key}={s.value} is far from the default", key, s.column, "leave the default")


@gate_rule("SG516", "default-parallelism-not-numeric", "error")
def default_parallelism(view: View) -> Iterator[Hit]:
    """Spark takes any text here at start and fails with the first shuffle of an RDD.

    Example: spark.default.parallelism auto
    Fix: a number
    When not: never.
    """
    s = view.get("spark.default.parallelism")
    if s is not None and s.known and s.value.strip():
        number = values.integer(s.value)
        if number is None or number <= 0:
            yield Hit(s.line, f"{s.key} must be a number above 0, not {s.value!r}", s.key, s.column, "a number")


RULES = (
    does_not_fit, cores_do_not_fit, badly_packed, memory_per_core, many_cores, very_large_heap, python_overhead, overhead_factor,
    heap_below_minimum, no_shuffle_safety, unbounded, service_on_kubernetes, results_larger_than_driver, unlimited_results, memory_fraction,
    default_parallelism,
)  # fmt: skip
