"""The report as one self-contained HTML page: no scripts, no outside resource, pictures as inline SVG."""

from html import escape

import numpy as np

from spark_copilot.app.report.connect import connect_lines, connect_summary
from spark_copilot.app.report.plain import shown
from spark_copilot.app.report.steps import steps, stop_after
from spark_copilot.app.report.text import copyable, cost_line, order, place_of, prediction_line, record_of, saving_of
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Finding, Report
from spark_copilot.rules_engine.profile import profile
from spark_copilot.rules_engine.units import show_ms

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5d6b7a;--line:#d7dde4;--paper:#fff;--card:#f6f8fa;--a:#2f6fb3;--b:#c7862b;--c:#8b97a5;--d:#b7c2ce}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#9fadbb;--line:#33404d;--paper:#141a21;--card:#1b232c;--a:#6aa7e6;--b:#e0a95a;--c:#7b8896;--d:#4a5764}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:0 0 .4rem}small,.soft{color:var(--soft)}
.verdict{font-size:1.15rem;font-weight:600;margin:1rem 0}
article{background:var(--card);border:1px solid var(--line);border-left:.4rem solid var(--c);border-radius:.4rem;padding:.8rem 1rem;margin:1rem 0}
article.critical{border-left-color:#b3261e}article.high{border-left-color:#d9542b}article.medium{border-left-color:#d6a21e}article.low{border-left-color:var(--a)}
dl{display:grid;grid-template-columns:5rem 1fr;gap:.2rem .8rem;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--line);border-radius:.4rem;padding:.8rem;overflow-x:auto}
svg{width:100%;height:auto;display:block}figure{margin:1rem 0}figcaption{color:var(--soft);font-size:.85rem}
.badge{font-size:.8rem;font-weight:700;text-transform:uppercase;letter-spacing:.04em}
"""

_PARTS = (
    ("startup_ms", "start-up", "var(--d)"),
    ("executors_ms", "tasks running", "var(--a)"),
    ("driver_ms", "driver alone", "var(--b)"),
    ("waiting_ms", "waiting", "var(--c)"),
)
_TIMELINE_STAGES = 40


def render(report: Report, run: AppRun | None = None) -> str:
    """The page; with the run also its timeline and the task times of the stages that findings name."""
    a = report.application
    body = [
        f"<h1>{_text(a.name)}</h1><small>{_text(a.id)} · Spark {_text(a.spark_version)} · {_text(a.platform)} · {a.cores_max} cores</small>",
        f'<p class="verdict">{_text(report.verdict)}</p>',
        _clock(report),
    ]
    if report.data_quality.status != "complete":
        body.append(f"<p>The log is {report.data_quality.status}: {_text('; '.join(report.data_quality.reasons[:5]))}</p>")
    if run is not None and len(run.tasks):
        body.append(_timeline(run))
    body += [_finding(n, f, report, run) for n, f in enumerate(report.findings, 1)]
    if summary := connect_summary(report):
        each = "".join(f"<li>{_text(line)}</li>" for line in connect_lines(report))
        body.append(f"<h2>Operations</h2><p>{_text(summary)}.</p><ul>{each}</ul>")
    plan = steps(report)
    if len(plan) > 1:
        listed = "".join(f"<li>{_text(step.text)}<br><small>{_text(step.after)}</small></li>" for step in plan)
        stop = stop_after(plan)
        body.append(f"<h2>In this order</h2><ol>{listed}</ol>" + (f"<p>{_text(stop[:1].upper() + stop[1:])}.</p>" if stop else ""))
    settings = copyable(report)
    if settings:
        body.append(f"<h2>Settings to copy</h2><pre>{_text(chr(10).join(settings), keep_lines=True)}</pre>")
    body.append(f'<p class="soft">Looked at and found nothing: {_text(", ".join(report.passed) or "none")}.</p>')
    body += [f'<p class="soft">Could not look: {n.code} ({_text(n.reason)}).</p>' for n in report.not_computable]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'"><title>{_text(a.name)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"


def _text(text: str, *, keep_lines: bool = False) -> str:
    return "\n".join(escape(shown(line)) for line in text.splitlines()) if keep_lines else escape(shown(text))


def _clock(report: Report) -> str:
    clock, total = report.facts.get("wall_clock", {}), max(report.application.duration_ms, 1)
    x, bars, words = 0.0, [], []
    for key, name, colour in _PARTS:
        width = 1000 * clock.get(key, 0) / total
        if width > 0:
            bars.append(
                f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="26" fill="{colour}"><title>{name} {show_ms(clock[key])}</title></rect>'
            )
            words.append(f"{name} {show_ms(clock[key])} ({width / 10:.0f} %)")
            x += width
    below = f"<br>{_text(cost_line(report.cost))}" if report.cost is not None else ""
    below += f"<br>{_text(prediction_line(report.prediction))}" if report.prediction is not None else ""
    return f'<figure><svg viewBox="0 0 1000 26" role="img" aria-label="where the time went">{"".join(bars)}</svg><figcaption>{", ".join(words)}{below}</figcaption></figure>'


def _timeline(run: AppRun) -> str:
    """The heaviest stages as bars over the run's time, in order of their start."""
    heavy = sorted(profile(run).stages, key=lambda s: -s.total_ms)[:_TIMELINE_STAGES]
    stages = sorted(heavy, key=lambda s: int(run.tasks.launch_ms[s.rows].min()))
    if not stages:
        return ""
    total, rows = max(run.wall_ms, 1), []
    for i, stage in enumerate(stages):
        start = int(run.tasks.launch_ms[stage.rows].min()) - run.started_ms
        x, width, y = 1000 * start / total, max(1000 * stage.span_ms / total, 2), i * 18
        label = f"stage {stage.ref}: {stage.n} tasks, {show_ms(stage.span_ms)}"
        anchor = (
            f'<text x="{x + width + 6:.1f}" y="{y + 12}" ' if x + width < 700 else f'<text x="{x - 6:.1f}" y="{y + 12}" text-anchor="end" '
        )
        rows.append(
            f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="13" fill="var(--a)"><title>{label}</title></rect>{anchor}font-size="11" fill="var(--ink)">{label}</text>'
        )
    return f'<figure><svg viewBox="0 0 1000 {18 * len(stages)}" role="img" aria-label="stages over time">{"".join(rows)}</svg><figcaption>stages over {show_ms(total)}</figcaption></figure>'


