"""The words by which a question about a run is routed: to finding codes, or to what an event log cannot hold."""

import re

CODE_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\bskew|hot key|uneven|unbalanced", ("data-skew", "straggler-tasks")),
    (r"straggl|slow tasks?\b|tail", ("straggler-tasks", "data-skew", "slow-node")),
    (r"slow (?:node|host|machine)|bad (?:node|host|disk)", ("slow-node",)),
    (r"\bspill", ("spill",)),
    (r"\bgc\b|garbage", ("gc-pressure",)),
    (r"out of memory|\boom\b|oom-?kill|heap space|outofmemory", ("out-of-memory", "executor-lost")),
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
    (r"shuffle wait|wait\w* (?:for|on) (?:the )?shuffle|fetch wait|fetch time|network", ("shuffle-fetch-wait",)),
    (r"localit", ("locality-wait",)),
    (r"overhead|scheduler delay|deseriali", ("task-overhead",)),
    (r"\bdriver", ("driver-bound", "large-driver-result")),
    (r"\bidle|utili[sz]ation|waste", ("idle-executors", "driver-bound")),
    (r"dynamic allocation|churn|scal(?:e|ing) (?:up|down)", ("allocation-churn", "idle-executors")),
    (r"speculat", ("speculation-waste",)),
    (r"retr(?:y|ies)|re-?attempt|attempts", ("stage-retries", "task-failures")),
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
                r"what (?:has )?changed (?:since|between|from)",
                r"\bdiff(?:er|erence)?s?\b.*\b(?:runs?|logs?)\b",
                r"\bregress",
            ),
        ),
        (
            "sure",
            (
                r"how (?:sure|certain|confident|reliable|accurate|exact)",
                r"can i trust",
                r"\bconfidence\b",
                r"are you (?:sure|certain)",
                r"margin of error",
            ),
        ),
        (
            "counts",
            (
                r"how many (?:spark )?(?:jobs|stages|tasks|sql|quer(?:y|ies)|executions|attempts|micro-?batches|batches|failed|failures)\b(?!.*(?:should|need))",
                r"number of (?:failed |total )?(?:jobs|stages|tasks|quer(?:y|ies)|executions|batches)",
            ),
        ),
        (
            "saving",
            (
                r"how much (?:time |faster |wall ?clock )?(?:can|could|would|may|is|might) .*\b(?:sav|gain|faster|come back|won|win|improv)",
                r"\bcan be saved|\bcould be saved|\bsavings?\b|\bpotential\b",
                r"how much (?:time|faster)\b.*\b(?:save|saved|gain|be|back)",
                r"how much (?:could|can|would) (?:i|we) (?:save|gain)",
                r"\bworth fixing|\bwhat is (?:it|that|each) worth",
            ),
        ),
        ("bottleneck", (r"(?<!driver the )(?<!driver a )bottleneck",)),
        (
            "load",
            (
                r"how (?:busy|well used|idle) (?:were|was|are|is)",
                r"\b(?:which|what) executors? (?:was|were|is|did|had|ran|has)",
                r"slowest executor",
                r"utili[sz]ation",
                r"busiest",
            ),
        ),
        (
            "memory",
            (
                r"peak (?:heap|memory|execution|jvm|rss)",
                r"how much memory",
                r"memory (?:did|was|were|per|of each|used|usage)",
                r"\bheap (?:size|use)",
            ),
        ),
        (
            "tasks",
            (
                r"\b(?:average|mean|median|longest|slowest|typical|p95|95th).{0,20}\btasks?\b",
                r"\btasks?\b.{0,12}\b(?:duration|time|length)s?\b",
                r"how long (?:do|did|were|was) (?:the |a |each )?tasks?",
            ),
        ),
        (
            "tables",
            (
                r"\b(?:which|what) (?:tables?|files?|paths?|inputs?|data ?sets?|data sources?|formats?)\b.*\b(?:read|writ|scan|use|input|output|load|does|did)",
                r"where (?:does|did) .*\b(?:read|write|data come)",
                r"tables? (?:read|written|scanned|used)",
            ),
        ),
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
                r"how many (?:cores|workers|nodes|slots)",
                r"(?:more|fewer|less|additional|extra|twice|double|half) .*\b(?:executors?|workers?|nodes?)",
                r"\bbigger cluster|\bsmaller cluster|\bscale (?:up|out|down)",
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
                r"\bsucceed|\bsuccessful",
            ),
        ),
        (
            "duration",
            (
                r"how long",
                r"duration",
                r"run ?time\b",
                r"take (?:so )?long\??$",
                r"\bwall ?clock\b",
                r"where (?:did|does) (?:the |all the )?time go",
                r"how much time",
                r"how fast",
            ),
        ),
        (
            "longest",
            (
                r"which stages?",
                r"(?:longest|slowest|most expensive|heaviest|biggest|worst) stages?",
                r"top \d* ?stages?",
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
                r"how many (?:rows|records|gb|tb|mb|gigabytes|megabytes|terabytes)",
                r"\b(?:input|output|shuffle) (?:size|volume|read|write|written|data)\b",
                r"size of (?:the )?(?:input|output|shuffle)",
                r"how (?:large|big) (?:is|was|were|are) (?:the )?(?:input|output|shuffle|data)",
                r"data (?:was )?(?:read|written)",
                r"shuffled?\b.*\bhow much",
                r"how much.*\b(?:read|written|shuffle|spill)",
            ),
        ),
        (
            "about",
            (
                r"which (?:spark )?version",
                r"version of spark",
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
                r"which (?:settings?|config\w*|parameters?|propert\w+) (?:should|to|exactly|do|would|can|must)",
                r"what (?:exact )?(?:settings?|config\w*|parameters?|values?) (?:should|to|do|would|exactly)",
                r"\bwhat (?:next|now)\b|\bdo first\b|\bnext steps?\b|\bexact (?:settings?|config)",
                r"\boptimi[sz]e\b|\btune\b",
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
