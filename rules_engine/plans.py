"""Physical plans as graphs, numbered as the Spark UI numbers them, so that `sql:3/node:12` is the node a user sees there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spark_copilot.rules_engine.facts import PlanMetric, PlanNode, SqlExecution

_QUERY_STAGES = frozenset({"BroadcastQueryStage", "ShuffleQueryStage", "TableCacheQueryStage", "ResultQueryStage"})


@dataclass(slots=True)
class GraphNode:
    """A node as the UI draws it; `cluster` is the id of its WholeStageCodegen box, None outside one."""

    node_id: int
    plan: PlanNode
    cluster: int | None = None
    is_cluster: bool = False
    members: list["GraphNode"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The operator's name, as in the UI."""
        return self.plan.name


@dataclass(frozen=True, slots=True)
class PlanGraph:
    """Nodes by id and edges from child to parent (data flows along them)."""

    nodes: Mapping[int, GraphNode]
    edges: tuple[tuple[int, int], ...]

    def __iter__(self) -> Iterator[GraphNode]:
        """Operators in id order, the codegen boxes left out."""
        return (node for node in self.nodes.values() if not node.is_cluster)

    def inputs(self, node_id: int) -> tuple[GraphNode, ...]:
        """The operators whose rows this one takes, in plan order."""
        return tuple(self.nodes[child] for child, parent in self.edges if parent == node_id)

    def outputs(self, node_id: int) -> tuple[GraphNode, ...]:
        """The operators that take this one's rows."""
        return tuple(self.nodes[parent] for child, parent in self.edges if child == node_id)


class _Builder:
    """Follows `SparkPlanGraph` of Spark's SQL UI: depth first, codegen boxes take a number before their members, stages and adapters take none."""

    def __init__(self) -> None:
        self.nodes: dict[int, GraphNode] = {}
        self.edges: list[tuple[int, int]] = []
        self.exchanges: dict[PlanKey, int] = {}
        self.next_id = 0

    def _new(self, plan: PlanNode, cluster: GraphNode | None, *, is_cluster: bool = False) -> GraphNode:
        node = GraphNode(self.next_id, plan, None if cluster is None else cluster.node_id, is_cluster)
        self.next_id += 1
        self.nodes[node.node_id] = node
        if cluster is not None:
            cluster.members.append(node)
        return node

    def add(self, root: PlanNode) -> None:
        # An explicit stack: a hostile log may nest plans deeper than Python recurses.
        todo: list[tuple[PlanNode, int | None, GraphNode | None]] = [(root, None, None)]
        while todo:
            plan, parent, cluster = todo.pop()
            name = plan.name
            if name.startswith("WholeStageCodegen") and plan.children:
                box = self._new(plan, None, is_cluster=True)
                todo.append((plan.children[0], parent, box))
            elif name == "InputAdapter" and plan.children:
                todo.append((plan.children[0], parent, None))
            elif name in _QUERY_STAGES and plan.children:
                if not self._reuse(plan.children[0], parent):
                    todo.append((plan.children[0], parent, None))
            elif name == "Subquery" and cluster is not None:
                todo.append((plan, parent, None))
            elif self._is_known(plan, parent):
                pass
            else:
                node = self._new(plan, cluster)
                if "Exchange" in name or name == "Subquery":
                    self.exchanges[key_of(plan)] = node.node_id
                if parent is not None:
                    self.edges.append((node.node_id, parent))
                todo.extend((child, node.node_id, cluster) for child in reversed(plan.children))

    def _is_known(self, plan: PlanNode, parent: int | None) -> bool:
        if plan.name == "Subquery":
            return self._reuse(plan, parent)
        return plan.name in ("ReusedSubquery", "ReusedExchange") and bool(plan.children) and self._reuse(plan.children[0], parent)

    def _reuse(self, plan: PlanNode, parent: int | None) -> bool:
        known = self.exchanges.get(key_of(plan))
        if known is None:
            return False
        if parent is not None:
            self.edges.append((known, parent))
        return True


PlanKey = tuple[str, str, tuple[int, ...], int]


def key_of(plan: PlanNode) -> PlanKey:
    """What makes two occurrences of an exchange the same one: text and the accumulators of its metrics, which no two operators share."""
    return (plan.name, plan.text, tuple(m.accumulator for m in plan.metrics), len(plan.children))


def graph_of(plan: PlanNode | None) -> PlanGraph:
    """The graph of one plan; empty for None."""
    builder = _Builder()
    if plan is not None:
        builder.add(plan)
    return PlanGraph(builder.nodes, tuple(builder.edges))


def metric(execution: SqlExecution, plan: PlanNode, name: str) -> int | None:
    """The total of a node's metric by Spark's name ("number of output rows"); None when the node has none or it was never updated."""
    found: PlanMetric | None = next((m for m in plan.metrics if m.name == name), None)
    return None if found is None else execution.metrics.get(found.accumulator)


def walk(plan: PlanNode | None) -> Iterator[PlanNode]:
    """Every node of a plan, parents first."""
    todo = [] if plan is None else [plan]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(node.children))
