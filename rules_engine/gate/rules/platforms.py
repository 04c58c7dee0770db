"""SG9: what one platform refuses, ignores or needs."""

from collections.abc import Iterator

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import Fix, Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.rules.sizing import GIB, overhead_of
from spark_copilot.rules_engine.gate.setting import Place
from spark_copilot.rules_engine.gate.spelling import distance
from spark_copilot.rules_engine.gate.vendors import DATABRICKS_SERVERLESS, EMR_CLASSIFICATIONS, RETIRED_ON_DATABRICKS, SPARK_OPERATOR_DENIES
from spark_copilot.rules_engine.gate.view import View


@gate_rule("SG901", "k8s-limit-below-request", "error")
def limit_below_request(view: View) -> Iterator[Hit]:
    """Kubernetes refuses a pod whose limit is below its request.

    Example: coreLimit 500m with coreRequest 1
    Fix: a limit at or above the request
    When not: never.
    """
    for role in ("driver", "executor"):
        limit, request = (view.get(f"spark.kubernetes.{role}.{kind}.cores") for kind in ("limit", "request"))
        if limit is not None and limit.known:
            against = request if request is not None else view.get(f"spark.{role}.cores")
            most = values.cpus(limit.value)
            least = values.cpus(against.value) if against is not None and against.known else None
            if most is not None and least is not None and most < least and against is not None:
                yield Hit(
                    limit.line,
                    f"the limit of {limit.value} cores is below the request of {against.value}",
                    limit.key,
                    limit.column,
                    "raise the limit",
                    related=against.line,
                )
        for mark in view.marked(f"{role}-memory-limit"):
            heap = view.size(f"spark.{role}.memory")
            most_bytes = values.kubernetes_size(mark.text) if heap else None
            overhead = overhead_of(view, role, heap) if heap else None
            if heap and most_bytes is not None and overhead is not None and most_bytes < heap + overhead:
                yield Hit(
                    mark.line,
                    f"the memory limit of {mark.text} is below heap and overhead together",
                    f"spark.{role}.memory",
                    mark.column,
                    "raise the limit",
                )


@gate_rule("SG902", "k8s-request-far-below-cores", "warning")
def request_below_cores(view: View) -> Iterator[Hit]:
    """Spark runs as many tasks as cores, the pod asks for less than half of them: tasks wait for CPU.

    Example: cores 4 with coreRequest 1
    Fix: a request near the cores
    When not: tasks that mostly wait.
    """
    for role in ("driver", "executor"):
        request, cores = view.get(f"spark.kubernetes.{role}.request.cores"), view.get(f"spark.{role}.cores")
        if request is None or cores is None or not request.known or not cores.known:
            continue
        asked, used = values.cpus(request.value), values.cpus(cores.value)
        if asked is not None and used is not None and asked < used / 2:
            yield Hit(
                request.line,
                f"the pod asks for {request.value} of the {cores.value} cores that Spark uses",
                request.key,
                request.column,
                "ask for what is used",
                related=cores.line,
            )


@gate_rule("SG903", "crd-value-not-a-string", "error")
def not_a_string(view: View) -> Iterator[Hit]:
    """sparkConf and hadoopConf map text to text: an unquoted true or number is refused by the API server.

    Example: spark.sql.adaptive.enabled: true
    Fix: spark.sql.adaptive.enabled: "true"
    When not: never.
    """
    for s in view.settings:
        if view.kind == "sparkapplication" and s.origin in ("sparkConf", "hadoopConf") and s.kind != "string":
            edit = Fix(s.line, f": {s.raw}", f': "{s.raw}"') if s.raw else None
            yield Hit(
                s.line, f"{s.raw or s.value} is a {s.kind} here, a string is needed", s.key, s.column, f'write "{s.raw or s.value}"', edit
            )


@gate_rule("SG904", "crd-key-not-allowed", "error")
def key_not_allowed(view: View) -> Iterator[Hit]:
    """The operator's webhook refuses an application that sets this key.

    Example: spark.kubernetes.container.image in sparkConf
    Fix: the field of the spec
    When not: operators without the webhook.
    """
    for s in view.settings:
        if view.kind != "sparkapplication" or s.origin != "sparkConf":
            continue
        why = SPARK_OPERATOR_DENIES.get(s.key)
        namespace = next((m.text for m in view.marked("namespace")), None)
        if s.key == "spark.kubernetes.namespace" and namespace is not None and s.known and s.value != namespace:
            why = f"it must equal the application's namespace, {namespace}"
        if why:
            yield Hit(s.line, f"the operator refuses {s.key}: {why}", s.key, s.column, why)


