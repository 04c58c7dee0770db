"""Questions about a run as a whole: bottleneck, changes, savings, cost, time, size, failures, volumes, comparison, how sure."""

import re

from spark_copilot.rag import run_facts
from spark_copilot.rag.run_figures import rows_of, stage_figures, stage_order
from spark_copilot.rag.run_measures import clock_lines, lost, percent, use
from spark_copilot.rag.run_said import Asked, RunAnswer, change_line, describe, place, said, show_saving
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.findings import Finding
from spark_copilot.rules_engine.units import show_count, show_money, show_ms


def _bullets(findings: tuple[Finding, ...]) -> list[str]:
    return [f"- {line}" if n == 0 else f"  {line}" for finding in findings for n, line in enumerate(describe(finding))]


def bottleneck(asked: Asked) -> RunAnswer:
    """Where the time went, which stage holds most of it, and why."""
    report, run = asked.report, asked.run
    worth = tuple(f for f in report.findings if f.severity.rank < 4)[:2]
    lines, refs = [from_log(report.verdict, 400)], _path(asked)
    if run is not None:
        row = _longest_row(asked)
        if row is not None:
            stage = stage_figures(run, row)
            name = f" ({stage.name})" if stage.name else ""
            share = f", {percent(stage.span_ms / run.wall_ms)} of the wall clock" if stage.span_ms and run.wall_ms else ""
            lines.append(f"Longest: stage {stage.ref}{name}, {show_ms(stage.span_ms or 0)}{share}, {show_count(stage.tasks_ended)} tasks.")
            refs = (stage.ref, *(ref for ref in refs if ref != stage.ref))
        lines += clock_lines(run, report.facts)
    lines += _bullets(worth)
    if refs and len(refs) > 1:
        lines.append(f"Critical path: stages {', '.join(ref.split('.')[0] for ref in _path(asked)[:8])}.")
    if not worth:
        lines.append(f"{show_count(len(report.passed))} rules looked and saw nothing worth a change.")
    return said("bottleneck", lines, worth, stages=refs)


def _path(asked: Asked) -> tuple[str, ...]:
    """The critical path as stage attempts, in order."""
    path = asked.report.facts.get("critical_path")
    if not isinstance(path, list | tuple):
        return ()
    if asked.run is None:
        return tuple(str(stage) for stage in path)
    rows = [rows_of(asked.run, int(stage)) for stage in path[:20]]
    return tuple(asked.run.stages.ref(found[-1]) for found in rows if found)


def _longest_row(asked: Asked) -> int | None:
    """The longest stage, one of the critical path where that is known."""
    if asked.run is None:
        return None
    order = stage_order(asked.run)
    path = asked.report.facts.get("critical_path") or ()
    return next((row for row in order if int(asked.run.stages.stage_id[row]) in path), order[0] if order else None)


def changes(asked: Asked) -> RunAnswer:
    """What to change, in order, with keys, values now and proposed, and what each step saves."""
    report = asked.report
    if not report.plan:
        with_changes = tuple(f for f in report.findings if f.changes)[:3]
        if not with_changes:
            return said("changes", [from_log(report.verdict, 400), "The report proposes no change."])
        return said("changes", [f"- {change_line(f.changes[0])} {_what_saves(f)}".rstrip() for f in with_changes], with_changes)
    lines = ["In this order:"]
    keys: list[str] = []
    by_key = {f.key: f for f in report.findings}
    for number, advice in enumerate(report.plan[:4], 1):
        saving = show_saving(advice.saving)
        for_what = next((by_key[k] for k in advice.because if k in by_key), None)
        about = f" For: {for_what.title} ({place(for_what)})." if for_what is not None else ""
        lines.append(
            f"{number}. {_step(advice.text, for_what)}"
            + (f" It is {saving}." if saving else "")
            + about
            + f" {_stop(advice.stop_condition)}"
        )
        keys += advice.because
    return said("changes", lines, tuple(f for f in report.findings if f.key in keys))


def _step(text: str, finding: Finding | None) -> str:
    """A step of the plan; a change of a setting without a value names its key."""
    first = finding.changes[0] if finding is not None and finding.changes else None
    if first is not None and first.kind == "conf" and first.to is None:
        return change_line(first)
    return f"{text.rstrip('.')}."


def _what_saves(finding: Finding) -> str:
    saving = show_saving(finding.saving)
    return f"It is {saving}." if saving else ""


def _stop(condition: str) -> str:
    plain = condition.strip().rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}." if plain.lower().startswith(("stop", "undo", "leave")) else f"Stop when {plain}."


