"""Work that several queries of a run share: the operators from a common source upwards that read alike in their plans.

Column pruning and pushed filters make the plans of two actions on one DataFrame differ, so operators are compared by what they compute, not by their whole text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from spark_copilot.rules_engine.facts import PlanNode
from spark_copilot.rules_engine.plans import walk

EXPRESSION_ID = re.compile(r"#\d+L?|\[plan_id=\d+\]|plan_id=\d+|\bid=#?\d+|rdd_\d+|Statistics\([^)]*\)|(?<!UnsafeArrayData)@[0-9a-f]{4,}")
"""What differs between two plans of the same work. The hash of a constant array is one of its elements, other hashes are of objects."""
OF_A_STREAM = re.compile(r"MicroBatch|StateStore|Streaming")
"""Nodes of a micro-batch: the same plan on the next rows."""

_COSTLY = re.compile(
    r"\b(?:aggregate|reduce|transform|filter|exists|forall|zip_with|from_json|get_json_object|from_csv|from_xml|regexp_\w+|rlike|levenshtein|UDF|pythonUDF\d*)\("
)
"""Expressions of which a row takes microseconds and more; arithmetic, casts and hashes do not."""

_JOINS = re.compile(r"Join$|CartesianProduct$")
_TEXT_SCAN = re.compile(r"^Scan (?:csv|json|text|xml|JDBCRelation)")
_UNNAMED = ("Scan ExistingRDD", "Scan ExternalRDD", "LocalTableScan", "ReusedExchange", "EmptyRelation", "InMemoryTableScan")
"""Sources whose text does not say which rows they hold."""

OF_AN_RDD = ("Scan ExistingRDD", "Scan ExternalRDD")

_AGGREGATE = 0.1
"""Weight of an aggregate that is not shared: it takes the rows as they come, and what made them is what costs."""

_MIN_CONTAINED = 30
"""Characters of an expression that is looked for inside another; shorter ones stand everywhere."""
MAX_NODES = 400
"""Operators of a plan that is looked at; comparing larger ones would take longer than it is worth."""

Kind = Literal["filter", "project", "aggregate", "other"]


@dataclass(frozen=True, slots=True)
class Step:
    """One operator above a source: what it computes, and how much of it is costly."""

    kind: Kind
    texts: frozenset[str]
    weight: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A source and the operators above it, in the order the rows take."""

    source: str
    steps: tuple[Step, ...]
    weight: int
    leaf: PlanNode


def chains(plan: PlanNode, of_rows: str = "") -> list[Chain]:
    """One chain for each source of a plan; none for a plan that reads a cache or a stream, or is beyond `MAX_NODES`.

    `of_rows` names what an unnamed RDD holds (the rows of a micro-batch); without it such a source gives no chain.
    """
    nodes = list(walk(plan))
    if len(nodes) > MAX_NODES or any(n.name == "InMemoryTableScan" or OF_A_STREAM.search(n.name) for n in nodes):
        return []
    return list(_climb(plan, of_rows))


def _climb(root: PlanNode, of_rows: str) -> Iterator[Chain]:
    todo: list[tuple[PlanNode, tuple[PlanNode, ...]]] = [(root, ())]
    while todo:
        here, parents = todo.pop()
        if here.children:
            todo += [(child, (*parents, here)) for child in here.children]
            continue
        path = [*parents, here]
        steps = []
        for child, parent in zip(reversed(path), reversed(path[:-1]), strict=False):
            if (step := _step(parent, child)) is not None:
                steps.append(step)
        if here.name.startswith(_UNNAMED) and not (of_rows and here.name.startswith(OF_AN_RDD)):
            continue
        own = 1 if _TEXT_SCAN.match(here.name) else 0
        yield Chain(f"{_source(here)}|{of_rows}" if of_rows else _source(here), tuple(steps), own, here)


def _source(leaf: PlanNode) -> str:
    location = leaf.metadata.get("Location")
    if not location:
        return f"{leaf.name}|{_clean(leaf.text)}"
    return f"{leaf.name}|{location}|{_clean(leaf.metadata.get('PartitionFilters', ''))}"


def _clean(text: str) -> str:
    return EXPRESSION_ID.sub("", text)