@gate_rule("SG905", "crd-field-and-conf-disagree", "warning")
def field_and_conf(view: View) -> Iterator[Hit]:
    """A field of the spec and the same key in sparkConf say different things.

    Example: executor.memory 8g with spark.executor.memory 6g
    Fix: keep the field
    When not: never.
    """
    if view.kind != "sparkapplication":
        return
    fields = {s.key: s for s in view.settings if s.place is Place.FLAG}
    for s in view.settings:
        other = fields.get(s.key)
        if (
            s.origin == "sparkConf"
            and other is not None
            and s.known
            and other.known
            and s.value.strip().lower() != other.value.strip().lower()
        ):
            yield Hit(
                s.line,
                f"{s.value} here, {other.value} in {other.origin} (line {other.line})",
                s.key,
                s.column,
                "keep the field",
                related=other.line,
            )


@gate_rule("SG906", "databricks-single-node-incomplete", "error")
def single_node(view: View) -> Iterator[Hit]:
    """A cluster without workers needs the profile, master local[*] and the tag; otherwise jobs wait for workers for ever.

    Example: num_workers 0 without spark.master local[*]
    Fix: spark.databricks.cluster.profile singleNode, spark.master local[*], custom_tags ResourceClass SingleNode
    When not: is_single_node does all of it.
    """
    for mark in view.marked("databricks-cluster"):
        if mark.data.get("num_workers") != "0" or mark.data.get("is_single_node") == "true" or mark.data.get("open") == "true":
            continue
        profile, master = view.get("spark.databricks.cluster.profile"), view.get("spark.master")
        missing = []
        if profile is None or (profile.known and profile.value != "singleNode"):
            missing.append("spark.databricks.cluster.profile=singleNode")
        if master is None or (master.known and not master.value.startswith("local[")):
            missing.append("spark.master=local[*]")
        if mark.data.get("tag") != "SingleNode":
            missing.append("custom_tags.ResourceClass=SingleNode")
        if missing:
            yield Hit(
                mark.line,
                f"no workers, and not a whole single-node set-up: {', '.join(missing)} missing",
                None,
                mark.column,
                "add " + ", ".join(missing),
            )


_MANAGED = (
    "spark.executor.memory",
    "spark.executor.cores",
    "spark.executor.instances",
    "spark.dynamicAllocation.",
    "spark.shuffle.service.",
    "spark.master",
)


@gate_rule("SG907", "databricks-managed-key", "warning")
def databricks_managed(view: View) -> Iterator[Hit]:
    """Databricks derives executors from the node type and autoscaling; these keys fight with it.

    Example: spark.executor.memory 20g in spark_conf
    Fix: choose the node type and autoscale
    When not: spark.master local[*] of a single-node cluster.
    """
    if not view.has("databricks-cluster"):
        return
    for s in view.settings:
        if s.place is not Place.DEFAULTS or not s.key.startswith(_MANAGED) or s.key == "spark.executor.memoryOverhead":
            continue
        if s.key == "spark.master" and (not s.known or s.value.startswith("local[")):
            continue
        yield Hit(s.line, f"Databricks manages {s.key} by node type and autoscaling", s.key, s.column, "remove it")


@gate_rule("SG908", "databricks-serverless-key", "error")
def databricks_serverless(view: View) -> Iterator[Hit]:
    """Serverless compute takes a short list of settings; any other one raises.

    Example: spark.conf.set("spark.sql.adaptive.enabled", "false")
    Fix: remove it
    When not: classic compute.
    """
    serverless = view.has("databricks-serverless") or "serverless" in (view.target.runtime or "").lower()
    if not serverless or not view.on("databricks"):
        return
    for s in view.settings:
        if s.key.startswith("spark.") and s.key not in DATABRICKS_SERVERLESS and view.catalog.knows(s.key):
            yield Hit(s.line, f"serverless compute does not take {s.key}", s.key, s.column, "remove it")


