"""The graph's state by its public names, and the serialiser a checkpointer must use: only these classes come back from a checkpoint."""

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine import findings as vocabulary

__all__ = ["SERDE", "Context", "State"]

SERDE = JsonPlusSerializer(
    allowed_msgpack_modules=[
        value for value in vars(vocabulary).values() if isinstance(value, type) and value.__module__ == vocabulary.__name__
    ]
)
