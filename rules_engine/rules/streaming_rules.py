"""Structured Streaming: batches that fall behind and state that only grows."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from spark_copilot.rules_engine.facts import AppRun, StreamProgress
from spark_copilot.rules_engine.findings import Evidence, Observation, Severity, Where
from spark_copilot.rules_engine.limits import StreamingLimits
from spark_copilot.rules_engine.plans import walk
from spark_copilot.rules_engine.rule import rule
from spark_copilot.rules_engine.rules.changes import code, conf


def _by_query(run: AppRun) -> Iterator[tuple[str, list[StreamProgress]]]:
    queries: dict[str, list[StreamProgress]] = defaultdict(list)
    for progress in run.streaming:
        queries[progress.run_id].append(progress)
    for run_id, batches in queries.items():
        distinct = {p.batch_id: p for p in batches}
        yield run_id, sorted(distinct.values(), key=lambda p: p.batch_id)


@rule(
    "batch-slower-than-trigger", family="streaming", limits=StreamingLimits, title="Micro-batches take longer than the data takes to arrive"
)
def batch_slower_than_trigger(run: AppRun, limits: StreamingLimits) -> Iterator[Observation]:
    """Batch after batch is still at work when the next is due, so the query lags further and further behind its source.

    Why it costs: latency grows without bound, batches grow with it, and state and memory follow.
    What to do: mend what the batch's own jobs show; more cores or shuffle partitions that fit them; a limit on rows a batch so that one slow batch does not breed a slower one; a longer
    trigger where latency allows.
    Blind spot: the trigger interval is not in the log; it shows in when batches begin. A query that starts a batch as soon as the last one ended
    is named when its batches are long and never pause: it has no room left. One that ended by itself between two batches had worked off what there was
    (availableNow, once) and is behind nothing.
    """
    for run_id, batches in _by_query(run):
        with_rows = [p for p in batches if p.input_rows > 0]
        if len(with_rows) < limits.min_batches:
            continue
        late = [
            p
            for p in with_rows[1:]
            if p.processed_rows_per_second > 0 and p.input_rows_per_second > limits.late_ratio * p.processed_rows_per_second
        ]
        took = sorted(p.duration_ms.get("triggerExecution", 0) for p in with_rows)
        usual = float(took[len(took) // 2])
        interval = _interval_ms(batches)
        behind = [p for p in with_rows if interval and p.duration_ms.get("triggerExecution", 0) > limits.late_ratio * interval]
        if _worked_off(run, run_id, batches):
            late, full = [], False
        else:
            full = usual >= limits.full_min_ms and _filled(with_rows) >= limits.full_ratio
        if not full and max(len(late), len(behind)) < limits.late_share * (len(with_rows) - 1):
            continue
        worst = max(with_rows, key=lambda p: p.duration_ms.get("triggerExecution", 0))
        yield Observation(
            code="batch-slower-than-trigger",
            where=Where(call_site=worst.name or f"streaming query {run_id[:8]}"),
            evidence=(
                Evidence(metric="usual batch", value=usual, limit=interval, unit="ms"),
                Evidence(
                    metric="batches behind", value=max(len(late), len(behind)), limit=limits.late_share * (len(with_rows) - 1), unit="count"
                ),
                Evidence(metric="batches with rows", value=len(with_rows), limit=limits.min_batches, unit="count"),
            ),
            severity_floor=Severity.HIGH,
            changes=conf(
                run,
                "spark.sql.shuffle.partitions",
                str(max(run.slots_max, 1)),
                "one shuffle partition a core: small batches do not pay for more; needs a fresh checkpoint for stateful queries",
                "undo when a batch's tasks spill",
            )
            + code(
                "rate",
                "limit rows a batch (maxOffsetsPerTrigger, maxFilesPerTrigger, rowsPerSecond) and lengthen the trigger beyond the usual batch",
                "stop when batches end before the next is due",
            ),
        )


def _worked_off(run: AppRun, run_id: str, batches: list[StreamProgress]) -> bool:
    """Whether the query began nothing after its last batch although batches had followed each other without a pause: no data was left.

    A query without pauses that somebody stops is stopped within a batch, of which the log then has a beginning and no progress.
    """
    end = batches[-1].timestamp_ms + batches[-1].duration_ms.get("triggerExecution", 0)
    return run.complete and not any(run_id in one.description and one.submitted_ms >= end for one in run.sql)


def _filled(batches: list[StreamProgress]) -> float:
    """Time at work / time from the first to the start of the last batch."""
    span = batches[-1].timestamp_ms - batches[0].timestamp_ms
    return sum(p.duration_ms.get("triggerExecution", 0) for p in batches[:-1]) / max(span, 1)


def _interval_ms(batches: list[StreamProgress]) -> float | None:
    """The trigger interval, from batches that began on a common grid; None for triggers without one."""
    starts = [p.timestamp_ms for p in batches]
    for seconds in (600, 300, 120, 60, 30, 20, 15, 10, 5, 4, 3, 2, 1):
        grid = seconds * 1_000
        on_grid = sum(s % grid <= 150 for s in starts[1:])
        if len(starts) >= 3 and on_grid >= 0.8 * (len(starts) - 1):
            return float(grid)
    return None


@rule("state-growth", family="streaming", limits=StreamingLimits, title="The state of a streaming query only grows")
def state_growth(run: AppRun, limits: StreamingLimits) -> Iterator[Observation]:
    """Rows kept between batches rise from batch to batch and never fall: to twice what they were, or by every row that comes in where nothing would ever let go of one.

    Why it costs: every batch reads, updates and snapshots more state, until the executors run out of memory.
    What to do: a watermark, and the event time among the grouping or deduplication keys, so that old state can be dropped; a time-out for mapGroupsWithState; dropDuplicatesWithinWatermark.
    Blind spot: a state that is still filling to its natural size looks the same in a short run.
    """
    endless = not any(node.name.startswith("EventTimeWatermark") for one in run.sql for node in walk(one.plan))
    for run_id, batches in _by_query(run):
        rows = [p.state_rows for p in batches]
        if len(rows) < limits.growth_min_batches or rows[-1] < limits.growth_min_rows:
            continue
        early = rows[len(rows) // 3]
        if any(b < a for a, b in itertools.pairwise(rows)):
            continue
        if rows[-1] < limits.growth_ratio * max(early, 1) and not (endless and _all_stays(batches, limits)):
            continue
        yield Observation(
            code="state-growth",
            where=Where(call_site=batches[-1].name or f"streaming query {run_id[:8]}"),
            evidence=(
                Evidence(metric="state rows at the end", value=rows[-1], limit=limits.growth_min_rows, unit="count"),
                Evidence(metric="state rows after a third of the batches", value=early, limit=None, unit="count"),
                Evidence(metric="state memory", value=batches[-1].state_memory_bytes, limit=None, unit="bytes"),
            ),
            severity_floor=Severity.MEDIUM,
            changes=code(
                "watermark",
                "add a watermark and keep the event time among the keys",
                "stop when state rows level off",
                to='.withWatermark("event_time", "1 hour").dropDuplicatesWithinWatermark(["id"])',
            )
            + conf(
                run,
                "spark.sql.streaming.stateStore.providerClass",
                "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
                "keep large state outside the heap; needs a fresh checkpoint",
                "undo where state stays small",
            ),
        )


def _all_stays(batches: list[StreamProgress], limits: StreamingLimits) -> bool:
    """Whether every batch of the later half that changed state left nearly all of it there as new rows."""
    later = list(itertools.pairwise(batches[len(batches) // 2 - 1 :]))
    grown = [b.state_rows - a.state_rows for a, b in later if b.state_rows_updated]
    updated = [b.state_rows_updated for _, b in later if b.state_rows_updated]
    return len(grown) >= limits.growth_steady_batches and all(
        g >= limits.growth_steady_ratio * u for g, u in zip(grown, updated, strict=True)
    )
