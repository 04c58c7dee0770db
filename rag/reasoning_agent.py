"""Words around findings: the plan in the order to apply it. By templates; a model may only reword what stands here."""

from collections.abc import Callable, Sequence

from spark_copilot.rules_engine.findings import Change, DriverGap, Finding, Interval, Money, Recommendation, Remedy, Saving, Severity

Pricer = Callable[[Sequence[Remedy]], Saving]


def plan(findings: Sequence[Finding], price: Pricer) -> list[Recommendation]:
    """One step a finding that has something to change, most valuable first; each step's saving is what it adds to those before it, replayed together."""
    steps: list[Recommendation] = []
    done: list[Remedy] = []
    so_far = _nothing()
    for finding in findings:
        if finding.severity is Severity.INFO or not finding.changes:
            continue
        saving = None
        if finding.remedy is not None and finding.saving is not None:
            # Pauses of the driver are one pool: two findings about them are not added.
            if isinstance(finding.remedy, DriverGap) and any(isinstance(r, DriverGap) for r in done):
                saving = None
            else:
                together = price([*done, finding.remedy])
                saving = _beyond(together, so_far)
                done.append(finding.remedy)
                so_far = together
        steps.append(
            Recommendation(text=sentence(finding), because=(finding.key,), saving=saving, stop_condition=finding.changes[0].stop_condition)
        )
    return steps


def sentence(finding: Finding) -> str:
    """What to do, where, in one or two sentences."""
    first = finding.changes[0]
    place = (
        finding.where.call_site
        or finding.where.sql_description
        or (f"stage {finding.where.stage_id}" if finding.where.stage_id is not None else "")
    )
    at = f" ({place})" if place else ""
    others = [c for c in finding.changes[1:] if c.kind == "conf"]
    also = f"; also {', '.join(c.key + '=' + (c.to or '') for c in others)}" if others and first.kind == "conf" else ""
    return f"{_order(first)}{also}{at}"


def _order(change: Change) -> str:
    if change.kind == "conf" and change.to is not None:
        before = f" (now {change.from_})" if change.from_ is not None else ""
        return f"Set {change.key}={change.to}{before}: {change.text}"
    return change.text[:1].upper() + change.text[1:]


def _nothing() -> Saving:
    zero = Interval(low=0, mid=0, high=0)
    return Saving(wall_ms=zero, core_ms=zero)


def _beyond(together: Saving, before: Saving) -> Saving:
    def step(a: Interval, b: Interval) -> Interval:
        low, mid, high = (max(x - y, 0.0) for x, y in ((a.low, b.low), (a.mid, b.mid), (a.high, b.high)))
        return Interval(low=min(low, mid), mid=mid, high=max(high, mid))

    cost = None
    if together.cost is not None:
        money = step(together.cost, before.cost) if before.cost is not None else together.cost
        cost = Money(low=money.low, mid=money.mid, high=money.high, currency=together.cost.currency)
    return Saving(wall_ms=step(together.wall_ms, before.wall_ms), core_ms=step(together.core_ms, before.core_ms), cost=cost)
