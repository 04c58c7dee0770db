"""`GET /api/v1/search` and `POST /api/v1/ask`: passages and answers with their sources, without a model."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.errors import problems
from spark_copilot.orchestration.ask import AskAnswer, KnowledgePlace, SearchAnswer, ask, search
from spark_copilot.orchestration.runs import RunSource


class Question(BaseModel):
    """What is asked; `run_id` is an uploaded run, or an application of the served log directory."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=4_000, examples=["why is my job slow?"])
    run_id: str | None = Field(None, description="Run or application id, for questions about a run.")


def router(place: KnowledgePlace, runs: RunSource) -> APIRouter:
    """The search and ask nouns."""
    api = APIRouter(prefix="/api/v1", tags=["knowledge"])

    @api.get("/search", responses=problems(422))
    def find(q: Annotated[str, Query(min_length=1, max_length=1_000)], k: Annotated[int, Query(ge=1, le=50)] = 5) -> SearchAnswer:
        """The k best passages of the bundled knowledge and of your own index."""
        return search(q, place, k=k)

    @api.post("/ask", responses=problems(404, 422))
    def answer(asked: Question) -> AskAnswer:
        """An answer of at most 200 words. Numbers come only from the run's report, keys only from Spark's catalog."""
        if asked.run_id is None:
            return ask(asked.question, place)
        analysed = runs.get(asked.run_id)
        return ask(asked.question, place, run=analysed.run, report=analysed.report)

    return api
