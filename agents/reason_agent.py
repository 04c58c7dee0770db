"""Put the findings into an order to act in. A thin node over `rag.reasoning_agent`."""

from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard
from spark_copilot.agents.state import Context, State
from spark_copilot.rag.card_store import cards_by_code, load_cards
from spark_copilot.rag.reasoning_agent import plan

SOURCES = 2
"""Cards named with a finding: the one about its code and the nearest beside it."""


def reason(state: State, runtime: Runtime[Context]) -> State:
    """Reads `findings`; writes `recommendations`, and `findings` with the cards about each code. Adds and drops no finding."""
    cards = cards_by_code(load_cards())
    findings = [f.model_copy(update={"sources": tuple(cards.get(f.code, ())[:SOURCES])}) for f in state.get("findings", [])]
    update = State(recommendations=plan(findings, runtime.context.price), findings=findings)
    heard(runtime.context, "reason")
    return update
