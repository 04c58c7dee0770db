"""The gate on a run: held against the logs of earlier runs of the same job, or against a budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_copilot.connectors.eventlog import read_run
from spark_copilot.ml.cost import Pricing, run_cost
from spark_copilot.orchestration.analyse import analyse_run
from spark_copilot.orchestration.gate import FileReport, GateReport
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Severity as Level
from spark_copilot.rules_engine.gate.engine import URL
from spark_copilot.rules_engine.gate.finding import GateFinding, Hit, Severity
from spark_copilot.rules_engine.gate.run_figures import Figures, figures_of
from spark_copilot.rules_engine.gate.run_pages import RUN_PAGES
from spark_copilot.rules_engine.gate.run_rules import CHECKS, verdict_of
from spark_copilot.rules_engine.units import parse_ms, show_money, show_ms

LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a run may take at most; None: anything."""

    max_wall_ms: float | None = None
    max_cost: float | None = None
    no: Level | None = None
    pricing: str | None = None

    @classmethod
    def parse(cls, *, max_wall: str | None, max_cost: float | None = None, no: str | None = None, pricing: str | None = None) -> "Budgets":
        """Budgets as the command line writes them.

        Raises:
            UsageError: no duration, no severity, or a price limit without prices.
        """
        wall = None if max_wall is None else parse_ms(max_wall, "s")
        if max_wall is not None and wall is None:
            raise UsageError(f"--max-wall takes a duration such as 30m, not {max_wall!r}")
        if no is not None and no not in LEVELS:
            raise UsageError(f"--no takes a severity, not {no!r}", hint=f"one of {', '.join(LEVELS)}")
        if max_cost is not None and pricing is None:
            raise UsageError("--max-cost needs prices", hint="--pricing NAME or FILE; docs/cost.md lists the names")
        return cls(wall, max_cost, Level(no) if no is not None else None, pricing)

    @property
    def any(self) -> bool:
        """Whether there is a budget at all."""
        return self.max_wall_ms is not None or self.max_cost is not None or self.no is not None


def gate_run(baselines: Sequence[Path], run: Path, budgets: Budgets | None = None) -> GateReport:
    """Hold the newest run against earlier ones and against budgets.

    Raises:
        UsageError: neither a baseline nor a budget is given.
        NotAnEventLog: a path holds no run.
    """
    budgets = budgets or Budgets()
    if not baselines and not budgets.any:
        raise UsageError(
            "a run is judged against a baseline or a budget", hint="--baseline BASE_LOG NEW_LOG, or --max-wall 30m, --max-cost 5, --no high"
        )
    judged = read_run(run)
    now = figures_of(judged)
    before = [figures_of(read_run(path)) for path in baselines]
    name = run.as_posix()
    findings = [*_against(now, before, name), *_over(judged, budgets, name)]
    worse = [f.name for f in findings if f.severity != "info"]
    files = tuple(FileReport(p.as_posix(), "event-log", len(f.settings)) for p, f in zip([*baselines, run], [*before, now], strict=True))
    verdict = verdict_of(now, before, worse) if before else ("over budget" if worse else f"within budget: {show_ms(now.wall_ms)}")
    return GateReport(tuple(findings), files, verdict=verdict)


def _against(now: Figures, before: Sequence[Figures], file: str) -> list[GateFinding]:
    if not before:
        return []
    pages = {page.code: page for page in RUN_PAGES}
    found = []
    for code, check in CHECKS:
        page = pages[code]
        found += [_finding(code, page.name, page.severity, file, hit) for hit in check(now, before)]
    return found


def _over(run: AppRun, budgets: Budgets, file: str) -> list[GateFinding]:
    """What is over a budget: wall clock, money, and findings of the analysis at or above a severity."""
    found = []
    if budgets.max_wall_ms is not None and run.wall_ms > budgets.max_wall_ms:
        said = f"the run took {show_ms(run.wall_ms)}, the budget is {show_ms(budgets.max_wall_ms)}"
        found.append(_finding("budget", "max-wall", "error", file, Hit(0, said)))
    if budgets.max_cost is not None and budgets.pricing is not None:
        pricing = Pricing.of(budgets.pricing, run)
        spent = run_cost(run, pricing).total
        if spent > budgets.max_cost:
            said = f"the run cost {show_money(spent, pricing.currency)} ({pricing.label}), the budget is {show_money(budgets.max_cost, pricing.currency)}"
            found.append(_finding("budget", "max-cost", "error", file, Hit(0, said)))
    if budgets.no is not None:
        for f in analyse_run(run).findings:
            if f.severity.rank <= budgets.no.rank:
                fix = f.changes[0].text if f.changes else None
                found.append(
                    _finding("budget", f"no-{budgets.no}", "error", file, Hit(0, f"{f.severity} {f.key}: {f.title}; {f.because}", fix=fix))
                )
    return found


def _finding(code: str, name: str, severity: Severity, file: str, hit: Hit) -> GateFinding:
    return GateFinding(code, name, severity, file, hit.line, hit.message, key=hit.key, fix=hit.fix, url=URL.format(code=code.lower()))
