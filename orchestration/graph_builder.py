"""The LangGraph state machine: metadata -> (partition | skew | delta) -> runtime -> cost -> reason."""

import functools
from collections.abc import Callable
from typing import Any

from langgraph.graph import END, START, StateGraph

from spark_copilot.agents.cost_agent import cost
from spark_copilot.agents.delta_agent import delta
from spark_copilot.agents.metadata_agent import metadata
from spark_copilot.agents.partition_agent import partition
from spark_copilot.agents.reason_agent import reason
from spark_copilot.agents.runtime_agent import runtime
from spark_copilot.agents.skew_agent import skew
from spark_copilot.agents.state import Context, State
from spark_copilot.connectors import tracing

NODES = {"metadata": metadata, "partition": partition, "skew": skew, "delta": delta, "runtime": runtime, "cost": cost, "reason": reason}
"""Every agent by its node's name."""


def build_graph(checkpointer: Any = None) -> Any:
    """The compiled graph. `checkpointer`: only where a run may be resumed (server, chat); the command line has none."""
    graph: StateGraph[State, Context, State, State] = StateGraph(State, context_schema=Context)
    for name, node in NODES.items():
        graph.add_node(name, _traced(name, node))
    graph.add_edge(START, "metadata")
    for side in ("partition", "skew", "delta"):
        graph.add_edge("metadata", side)
    graph.add_edge(["partition", "skew", "delta"], "runtime")
    graph.add_edge("runtime", "cost")
    graph.add_edge("cost", "reason")
    graph.add_edge("reason", END)
    return graph.compile(checkpointer=checkpointer)


def _traced(name: str, node: Callable[..., State]) -> Callable[..., State]:
    """The node inside a span."""

    @functools.wraps(node)
    def traced(*args: Any, **kwargs: Any) -> State:
        with tracing.span(f"agent {name}"):
            return node(*args, **kwargs)

    return traced
