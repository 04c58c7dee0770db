"""The gate on a run: held against the logs of earlier runs of the same job, or against a budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spark_copilot.connectors.eventlog import read_run
from spark_copilot.orchestration.gate import FileReport, GateReport
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.gate.engine import URL
from spark_copilot.rules_engine.gate.finding import GateFinding, Hit, Severity
from spark_copilot.rules_engine.gate.run_figures import Figures, figures_of
from spark_copilot.rules_engine.gate.run_pages import RUN_PAGES
from spark_copilot.rules_engine.gate.run_rules import CHECKS, verdict_of
from spark_copilot.rules_engine.units import parse_ms, show_ms


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a run may take at most; None: anything."""

    max_wall_ms: float | None = None

    @classmethod
    def parse(cls, *, max_wall: str | None) -> "Budgets":
        """Budgets as the command line writes them.

        Raises:
            UsageError: no duration.
        """
        wall = None if max_wall is None else parse_ms(max_wall, "s")
        if max_wall is not None and wall is None:
            raise UsageError(f"--max-wall takes a duration such as 30m, not {max_wall!r}")
        return cls(wall)

    @property
    def any(self) -> bool:
        """Whether there is a budget at all."""
        return self.max_wall_ms is not None


def gate_run(baselines: Sequence[Path], run: Path, budgets: Budgets | None = None) -> GateReport:
    """Hold the newest run against earlier ones and against budgets.

    Raises:
        UsageError: neither a baseline nor a budget is given.
        NotAnEventLog: a path holds no run.
    """
    budgets = budgets or Budgets()
    if not baselines and not budgets.any:
        raise UsageError("a run is judged against a baseline or a budget", hint="--baseline BASE_LOG NEW_LOG, or --max-wall 30m")
    now = figures_of(read_run(run))
    before = [figures_of(read_run(path)) for path in baselines]
    name = run.as_posix()
    findings = [*_against(now, before, name), *_over(now, budgets, name)]
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


def _over(now: Figures, budgets: Budgets, file: str) -> list[GateFinding]:
    if budgets.max_wall_ms is None or now.wall_ms <= budgets.max_wall_ms:
        return []
    hit = Hit(0, f"the run took {show_ms(now.wall_ms)}, the budget is {show_ms(budgets.max_wall_ms)}")
    return [_finding("budget", "max-wall", "error", file, hit)]


def _finding(code: str, name: str, severity: Severity, file: str, hit: Hit) -> GateFinding:
    return GateFinding(code, name, severity, file, hit.line, hit.message, key=hit.key, fix=hit.fix, url=URL.format(code=code.lower()))