def _histogram(run: AppRun, finding: Finding) -> str:
    """Task times of the stage a finding names, in twenty classes."""
    row = run.stage_row_of.get((finding.where.stage_id if finding.where.stage_id is not None else -1, finding.where.stage_attempt or 0))
    stage = profile(run).stage(row) if row is not None else None
    if stage is None or stage.n < 3:
        return ""
    counts, edges = np.histogram(stage.ms, bins=20)
    most = max(int(counts.max()), 1)
    bars = "".join(
        f'<rect x="{50 * i}" y="{60 - 58 * int(c) / most:.1f}" width="46" height="{58 * int(c) / most:.1f}" fill="var(--b)"><title>{int(c)} tasks of {show_ms(edges[i])} to {show_ms(edges[i + 1])}</title></rect>'
        for i, c in enumerate(counts)
        if c
    )
    return f'<figure><svg viewBox="0 0 1000 62" role="img" aria-label="task times">{bars}<line x1="0" x2="1000" y1="61" y2="61" stroke="var(--line)"/></svg><figcaption>{stage.n} tasks from {show_ms(edges[0])} to {show_ms(edges[-1])}</figcaption></figure>'


def _finding(number: int, finding: Finding, report: Report, run: AppRun | None) -> str:
    duration_ms = report.application.duration_ms
    rows = [
        ("where", place_of(finding)),
        ("why", finding.because),
        ("worth", f"{saving_of(finding.saving, duration_ms)}; confidence {finding.confidence.value}"),
    ]
    rows += [("do" if i == 0 else "", order(change)) for i, change in enumerate(finding.changes)]
    if finding.changes:
        rows.append(("until", finding.changes[0].stop_condition))
    measured = record_of(finding, report)
    if measured:
        rows.append(("record", measured))
    listed = "".join(f"<dt>{label}</dt><dd>{_text(text)}</dd>" for label, text in rows)
    picture = _histogram(run, finding) if run is not None else ""
    return f'<article class="{finding.severity.value}"><h2>{number}. {_text(finding.title)}</h2><p class="soft"><span class="badge">{finding.severity.value}</span> {finding.code}</p><dl>{listed}</dl>{picture}</article>'
