"""The OpenAPI document: whole, with examples that are what it says they are."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app

DOCUMENT: dict[str, Any] = create_app(Settings(home=Path("never-opened"))).openapi()
OPERATIONS = [(f"{method.upper()} {path}", operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()]
OPEN = {"GET /health", "GET /health/ready"}


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_is_described_with_examples(name: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["description"]
    assert {"401", "403", "429"} <= set(operation["responses"]) or name in OPEN
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            assert "example" in parameter or "examples" in parameter["schema"], parameter["name"]
    for kind, body in _json_bodies(operation.get("requestBody", {})):
        _valid(body, (name, kind))
    for status, answer in operation["responses"].items():
        for kind, body in _json_bodies(answer):
            # No cached RDD is ever found, so there is none to show. Problems have their example in the schema itself.
            if (status == "200" and not name.endswith("/{rdd_id}")) or (status.startswith("2") and "example" in body):
                _valid(body, (name, status, kind))


def _json_bodies(described: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(kind, body) for kind, body in described.get("content", {}).items() if kind == "application/json"]


def _valid(body: dict[str, Any], where: object) -> None:
    assert "example" in body, where
    schema = {**body["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(body["example"])


def test_every_path_parameter_is_declared() -> None:
    import re

    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            declared = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)", path)), path


def test_no_schema_of_fastapis_own_errors_is_left() -> None:
    assert "HTTPValidationError" not in str(DOCUMENT)
