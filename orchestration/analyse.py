"""The main use case: an event log in, a report out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spark_copilot.agents.state import Context, State
from spark_copilot.connectors.eventlog import read_run, read_runs
from spark_copilot.ml.cost import Pricing
from spark_copilot.ml.feature_builder import HistoryRow, history_row
from spark_copilot.ml.simulator import Simulator
from spark_copilot.orchestration.graph_builder import build_graph
from spark_copilot.orchestration.report_builder import build_report, job_name
from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Report
from spark_copilot.rules_engine.limits import Limits
from spark_copilot.rules_engine.rule import AnyRule


@dataclass(frozen=True, slots=True)
class Options:
    """How to analyse: thresholds, rules, who hears of progress (an agent's name as it ends), the price list by name or file (None: no money),
    settings that stay as they are (`preserve`) or get one value whatever is found (`enforce`), earlier runs for the prediction (those of other jobs,
    and later ones, do not count), and who hears why they give none.
    """

    limits: Limits = field(default_factory=Limits)
    rules: tuple[AnyRule, ...] = RULES
    progress: Callable[[str], None] | None = None
    pricing: str | None = None
    preserve: frozenset[str] = frozenset()
    enforce: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[HistoryRow] = ()
    unpredicted: Callable[[str], None] | None = None


def analyse_run(run: AppRun, options: Options | None = None) -> Report:
    """The whole graph over one run. The same run, rules and limits give the same report."""
    options = options or Options()
    simulator = Simulator(run)
    pricing = Pricing.of(options.pricing, run) if options.pricing else None
    context = Context(
        run=run,
        simulator=simulator,
        limits=options.limits,
        rules=options.rules,
        progress=options.progress,
        pricing=pricing,
        preserve=options.preserve,
        enforce=options.enforce,
        history=options.history,
        job=job_name(run.app.name),
        unpredicted=options.unpredicted,
    )
    state: State = build_graph().invoke(State(), context=context)
    return build_report(run, state)


def report_of(run: AppRun, pricing: str | None) -> Report:
    """The report with money where the list can price this run: one that prices machines, for a log that names none, leaves time only.

    For settings that hold for every log; a list that a user names for one run is refused instead (`analyse_run`).
    """
    return analyse_run(run, Options(pricing=usable(pricing, run)))


def usable(pricing: str | None, run: AppRun) -> str | None:
    """The price list's name, None where it cannot price this run."""
    try:
        return pricing if pricing is not None and Pricing.of(pricing, run) else None
    except CopilotError:
        return None


def row_of(run: AppRun) -> HistoryRow:
    """The run as it stands in the history of its job."""
    return history_row(run, job_name(run.app.name))


def analyse(path: str | Path, options: Options | None = None, *, reading: Callable[[int], None] | None = None) -> Iterator[Report]:
    """A report for each application in a log, a directory or standard input ("-"). `reading` hears of bytes read."""
    for run in read_runs(path, progress=reading):
        yield analyse_run(run, options)


def analyze(path: str | Path) -> Report:
    """Analyse an event log: the library's front door.

    Raises:
        BadInput: not an event log, or not readable.
    """
    return analyse_run(read(path))


def read(path: str | Path) -> AppRun:
    """Read an event log into columns."""
    return read_run(path)