def saving(asked: Asked) -> RunAnswer:
    """How much time can come back, in all and by finding."""
    report = asked.report
    worth = tuple(f for f in report.findings if f.saving is not None and f.saving.wall_ms.mid > 0)[:4]
    lines = [from_log(report.verdict, 400)]
    for finding in worth:
        share = (
            percent(finding.saving.wall_ms.mid / report.application.duration_ms)
            if finding.saving and report.application.duration_ms
            else ""
        )
        lines.append(f"- {finding.title} ({place(finding)}): {show_saving(finding.saving)}{f', {share} of the run' if share else ''}.")
    if not worth:
        lines.append("No finding has a saving of wall clock, so nothing measurable can be saved by what the rules know.")
    elif len(worth) > 1:
        lines.append("Savings that overlap are replayed together, so they do not add up.")
    return said("saving", lines, worth)


def cost(asked: Asked) -> RunAnswer:
    """Money where there are prices, core time in any case."""
    money = asked.report.cost
    if money is None:
        lines = ["What it cost is not in the log: no price list was given. Run `spark-copilot analyze LOG --pricing NAME` for money."]
        core = asked.report.facts.get("core_ms")
        if isinstance(core, dict):
            hours = sum(float(v) for v in core.values()) / 3.6e6
            parts = ", ".join(f"{name} {show_ms(float(value))}" for name, value in core.items())
            lines.append(f"Core time: {parts}; {hours:.2f} core hours in all.")
            price = _price(asked)
            if price is not None:
                each, currency = price
                lost = (float(core.get("idle", 0)) + float(core.get("failed", 0))) / 3.6e6
                lines.insert(
                    0,
                    f"At {each:g} {currency} a core hour: {_money(hours * each)} {currency}, of which {_money(lost * each)} {currency} idle or failed.",
                )
        return said("cost", lines)
    by = ", ".join(f"{name} {show_money(value, money.currency)}" for name, value in money.by.items())
    lines = [
        f"{show_money(money.total, money.currency)} at prices of {money.price_date}, of which {show_money(money.wasted, money.currency)} was wasted."
        + (f" By part: {by}." if by else "")
    ]
    priced = tuple(f for f in asked.report.findings if f.saving is not None and f.saving.cost is not None)[:2]
    lines += [f"- {f.title} ({place(f)}): {show_saving(f.saving)}." for f in priced if show_saving(f.saving)]
    return said("cost", lines, priced)


def _money(amount: float) -> str:
    return f"{amount:.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.5f}"


def _price(asked: Asked) -> tuple[float, str] | None:
    """A price for a core hour that the question names."""
    match = re.search(
        r"(?P<before>[$€£])?\s?(?P<price>\d{1,6}(?:\.\d{1,6})?)\s?(?P<after>usd|eur|gbp|dollars?|euros?|cents?|[$€£])?\s*(?:per|a|/|an)\s*(?:v?core|cpu)[ -]?(?:hour|h)\b",
        asked.text,
    )
    if match is None:
        return None
    unit = match["before"] or match["after"] or ""
    currency = {"$": "USD", "€": "EUR", "£": "GBP", "usd": "USD", "eur": "EUR", "gbp": "GBP"}.get(
        unit, "EUR" if unit.startswith("euro") else "USD"
    )
    return float(match["price"]) / (100 if unit.startswith("cent") else 1), currency


def duration(asked: Asked) -> RunAnswer:
    """How long, and where the time went."""
    app = asked.report.application
    lines = [
        f"{from_log(app.name or app.id, 120)} took {show_ms(app.duration_ms)} ({app.duration_ms:,} ms)"
        + ("." if app.complete else " up to the last event; the log has no end of the application.")
    ]
    if asked.run is not None:
        lines += clock_lines(asked.run, asked.report.facts)
    prediction = asked.report.prediction
    if prediction is not None:
        wall = prediction.wall_ms
        lines.append(
            f"Its history ({prediction.runs_used} runs) expects {show_ms(wall.mid)}, between {show_ms(wall.low)} and {show_ms(wall.high)}."
        )
    return said("duration", lines)


_TIMES = (
    (r"\btwice as many|\bdouble|\b2x\b|\btwo times", 2.0),
    (r"\bthree times|\btriple|\b3x\b", 3.0),
    (r"\bfour times|\bquadruple|\b4x\b", 4.0),
    (r"\bhalf\b|\bhalve", 0.5),
)


def size_asked(question: str, now: int) -> int | None:
    """The number of executors a question asks about, also as a multiple of what the run had; None when it names none."""
    text = question.lower()
    more = re.search(r"\b(\d{1,5}) (more|fewer|less|additional|extra) (?:executors?|workers?|nodes?)", text)
    if more is not None:
        return max(now + (int(more[1]) if more[2] in ("more", "additional", "extra") else -int(more[1])), 1)
    number = re.search(
        r"\b(\d{1,5})\s+(?:executors?|workers?|nodes?|instances?)|(?:executors?|workers?|nodes?)\s+(?:to|=|at)\s+(\d{1,5})\b", text
    )
    if number is not None:
        return int(number[1] or number[2])
    if re.search(r"\bone executor|\bsingle executor", text):
        return 1
    return next((max(round(now * factor), 1) for pattern, factor in _TIMES if re.search(pattern, text)), None)


