"""What the rules on a run against its baselines are called and say of themselves; no numpy here, so that pages stay light."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class RunPage:
    """Name, severity and page of one rule on a run."""

    code: str
    name: str
    severity: Literal["error", "warning", "info"]
    what: str
    example: str
    remedy: str
    when_not: str

    @property
    def text(self) -> str:
        """The page as `explain` prints it."""
        return f"{self.code} {self.name} ({self.severity}, on)\n\n{self.what}\n\nExample: {self.example}\nFix: {self.remedy}\nWhen not: {self.when_not}\n"


RUN_PAGES: tuple[RunPage, ...] = (
    RunPage(
        "SR001",
        "slower-than-baseline",
        "error",
        "Wall clock or executor time grew beyond the noise of the baselines while the input stayed alike.",
        "12 m where past runs took 8 m, give or take 40 s",
        "look at the other SR findings of the run",
        "one baseline tells little of the noise; hand in several.",
    ),
    RunPage(
        "SR002",
        "spill-appeared",
        "error",
        "Tasks spill that did not, or much more than before.",
        "0 B spilled before, 14 GiB now",
        "more partitions or memory per task",
        "the input grew as much.",
    ),
    RunPage(
        "SR003",
        "shuffle-grew",
        "warning",
        "More bytes are shuffled for each byte read.",
        "a broadcast join became a shuffle of both sides",
        "joins, partitioning, columns carried along",
        "the query changed on purpose.",
    ),
    RunPage(
        "SR004",
        "gc-share-grew",
        "warning",
        "Garbage collection takes a tenth of task time or more, and more than before.",
        "4 % before, 15 % now",
        "heap or cores per executor",
        "very short runs.",
    ),
    RunPage(
        "SR005",
        "failures-appeared",
        "error",
        "Tasks fail, stages are tried again or executors are lost that were not before.",
        "12 failed tasks, none in the baselines",
        "the logs of those tasks",
        "spot nodes that come and go.",
    ),
    RunPage(
        "SR006",
        "join-strategy-changed",
        "warning",
        "A query that joined by broadcast now sorts and merges, or loops.",
        "BroadcastHashJoin became SortMergeJoin",
        "statistics, the broadcast threshold",
        "the small side grew.",
    ),
    RunPage(
        "SR007",
        "settings-drifted",
        "info",
        "Settings differ between baseline and run, defaults of two Spark versions included.",
        "spark.sql.shuffle.partitions 200 -> 2000",
        "confirm that each change is meant",
        "never; it is a statement.",
    ),
    RunPage(
        "SR008",
        "tasks-exploded",
        "warning",
        "Many more tasks than before, most of them too short to be worth it.",
        "200 tasks became 20,000 of 30 ms",
        "the number of partitions",
        "the input grew as much.",
    ),
    RunPage(
        "SR009",
        "skew-grew",
        "warning",
        "The longest task of a stage is further from the median than before.",
        "2 times the median before, 14 now",
        "skew join, salting",
        "stages of seconds.",
    ),
    RunPage(
        "SR010",
        "memory-near-limit",
        "warning",
        "The heap peak is above 90 % of the executor's heap, and was not.",
        "7.6 of 8 GiB",
        "more memory before it fails",
        "collectors that let the heap fill.",
    ),
)
"""Every rule on a run, by code."""