@gate_rule("SG909", "databricks-retired-key", "info")
def databricks_retired(view: View) -> Iterator[Hit]:
    """A Databricks key that has had its day.

    Example: spark.databricks.delta.preview.enabled true
    Fix: remove it
    When not: never.
    """
    if not view.on("databricks"):
        return
    for s in view.settings:
        why = RETIRED_ON_DATABRICKS.get(s.key)
        if why:
            yield Hit(s.line, f"{s.key} is no longer needed: {why}", s.key, s.column, "remove it")


@gate_rule("SG910", "emr-wrong-classification", "error")
def wrong_classification(view: View) -> Iterator[Hit]:
    """EMR reads each property from one classification only: elsewhere it is ignored, and an unknown name fails the cluster.

    Example: spark.executor.memory under "spark"
    Fix: spark.* under spark-defaults, maximizeResourceAllocation under spark
    When not: never.
    """
    for mark in view.marked("emr-classification"):
        if mark.text not in EMR_CLASSIFICATIONS:
            near = min(EMR_CLASSIFICATIONS, key=lambda name: (distance(mark.text, name, 3), name))
            hint = f"did you mean {near}?" if distance(mark.text, near, 3) <= 2 else "EMR has no such classification"
            yield Hit(
                mark.line, f"unknown classification {mark.text!r}; {hint}", None, mark.column, f"write {near}" if "mean" in hint else None
            )
    for mark in view.marked("emr-property"):
        if mark.data.get("classification") == "spark" and mark.text.startswith("spark."):
            yield Hit(
                mark.line,
                f"{mark.text} belongs under spark-defaults; under spark it is ignored",
                mark.text,
                mark.column,
                "move it to spark-defaults",
            )
        elif mark.data.get("classification") == "spark-defaults" and mark.text == "maximizeResourceAllocation":
            yield Hit(
                mark.line, "maximizeResourceAllocation belongs under spark, not spark-defaults", mark.text, mark.column, "move it to spark"
            )


@gate_rule("SG911", "emr-maximize-with-sizes", "warning")
def maximize_with_sizes(view: View) -> Iterator[Hit]:
    """maximizeResourceAllocation makes one executor a node; sizes of your own beside it contradict it.

    Example: maximizeResourceAllocation true with spark.executor.memory 18g
    Fix: keep one
    When not: never.
    """
    on = next(
        (m for m in view.marked("emr-property") if m.text == "maximizeResourceAllocation" and m.data.get("value", "").lower() == "true"),
        None,
    )
    if on is None:
        return
    sizes = ("spark.executor.memory", "spark.executor.cores", "spark.executor.instances", "spark.dynamicAllocation.enabled")
    size = next((s for s in view.settings if s.key in sizes and not (s.key.endswith("enabled") and values.boolean(s.value) is False)), None)
    if size is not None:
        yield Hit(
            size.line,
            f"{size.key} together with maximizeResourceAllocation (line {on.line})",
            size.key,
            size.column,
            "keep one of them",
            related=on.line,
        )


_EMR_SIZES = {1: (2, 8), 2: (4, 16), 4: (8, 30), 8: (16, 60), 16: (32, 120)}


@gate_rule("SG912", "emr-serverless-size", "error")
def emr_serverless_size(view: View) -> Iterator[Hit]:
    """EMR Serverless has workers of 1, 2, 4, 8 and 16 vCPU with a memory range each, overhead included.

    Example: spark.executor.cores 3
    Fix: 4 cores with 8 to 30 GB
    When not: never.
    """
    if not view.on("emr-serverless"):
        return
    for role in ("driver", "executor"):
        cores, memory = view.get(f"spark.{role}.cores"), view.get(f"spark.{role}.memory")
        count = view.count(f"spark.{role}.cores")
        if cores is not None and count is not None and count not in _EMR_SIZES:
            yield Hit(cores.line, f"no worker has {count} vCPU", cores.key, cores.column, "1, 2, 4, 8 or 16")
            continue
        heap = view.size(f"spark.{role}.memory")
        if memory is None or heap is None or (cores is not None and count is None):
            continue
        overhead = overhead_of(view, role, heap)
        low, high = _EMR_SIZES[count or 4]
        if overhead is not None and not low * 0.8 <= (heap + overhead) / GIB <= high:
            yield Hit(
                memory.line,
                f"{(heap + overhead) / GIB:.1f} GB with overhead for {count or 4} vCPU; {low} to {high} GB are possible",
                memory.key,
                memory.column,
                f"{low} to {high} GB in all",
            )