def executors(asked: Asked) -> RunAnswer:
    """How many there were, how well they were used, and what another number would do."""
    app = asked.report.application
    lines = [f"At most {show_count(app.executors_max)} executors with {show_count(app.cores_max)} cores in all were alive at once."]
    if asked.run is not None:
        lines += lost(asked.run, asked.report.facts) if re.search(r"\blost|removed|died|gone", asked.text) else []
        lines += use(asked.run, asked.report.facts)
    codes = ("idle-executors", "allocation-churn", "executor-lost", "too-few-partitions", "memory-overallocated")
    sized = tuple(f for f in asked.report.findings if f.code in codes)[:2]
    lines += _bullets(sized)
    wanted = size_asked(asked.question, app.executors_max)
    if wanted is None and re.search(r"what if|with|would|need", asked.text):
        bare = re.search(r"\b(\d{1,5})\b", asked.question)
        wanted = int(bare[1]) if bare else None
    cores = re.search(r"\b(\d{1,6})\s+(?:v?cores|cpus)\b", asked.text)
    if cores is not None and wanted in (None, int(cores[1])) and app.executors_max:
        wanted = max(round(int(cores[1]) / max(app.cores_max / app.executors_max, 1)), 1)
    if wanted is None and re.search(r"\b(?:help|faster|worth|improve|better)\b", asked.text):
        wanted = 2 * app.executors_max
    told = asked.what_if(wanted) if asked.what_if is not None and wanted is not None else None
    if told:
        return said("whatif", [told, *lines], sized)
    lines.append("`spark-copilot whatif LOG --executors 1,2,4` replays the recorded tasks on other sizes.")
    return said("executors", lines, sized)


def failures(asked: Asked) -> RunAnswer:
    """What failed, with Spark's reasons."""
    codes = ("job-failed", "task-failures", "stage-retries", "executor-lost", "out-of-memory")
    found = tuple(f for f in asked.report.findings if f.code in codes)[:3]
    lines = run_facts.failure_lines(asked.run) if asked.run is not None else []
    lines += _bullets(found)
    if not lines or not found:
        lines.append("The rules found no failure worth a change.")
    return said("failures", lines, found)


def longest(asked: Asked) -> RunAnswer | None:
    """The longest stages, and what is wrong with those on the critical path."""
    run = asked.run
    if run is None:
        return bottleneck(asked)
    rows = [row for row in stage_order(run)[:3] if run.stages.duration_ms[row] > 0]
    lines = run_facts.longest_stage_lines(run)
    path = _path(asked)
    if path:
        lines.append(f"On the critical path: {', '.join(ref.split('.')[0] for ref in path[:8])}.")
    ids = {int(run.stages.stage_id[row]) for row in rows}
    found = tuple(f for f in asked.report.findings if f.where.stage_id in ids)[:1]
    return said(
        "stages", [*lines, *(line for f in found for line in describe(f))], found, stages=tuple(run.stages.ref(row) for row in rows)
    )


def compare(asked: Asked) -> RunAnswer:
    """Without a second run: what is not in one log."""
    lines = [
        "One log holds one run, so what another run did is not in it. `spark-copilot compare OLD NEW` ranks the differences of two logs."
    ]
    prediction = asked.report.prediction
    if prediction is not None:
        lines.append(
            f"This run took {show_ms(asked.report.application.duration_ms)}; its history expects {show_ms(prediction.wall_ms.mid)}."
        )
    return said("compare", lines)


def sure(asked: Asked) -> RunAnswer:
    """How far the figures can be trusted: replay error, log quality, confidence of the first findings."""
    report, quality = asked.report, asked.report.data_quality
    lines = []
    error = report.facts.get("replay_error_ratio")
    if isinstance(error, int | float):
        lines.append(f"Replaying the recorded run comes out {100 * error:.1f} % off its wall clock; savings rest on that replay.")
    lines.append(
        f"The log is {quality.status}: {quality.bad_lines} lines could not be read, {quality.missing_task_ends} task ends are missing."
    )
    worth = tuple(f for f in report.findings if f.severity.rank < 4)[:3]
    for f in worth:
        between = f", {show_saving(f.saving)}" if show_saving(f.saving) else ""
        lines.append(f"- {f.title} ({place(f)}): confidence {f.confidence.value}{between}.")
    if report.not_computable:
        lines.append(f"{show_count(len(report.not_computable))} rules could not be told from this log.")
    return said("sure", lines, worth)
