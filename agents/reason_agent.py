"""Put the findings into an order to act in. A thin node over `rag.reasoning_agent`."""

from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard
from spark_copilot.agents.state import Context, State
from spark_copilot.rag.reasoning_agent import plan


def reason(state: State, runtime: Runtime[Context]) -> State:
    """Reads `findings`; writes `recommendations`. Adds and drops no finding."""
    findings = state.get("findings", [])
    update = State(recommendations=plan(findings, runtime.context.simulator.price), findings=findings)
    heard(runtime.context, "reason")
    return update