def _step(node: PlanNode, child: PlanNode) -> Step | None:
    """What an operator does to the rows of one of its children; None for those that only move rows or pick columns."""
    name, text = node.name, _clean(node.text)
    if name == "Filter":
        found = frozenset(part for part in _parts(text.removeprefix("Filter "), " AND ") if not part.startswith("isnotnull("))
        return Step("filter", found, sum(1 for part in found if _COSTLY.search(part))) if found else None
    if name == "Project":
        inner = text[text.find("[") + 1 : text.rfind("]")] if "[" in text else ""
        computed = frozenset(_alias_off(part) for part in _parts(inner, ", ") if _COSTLY.search(part))
        return Step("project", computed, len(computed)) if computed else None
    if _JOINS.search(name):
        others = sorted(_source(n) for c in node.children if c is not child for n in walk(c) if not n.children)
        return Step("other", frozenset((f"{name}|{text}|{'|'.join(others)}",)), 1)
    if name in (
        "BatchEvalPython",
        "ArrowEvalPython",
        "Generate",
        "Window",
        "MapInPandas",
        "FlatMapGroupsInPandas",
        "MapElements",
        "MapPartitions",
    ):
        return Step("other", frozenset((text,)), 1)
    if name.endswith("Aggregate"):
        return Step("aggregate", frozenset((text,)), 1)
    if name == "Exchange" and "REPARTITION" in text:
        return Step("other", frozenset((text,)), 0)
    return None


def costly(node: PlanNode) -> bool:
    """Whether an operator computes something of which a row takes microseconds and more: costly functions, Python, exploded arrays, joins."""
    step = _step(node, node.children[0]) if node.children else None
    return step is not None and step.weight > 0 and step.kind != "aggregate"


def _alias_off(part: str) -> str:
    return part.rpartition(" AS ")[0] or part


def _parts(text: str, between: str) -> list[str]:
    """A list of expressions taken apart where no bracket is open."""
    if between == " AND " and text.startswith("(") and text.endswith(")") and _closes(text) == len(text) - 1:
        text = text[1:-1]
    found, depth, start, at = [], 0, 0, 0
    while at < len(text):
        if text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
        elif depth <= 0 and text.startswith(between, at):
            found.append(text[start:at])
            start = at = at + len(between)
            continue
        at += 1
    found.append(text[start:])
    parts = [part.strip() for part in found if part.strip()]
    if between == " AND " and len(parts) > 1:
        return [inner for part in parts for inner in _parts(part, between)]
    return parts


def _closes(text: str) -> int:
    depth = 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return at
    return -1


def shared_ratio(here: Chain, before: Chain) -> tuple[float, bool]:
    """How much of a chain's costly work an earlier one had done already, 0 to 1, and whether more than the source is shared.

    0 for chains of other sources and for cheap work.
    """
    if here.source != before.source:
        return 0.0, False
    common, rest, at = float(here.weight), 0.0, 0
    for mine, theirs in zip(here.steps, before.steps, strict=False):
        part = _common(mine, theirs)
        if part is None:
            break
        common, at = common + part, at + 1
        if mine.texts != theirs.texts:
            rest = mine.weight - part
            break
    # Once other rows go on, a value that both conditions were about is still not computed anew.
    kept = _calls_of(here.steps[:at]) & _calls_of(before.steps[:at])
    for step in here.steps[at:]:
        again = sum(1 for text in step.texts if (calls := _calls(text)) and calls <= kept) if step.kind == "project" else 0
        common += again
        rest += _AGGREGATE if step.kind == "aggregate" else float(step.weight) - again
    return (common / (common + rest) if common else 0.0), common > here.weight


def _common(mine: Step, theirs: Step) -> float | None:
    """The costly work of a step that the other one did too; None where the rows are no longer the same."""
    if mine.kind != theirs.kind:
        return None
    if mine.kind == "project":
        found = sum(_contained(text, theirs.texts) for text in mine.texts)
        return found or None
    both = mine.texts & theirs.texts
    if mine.kind == "filter":
        # Two conditions on the same costly value let other rows through, but each had it computed for all of them.
        known = set().union(*map(_calls, theirs.texts))
        shared = sum(1 for text in mine.texts if (text in both and _COSTLY.search(text)) or _calls(text) & known)
        return float(shared) if both or shared else None
    return float(mine.weight) if mine.texts == theirs.texts else None


def _calls(text: str) -> set[str]:
    """The costly function calls of an expression, each up to its closing bracket."""
    return {text[found.start() : found.end() + _closes(text[found.end() - 1 :])] for found in _COSTLY.finditer(text)}


def _calls_of(steps: Sequence[Step]) -> set[str]:
    return {call for step in steps for text in step.texts for call in _calls(text)}


def _contained(text: str, others: Sequence[str] | frozenset[str]) -> float:
    """1 for the same expression, the share of its text for one that is built on it, 0 else."""
    if text in others:
        return 1.0
    inside = [other for other in others if len(other) >= _MIN_CONTAINED and other in text]
    return max((len(other) / len(text) for other in inside), default=0.0)
