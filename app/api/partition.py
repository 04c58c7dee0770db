"""`POST /api/v1/analyze/partition`: how to lay out a table, and how many tasks it makes, from its size alone."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from spark_copilot.app.api.errors import problems
from spark_copilot.rules_engine.errors import BadInput
from spark_copilot.rules_engine.partitioning import Column, layout

_MOST = 1 << 60


class AskedColumn(BaseModel):
    """A column with the number of its distinct values."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=500)
    distinct: int = Field(ge=0, le=_MOST)


class AskedCluster(BaseModel):
    """The cores that will work on it."""

    model_config = ConfigDict(extra="forbid")

    executors: PositiveInt = Field(le=1_000_000)
    cores_per_executor: PositiveInt = Field(le=10_000)


class PartitionQuestion(BaseModel):
    """The table as it lies, the columns that could be partitioned by, what queries filter on, and the cluster."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "size_bytes": 2_000_000_000_000,
                    "rows": 9_000_000_000,
                    "columns": [{"name": "day", "distinct": 730}, {"name": "user_id", "distinct": 40_000_000}],
                    "filters": ["day >= date'2026-01-01'"],
                    "cluster": {"executors": 20, "cores_per_executor": 4},
                }
            ]
        },
    )

    table: str | None = Field(None, max_length=1_000, description="A label for the table; its size is given beside it.")
    size_bytes: int | None = Field(None, gt=0, le=_MOST)
    rows: int | None = Field(None, ge=0, le=_MOST)
    columns: list[AskedColumn] = Field(default_factory=list, max_length=1_000)
    filters: list[str] = Field(default_factory=list, max_length=1_000)
    cluster: AskedCluster


class PartitionAnswer(BaseModel):
    """The layout, with a sentence for each decision."""

    partition_by: list[str]
    avoid: list[str]
    target_file_bytes: int
    input_partitions: int
    shuffle_partitions: int
    because: str


def router() -> APIRouter:
    """The partition noun."""
    api = APIRouter(prefix="/api/v1/analyze", tags=["analyze"])

    @api.post("/partition", summary="Lay out a table", responses=problems(422))
    def partition(asked: PartitionQuestion) -> PartitionAnswer:
        """Partition columns, file size and task counts; the same arithmetic as the findings' own proposals."""
        if asked.size_bytes is None:
            raise BadInput("the table's size is not known", hint="give size_bytes and rows (DESCRIBE DETAIL, or the catalog's statistics)")
        slots = asked.cluster.executors * asked.cluster.cores_per_executor
        columns = [Column(c.name, c.distinct) for c in asked.columns]
        made = layout(asked.size_bytes, asked.rows or 0, columns, asked.filters, slots)
        return PartitionAnswer(
            partition_by=list(made.partition_by),
            avoid=list(made.avoid),
            target_file_bytes=made.target_file_bytes,
            input_partitions=made.input_partitions,
            shuffle_partitions=made.shuffle_partitions,
            because=made.because,
        )

    return api
