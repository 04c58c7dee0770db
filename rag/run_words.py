"""The words by which a question about a run is routed: to finding codes, or to what an event log cannot hold."""

import re

CODE_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\bskew|hot key|uneven|unbalanced", ("data-skew", "straggler-tasks")),
    (r"straggl|slow tasks?\b|tail", ("straggler-tasks", "data-skew", "slow-node")),
    (r"slow (?:node|host|machine)|bad (?:node|host|disk)", ("slow-node",)),
    (r"\bspill", ("spill",)),
    (r"\bgc\b|garbage", ("gc-pressure",)),
    (r"out of memory|\boom|heap space|outofmemory", ("out-of-memory", "executor-lost")),
    (r"over-?allocat|too much memory|memory (?:wasted|unused)|less memory", ("memory-overallocated",)),
    (r"\bcach", ("cache-evicted-or-unused", "recomputed-data")),
    (r"small files", ("small-files-read", "small-files-written", "delta-small-files")),
    (r"too many (?:partitions|tasks)|tiny tasks|short tasks", ("too-many-small-tasks", "task-overhead")),
    (
        r"too few (?:partitions|tasks)|parallelism|more partitions|how many partitions",
        ("too-few-partitions", "oversized-partitions", "too-many-small-tasks"),
    ),
    (r"(?:large|big|huge|oversized) partitions", ("oversized-partitions",)),
    (r"gzip|unsplittable|splittable", ("unsplittable-input",)),
    (r"partition filter|full (?:table )?scan|prun", ("missing-partition-filter", "delta-full-scan")),
    (r"window", ("single-partition-window",)),
    (r"\budfs?\b|python function", ("python-udf",)),
    (r"cartesian|nested loop|cross join", ("cartesian-or-nested-loop-join",)),
    (r"broadcast", ("broadcast-missed", "broadcast-too-large")),
    (r"explo(?:de|sion)|duplicat", ("row-explosion",)),
    (r"recomput|computed (?:again|twice)|repeated|same (?:query|data) again", ("recomputed-data",)),
    (r"collect\b|driver result|result size", ("large-driver-result",)),
    (r"shuffle (?:wait|read)|fetch wait|network", ("shuffle-fetch-wait",)),
    (r"localit", ("locality-wait",)),
    (r"overhead|scheduler delay|deseriali", ("task-overhead",)),
    (r"\bdriver", ("driver-bound", "large-driver-result")),
    (r"\bidle|utili[sz]ation|waste", ("idle-executors", "driver-bound")),
    (r"dynamic allocation|churn|scal(?:e|ing) (?:up|down)", ("allocation-churn", "idle-executors")),
    (r"speculat", ("speculation-waste",)),
    (r"retr(?:y|ies)|attempts", ("stage-retries", "task-failures")),
    (r"lost executors?|executors? (?:lost|died|killed)|killed", ("executor-lost",)),
    (r"\bmerge\b|rewrit", ("delta-rewrite-amplification",)),
    (r"\boptimi[sz]e\b.*table|vacuum|maintenance", ("delta-maintenance-missing",)),
    (r"delta log|checkpoint", ("delta-log-growth",)),
    (r"over-?partition", ("delta-over-partitioned",)),
    (r"micro-?batch|trigger|falling behind", ("batch-slower-than-trigger",)),
    (r"\bstate\b.*(?:grow|size|memory)", ("state-growth",)),
)
"""Words of a question -> the finding codes it asks about, most wanted first."""

NOT_IN_LOG: tuple[tuple[str, str], ...] = (
    (r"\bwho (?:changed|deployed|committed|wrote)|git|code review|pull request", "who changed the code, and the code itself"),
    (
        r"\b(?:row|column|record) values?\b|which (?:customer|user|key value)s?\b|what data is in|sample rows",
        "the values in the data: Spark counts rows and bytes, it does not log them",
    ),
    (
        r"cpu (?:temperature|model|frequency)|disk (?:type|model)|instance type|machine type|which hardware|host load|noisy neighbou?r",
        "the hardware and the load of the hosts",
    ),
    (r"other (?:jobs|applications|users|teams)|queue (?:length|full)|who else", "what else ran on the cluster"),
    (r"stack ?trace of the driver|driver log|stdout|stderr|print(?:ed)? output|log4j", "the driver's and executors' own log output"),
    (r"heap dump|thread dump|which object", "heap and thread dumps"),
    (r"\bpassword|secret|token|credential", "secrets: they are masked before anything is stored"),
    (r"source code|line of code|my code look", "the source code, apart from the call sites that name stages"),
)

