"""How the rows that a stage reads were shuffled, from the plan: by which columns, and whether the program says into how many parts."""

import re
from collections.abc import Iterator

from spark_copilot.rules_engine.plans import graph_of
from spark_copilot.rules_engine.profile import Stage, profile

_HASHED = re.compile(r"hashpartitioning\((?P<keys>[^()]*(?:\([^()]*\)[^()]*)*), \d+\)")
_COLUMN = re.compile(r"([A-Za-z_][\w$.]*)#\d+L?")


def shuffle_keys(stage: Stage) -> tuple[str, ...]:
    """Column names, in plan order; empty where the stage reads no hash shuffle or the log cannot tell."""
    for text in _exchanges_read(stage):
        if match := _HASHED.search(text):
            return tuple(dict.fromkeys(_COLUMN.findall(match["keys"]))) or (match["keys"],)
    return ()


def counted_in_code(stage: Stage) -> bool:
    """Whether the number of the stage's partitions is written in the program (`repartition(2)`), so that no setting changes it."""
    return any("REPARTITION_BY_NUM" in text for text in _exchanges_read(stage))


def _exchanges_read(stage: Stage) -> Iterator[str]:
    """The shuffles whose rows the stage reads, as the plan writes them."""
    if stage.sql is None:
        return
    run, known = stage.run, profile(stage.run)
    parents = {row for row in range(len(run.stages)) if int(run.stages.stage_id[row]) in run.stages.parents[stage.row]}
    for node in graph_of(stage.sql.plan):
        touched = set(known.stages_of(node.plan)) if node.name == "Exchange" else set()
        if stage.row in touched and (touched & parents or len(touched) > 1):
            yield node.plan.text
