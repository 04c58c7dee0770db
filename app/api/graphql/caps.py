"""How deep and how large a question may be, known before any of it is answered."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationRule,
    VariableNode,
    get_named_type,
)
from graphql.language import DocumentNode
from strawberry.extensions import SchemaExtension

MAX_DEPTH = 8
"""Fields inside fields. The deepest question with a point (runs, findings, their run, its figures) has six."""
MAX_COST = 5_000
"""Values that an answer may hold, if every list is as long as it may be."""
MAX_PAGE = 200
"""Items of one list."""


@dataclass
class Size:
    """Of one operation."""

    depth: int = 0
    cost: int = 0


class Caps(SchemaExtension):
    """Refuses what is too deep or too large, and tells every client what its question cost."""

    def on_operation(self) -> Iterator[None]:
        """Add the rule, which has to know the variables."""
        context = self.execution_context
        self.sizes: dict[str | None, Size] = {}
        sizes, variables = self.sizes, context.variables or {}

        class Within(ValidationRule):
            def enter_document(self, node: DocumentNode, *_: Any) -> None:
                for refusal in _refusals(self.context.schema, node, variables, sizes):
                    self.context.report_error(refusal)

        context.validation_rules = (*context.validation_rules, Within)
        yield

    def get_results(self) -> dict[str, Any]:
        """`extensions` of the answer."""
        asked = self.sizes.get(self.execution_context.operation_name) or next(iter(self.sizes.values()), Size())
        return {"cost": asked.cost, "max_cost": MAX_COST, "depth": asked.depth, "max_depth": MAX_DEPTH}


def _refusals(schema: Any, document: DocumentNode, variables: dict[str, Any], sizes: dict[str | None, Size]) -> Iterator[GraphQLError]:
    for operation in document.definitions:
        if not isinstance(operation, OperationDefinitionNode):
            continue
        root = schema.get_root_type(operation.operation)
        defaults = {
            one.variable.name.value: int(one.default_value.value)
            for one in operation.variable_definitions or ()
            if isinstance(one.default_value, IntValueNode)
        }
        walk = _Walk(schema, document, {**defaults, **variables})
        size = walk.of(operation.selection_set, root)
        sizes[operation.name.value if operation.name else None] = size
        if size.depth > MAX_DEPTH:
            yield GraphQLError(
                f"the question is {size.depth} levels deep; {MAX_DEPTH} are allowed", operation, extensions={"code": "query-too-deep"}
            )
        if size.cost > MAX_COST:
            yield GraphQLError(
                f"the answer could hold {size.cost} values; {MAX_COST} are allowed. Ask for shorter lists (`first`) or fewer fields",
                operation,
                extensions={"code": "query-too-large"},
            )


@dataclass
class _Walk:
    """Over one operation. A fragment is measured once for each type that it is spread in, so that fragments of fragments cost no time."""

    schema: GraphQLSchema
    document: DocumentNode
    variables: dict[str, Any]
    known: dict[tuple[str, str], Size] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fragments = {one.name.value: one for one in self.document.definitions if isinstance(one, FragmentDefinitionNode)}

    def of(self, chosen: SelectionSetNode | None, parent: Any) -> Size:
        size = Size()
        for node in chosen.selections if chosen is not None else ():
            inner = self._one(node, parent)
            size.depth = max(size.depth, inner.depth)
            size.cost += inner.cost
        return size

    def _one(self, node: Any, parent: Any) -> Size:
        if isinstance(node, InlineFragmentNode):
            return self.of(node.selection_set, parent)
        if isinstance(node, FragmentSpreadNode):
            key = (node.name.value, getattr(parent, "name", ""))
            if key not in self.known:
                self.known[key] = Size()  # a fragment inside itself is refused by another rule
                fragment = self.fragments.get(node.name.value)
                self.known[key] = self.of(fragment.selection_set, parent) if fragment is not None else Size()
            return self.known[key]
        assert isinstance(node, FieldNode)
        if node.name.value.startswith("__"):
            return Size(1, 1)  # what introspection may ask has a rule of graphql-core's own
        asked = parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType) else None
        if asked is None:
            return Size(1, 1)
        inner = self.of(node.selection_set, get_named_type(asked.type))
        return Size(1 + inner.depth, 1 + self._length(node, asked) * inner.cost)

    def _length(self, node: FieldNode, asked: GraphQLField) -> int:
        argument = asked.args.get("first")
        if argument is None:
            return 1
        given = next((one.value for one in node.arguments or () if one.name.value == "first"), None)
        if isinstance(given, IntValueNode):
            length: Any = int(given.value[:9])
        elif isinstance(given, VariableNode):
            length = self.variables.get(given.name.value, MAX_PAGE)
        else:
            length = None
        if length is None:
            length = argument.default_value
        return max(length, 1) if isinstance(length, int) else MAX_PAGE
