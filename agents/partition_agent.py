"""The rules on partitions and files, and the one fact they rest on."""

from langgraph.runtime import Runtime

from spark_copilot.agents.observe import heard, observe
from spark_copilot.agents.state import Context, State
from spark_copilot.rules_engine.profile import profile


def partition(state: State, runtime: Runtime[Context]) -> State:
    """Reads nothing of the state; writes what the rules say and `facts.partition`."""
    del state
    update = observe(runtime.context, "partition")
    update["facts"] = {"partition": {"slots": runtime.context.run.slots_max, "stages_weighed": len(profile(runtime.context.run).stages)}}
    heard(runtime.context, "partition")
    return update
