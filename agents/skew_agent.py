"""The rules on skew, and the one fact they rest on."""

from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard, observe
from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.profile import profile


def skew(state: State, runtime: Runtime[Context]) -> State:
    """Reads nothing of the state; writes what the rules say and `facts.skew`."""
    del state
    update = observe(runtime.context, "skew")
    update["facts"] = {"skew": {"most_uneven": uneven(runtime.context.run)}}
    heard(runtime.context, "skew")
    return update


def uneven(run: AppRun) -> list[dict[str, float | str | int]]:
    """The three stages whose slowest task is furthest behind its median peer, in milliseconds; empty where no stage has three tasks."""
    ranked = sorted((s for s in profile(run).stages if s.n >= 3), key=lambda s: (-s.tail_ms, s.ref))[:3]
    return [{"stage": s.ref, "tasks": s.n, "median_ms": round(s.usual_ms), "slowest_ms": int(s.ms.max())} for s in ranked]