ROUTES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (route, re.compile("|".join(patterns)))
    for route, patterns in (
        (
            "compare",
            (
                r"\bcompare\b",
                r"\byesterday",
                r"last (?:run|week|night|time)",
                r"(?:previous|earlier|other) run",
                r"slower than (?:before|it was|usual)",
            ),
        ),
        ("counts", (r"how many (?:jobs|stages|tasks|sql|queries|executions|failed tasks)\b(?!.*(?:should|need))",)),
        ("bottleneck", (r"bottleneck",)),
        ("about", (r"\bwho (?:ran|started|submitted|owns)", r"when did", r"what time")),
        (
            "cost",
            (
                r"\bcosts?\b",
                r"\bprice",
                r"\bmoney",
                r"\bbill\b",
                r"\beuro",
                r"\bdollar",
                r"\$",
                r"how expensive",
                r"cheaper",
            ),
        ),
        (
            "executors",
            (
                r"how many executors",
                r"number of executors",
                r"executors? (?:needed|should|do i need|did)",
                r"what if .*executor",
                r"\d+ executors",
                r"how many cores",
            ),
        ),
        (
            "failures",
            (
                r"\bfail",
                r"\berrors?\b",
                r"\bexception",
                r"\bcrash",
                r"\baborted",
                r"went wrong",
            ),
        ),
        (
            "duration",
            (
                r"how long",
                r"duration",
                r"run ?time\b",
                r"take (?:so )?long\??$",
                r"how fast",
            ),
        ),
        (
            "longest",
            (
                r"which stages?",
                r"longest stages?",
                r"slowest stages?",
                r"what stages?",
                r"critical path",
            ),
        ),
        (
            "volumes",
            (
                r"how much data",
                r"bytes",
                r"volume",
                r"how many (?:rows|gb|tb)",
                r"data (?:was )?(?:read|written)",
                r"shuffled?\b.*\bhow much",
                r"how much.*\b(?:read|written|shuffle|spill)",
            ),
        ),
        (
            "about",
            (
                r"which spark version",
                r"spark version",
                r"\bplatform\b",
                r"application id",
                r"app id",
                r"log (?:complete|whole|trust)",
                r"data quality",
                r"incomplete",
                r"missing events",
            ),
        ),
        (
            "changes",
            (
                r"what (?:should|can|do|to) (?:i |we )?(?:change|do|fix|set|tune)",
                r"how (?:can|do|should) (?:i|we) (?:fix|speed|make|improve|tune|reduce)",
                r"recommend",
                r"\badvice",
                r"\bfix\b",
                r"which settings? (?:should|to|exactly)",
                r"speed (?:it|this) up",
                r"make it faster",
            ),
        ),
        (
            "bottleneck",
            (
                r"bottleneck",
                r"why .*slow",
                r"why .*long",
                r"what is wrong",
                r"what's wrong",
                r"biggest problem",
                r"main problem",
                r"problem",
                r"summar",
                r"diagnos",
                r"healthy",
                r"findings",
            ),
        ),
    )
)
"""Route -> what its questions say, tried in this order."""

FEATURES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"dynamic allocation", ("spark.dynamicAllocation.enabled", "spark.dynamicAllocation.maxExecutors")),
    (r"speculation", ("spark.speculation",)),
    (r"skew join", ("spark.sql.adaptive.skewJoin.enabled",)),
    (r"\baqe\b|adaptive", ("spark.sql.adaptive.enabled",)),
    (r"broadcast threshold|auto ?broadcast", ("spark.sql.autoBroadcastJoinThreshold",)),
    (r"shuffle partitions", ("spark.sql.shuffle.partitions",)),
    (r"executor memory", ("spark.executor.memory", "spark.executor.memoryOverhead")),
    (r"memory overhead", ("spark.executor.memoryOverhead",)),
    (r"driver memory", ("spark.driver.memory",)),
    (r"executor cores|cores per executor", ("spark.executor.cores",)),
    (r"serializer|kryo", ("spark.serializer",)),
    (r"off-?heap", ("spark.memory.offHeap.enabled", "spark.memory.offHeap.size")),
    (r"shuffle service", ("spark.shuffle.service.enabled",)),
    (r"ansi", ("spark.sql.ansi.enabled",)),
)
"""What people call a feature -> the settings that say whether it was on."""
