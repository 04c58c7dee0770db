"""By which columns the rows of a stage were shuffled, from the plan: what a user must look at in a skewed stage."""

import re

from spark_copilot.rules_engine.plans import graph_of
from spark_copilot.rules_engine.profile import Stage, profile

_HASHED = re.compile(r"hashpartitioning\((?P<keys>[^()]*(?:\([^()]*\)[^()]*)*), \d+\)")
_COLUMN = re.compile(r"([A-Za-z_][\w$.]*)#\d+L?")


def shuffle_keys(stage: Stage) -> tuple[str, ...]:
    """Column names, in plan order; empty where the stage reads no hash shuffle or the log cannot tell."""
    if stage.sql is None:
        return ()
    run, known = stage.run, profile(stage.run)
    parents = {row for row in range(len(run.stages)) if int(run.stages.stage_id[row]) in run.stages.parents[stage.row]}
    for node in graph_of(stage.sql.plan):
        if node.name != "Exchange":
            continue
        match = _HASHED.search(node.plan.text)
        touched = set(known.stages_of(node.plan))
        if match and stage.row in touched and (touched & parents or len(touched) > 1):
            return tuple(dict.fromkeys(_COLUMN.findall(match["keys"]))) or (match["keys"],)
    return ()
