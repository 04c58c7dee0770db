"""What-if and compare over uploaded runs."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.run_resource import PREFIX, tables
from spark_copilot.app.service import Service
from spark_copilot.ml.cost import bundled
from spark_copilot.orchestration.compare import Comparison, compare
from spark_copilot.orchestration.whatif import WhatIf, what_if
from spark_copilot.rules_engine.errors import UsageError

MAX_EXECUTORS = 10_000


class WhatIfRequest(BaseModel):
    """Sizes, settings and findings to replay the run with; all together a size."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"executors": [1, 2, 4], "cores": 4}]})

    executors: list[int] = Field(default_factory=list, max_length=50, description="Numbers of executors; none: the recorded one.")
    cores: int | None = Field(None, ge=1, le=1_000, description="Cores of an executor; absent: as recorded.")
    settings: dict[str, str] = Field(default_factory=dict, max_length=100)
    apply: list[str] = Field(default_factory=list, max_length=100, description="Keys of findings to take as mended.")
    pricing: str | None = Field(
        None, max_length=200, description="A bundled price list, NAME or NAME:MACHINE; absent: the server's own, if it has one."
    )
    deadline_ms: float | None = Field(None, gt=0, description="Mark the cheapest size that surely ends in time.")
    budget: float | None = Field(None, gt=0, description="Mark the fastest size that surely stays within this much money.")
    application: str | None = Field(None, max_length=500, description="Which application of a log that holds several.")


class CompareRequest(BaseModel):
    """Two runs of a job."""

    model_config = ConfigDict(extra="forbid")

    baseline: str = Field(max_length=100, description="Run id.")
    candidate: str = Field(max_length=100, description="Run id.")


def router(service: Service) -> APIRouter:
    """The what-if and compare nouns."""
    api = APIRouter(prefix=PREFIX, tags=["replay"])

    @api.post("/runs/{run_id}/whatif", responses=problems(400, 404, 409, 413, 422, 503))
    def whatif(who: CallerDep, run_id: str, asked: WhatIfRequest) -> WhatIf:
        """The recorded tasks scheduled again under other sizes, settings, or with findings mended."""
        run = tables(service, who.tenant, run_id, asked.application)
        sizes = [min(size, MAX_EXECUTORS) for size in asked.executors]
        return what_if(
            run,
            executors=sizes,
            cores=asked.cores,
            settings=asked.settings,
            apply=asked.apply,
            pricing=_list_of(asked.pricing) or service.settings.pricing,
            deadline_ms=asked.deadline_ms,
            budget=asked.budget,
        )

    @api.post("/compare", responses=problems(400, 404, 409, 413, 422, 503))
    def comparison(who: CallerDep, asked: CompareRequest) -> Comparison:
        """What changed from the baseline to the candidate, by contribution, and whether it is more than noise."""
        baseline = tables(service, who.tenant, asked.baseline, None)
        return compare(baseline, tables(service, who.tenant, asked.candidate, None))

    return api


def _list_of(choice: str | None) -> str | None:
    """A bundled list only: what a client names never opens a file."""
    if choice is not None and choice.partition(":")[0] not in bundled():
        raise UsageError(f"no price list {choice!r}", hint="known: " + ", ".join(bundled()))
    return choice
