"""`POST /api/v1/gate`: settings as text, judged as the command line judges files."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from spark_copilot.app.api.errors import problems
from spark_copilot.orchestration.gate import gate_texts
from spark_copilot.rules_engine.gate.target import SparkVersion, Target

MOST_TEXT = 8 << 20


class GateQuestion(BaseModel):
    """Files by name; the name's ending tells the format, as it does on disk."""

    model_config = ConfigDict(extra="forbid")

    files: dict[str, str] = Field(min_length=1, max_length=1_000, examples=[{"spark-defaults.conf": "spark.executors.memory 8g"}])
    spark_version: str | None = Field(None, examples=["3.5"])
    platform: str | None = Field(None, examples=["kubernetes"])


def router() -> APIRouter:
    """The gate noun."""
    api = APIRouter(prefix="/api/v1", tags=["gate"])

    @api.post("/gate", responses=problems(422))
    def judge(asked: GateQuestion) -> dict[str, Any]:
        """Findings in the shape of `gate --format json`. Names are labels: nothing is read from this machine."""
        target = Target(spark=SparkVersion.parse(asked.spark_version) if asked.spark_version else None, platform=asked.platform)
        return gate_texts(asked.files, target=target).to_json()

    return api
