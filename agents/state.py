"""What travels through the graph. `State` changes and is checkpointed; `Context` does not change and never is."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

from spark_copilot.ml.cost import Pricing, saving_cost
from spark_copilot.ml.feature_builder import HistoryRow
from spark_copilot.ml.simulator import Simulator
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import (
    CostReport,
    Failed,
    Finding,
    NotComputable,
    Observation,
    Prediction,
    Recommendation,
    Remedy,
    Saving,
)
from spark_copilot.rules_engine.limits import Limits
from spark_copilot.rules_engine.rule import AnyRule


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Reducer of `facts`: agents that run side by side each add their own keys."""
    return {**old, **new}


class State(TypedDict, total=False):
    """What the agents say. Values, strings and numbers only, so that a checkpoint can hold it.

    `observed`, `ran`, `not_computable`, `failed`, `notes`: several agents append, side by side. `findings`: priced by runtime, then replaced by
    cost (money) and reason (sources); nothing is added or dropped after runtime. `facts`: one dict, each agent its own keys.
    `money`: the cost of the run, None without a price list. `expected`: what its history says, None without enough of it.
    """

    observed: Annotated[list[Observation], operator.add]
    ran: Annotated[list[str], operator.add]
    not_computable: Annotated[list[NotComputable], operator.add]
    failed: Annotated[list[Failed], operator.add]
    notes: Annotated[list[str], operator.add]
    facts: Annotated[dict[str, Any], merged]
    findings: list[Finding]
    money: CostReport | None
    expected: Prediction | None
    recommendations: list[Recommendation]


@dataclass(frozen=True, slots=True)
class Context:
    """What every node may use: the run, its replay, the thresholds and the rules; prices where the caller chose a list; earlier runs of the job where
    there are any;
    settings the user fixed (`preserve` as they are, `enforce` to these values), which nothing proposes to change. `progress` hears each node's name as it ends."""

    run: AppRun
    simulator: Simulator
    limits: Limits = field(default_factory=Limits)
    rules: tuple[AnyRule, ...] = ()
    progress: Callable[[str], None] | None = None
    pricing: Pricing | None = None
    preserve: frozenset[str] = frozenset()
    enforce: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[HistoryRow] = ()
    job: str = ""
    """The job's name as the report states it, by which rows of `history` are this job's."""
    unpredicted: Callable[[str], None] | None = None
    """Hears why a history gives no prediction."""

    def price(self, remedies: Sequence[Remedy]) -> Saving:
        """What these remedies bring together: time by replay, money where there are prices."""
        saving = self.simulator.price(remedies)
        if self.pricing is None:
            return saving
        return saving.model_copy(update={"cost": saving_cost(self.run, self.pricing, saving, remedies)})

    def rules_of(self, *families: str) -> tuple[AnyRule, ...]:
        """The rules of these families, in catalog order."""
        return tuple(r for r in self.rules if r.family in families)
