"""What the observing agents share: run the rules of their families and hand the outcome on as partial state."""

from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine.engine import evaluate


def observe(context: Context, *families: str) -> State:
    """Rules of these families over the run. Writes `observed`, `ran`, `not_computable`, `failed`."""
    outcome = evaluate(context.run, context.rules_of(*families), context.limits)
    return State(
        observed=list(outcome.observed), ran=list(outcome.ran), not_computable=list(outcome.not_computable), failed=list(outcome.failed)
    )


def heard(context: Context, agent: str) -> None:
    """Tell whoever listens that an agent has ended."""
    if context.progress is not None:
        context.progress(agent)