_SIZE_KEYS = (
    "spark.executor.memory",
    "spark.driver.memory",
    "spark.executor.cores",
    "spark.driver.cores",
    "spark.executor.instances",
    "spark.executor.memoryOverhead",
)


@gate_rule("SG913", "glue-managed-key", "warning")
def glue_managed(view: View) -> Iterator[Hit]:
    """Glue derives driver and executors from the worker type; sizes in --conf are overruled or break the job.

    Example: --conf spark.executor.memory=12g
    Fix: WorkerType and NumberOfWorkers
    When not: never.
    """
    if not view.on("glue"):
        return
    for s in view.settings:
        if s.key in _SIZE_KEYS and s.place in (Place.CONF, Place.DEFAULTS):
            yield Hit(s.line, f"Glue sets {s.key} by worker type", s.key, s.column, "choose WorkerType and NumberOfWorkers")


@gate_rule("SG914", "glue-conf-chain", "info")
def glue_chain(view: View) -> Iterator[Hit]:
    """Glue has one --conf argument; several settings chained in it work by accident only.

    Example: "--conf": "spark.a=1 --conf spark.b=2"
    Fix: set them in the job's code
    When not: it is the usual workaround; keep it short.
    """
    for mark in view.marked("glue-chain"):
        yield Hit(mark.line, f"{mark.text} settings chained in one --conf", None, mark.column, "set them in code")


@gate_rule("SG915", "dataproc-serverless-key", "error")
def dataproc_serverless(view: View) -> Iterator[Hit]:
    """A serverless batch refuses YARN and shuffle-service settings and a master, and has executors of 4, 8 or 16 cores only.

    Example: spark.shuffle.service.enabled=true
    Fix: remove it
    When not: Dataproc clusters.
    """
    if not view.on("dataproc-serverless"):
        return
    for s in view.settings:
        if s.place is Place.RUNTIME:
            continue
        if s.key.startswith(("spark.yarn.", "spark.shuffle.service.")) or s.key in ("spark.master", "spark.submit.deployMode"):
            yield Hit(s.line, f"a serverless batch refuses {s.key}", s.key, s.column, "remove it")
        elif s.key in ("spark.executor.cores", "spark.driver.cores") and s.known and s.value.strip() not in ("4", "8", "16"):
            yield Hit(s.line, f"{s.key} must be 4, 8 or 16, not {s.value}", s.key, s.column, "4, 8 or 16")


@gate_rule("SG916", "dataproc-prefix-missing", "error")
def dataproc_prefix(view: View) -> Iterator[Hit]:
    """Cluster properties name the file they go to (spark:spark.x), job properties do not; the wrong form is refused or ignored.

    Example: gcloud dataproc clusters create --properties spark.executor.memory=4g
    Fix: --properties spark:spark.executor.memory=4g
    When not: never.
    """
    for mark in view.marked("dataproc-prefix"):
        yield Hit(mark.line, mark.text, mark.data.get("key"), mark.column, mark.data.get("fix"))


@gate_rule("SG917", "dbt-core-key", "error")
def dbt_core_key(view: View) -> Iterator[Hit]:
    """dbt opens a session on a server that runs already: core settings there are refused or ignored.

    Example: server_side_parameters: spark.executor.memory: 8g
    Fix: the server's own configuration
    When not: method session with a Spark of its own.
    """
    if view.kind != "dbt" or not any(m.text in ("thrift", "http", "odbc") for m in view.marked("dbt-method")):
        return
    for s in view.settings:
        if (
            s.key.startswith("spark.")
            and not s.key.startswith(("spark.sql.", "spark.hadoop.", "spark.databricks.", "spark.job"))
            and view.catalog.knows(s.key)
        ):
            yield Hit(s.line, f"{s.key} cannot be set by a session", s.key, s.column, "set it on the server")


RULES = (
    limit_below_request, request_below_cores, not_a_string, key_not_allowed, field_and_conf, single_node, databricks_managed,
    databricks_serverless, databricks_retired, wrong_classification, maximize_with_sizes, emr_serverless_size, glue_managed, glue_chain,
    dataproc_serverless, dataproc_prefix, dbt_core_key,
)  # fmt: skip
