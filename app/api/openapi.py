"""The OpenAPI document, finished: problems as they are really sent, and an example beside every body."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI

_PROBLEM = "application/problem+json"
EXAMPLES = "examples.json"
"""Real requests and answers, written by `python -m tests.api_examples`."""


def install(app: FastAPI) -> None:
    """Finish the document when it is asked for first."""
    plain = app.openapi

    def finished() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(plain())
        return app.openapi_schema

    app.openapi = finished  # type: ignore[method-assign]


def _finished(document: dict[str, Any]) -> dict[str, Any]:
    known = _examples()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if status == "422" and "HTTPValidationError" in json.dumps(content):
                    # What FastAPI says of itself; our handler answers a problem.
                    answer["description"] = "not readable as what it should be"
                    content.clear()
                    content[_PROBLEM] = {"schema": {"$ref": "#/components/schemas/Problem"}}
                elif content.get("application/json", {}).get("schema") == content.get(_PROBLEM, {}).get("schema"):
                    content.pop("application/json", None)  # of the model that describes the problem
                for body in content.values():
                    if "itemSchema" in body:
                        body.pop("schema", None)  # a stream is described event by event
            name = f"{method.upper()} {path}"
            _exemplify(operation, known.get(name) or known.get(name.replace("/{attempt_id}/", "/"), {}))
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document


def _exemplify(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in examples.get("parameters", {}):
            parameter["example"] = examples["parameters"][parameter["name"]]
    for kind, example in examples.get("request", {}).items():
        operation["requestBody"]["content"][kind]["example"] = example
    for status, answer in examples.get("responses", {}).items():
        for kind, example in answer.items():
            operation["responses"][status]["content"][kind]["example"] = example


@cache
def _examples() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath(EXAMPLES).read_text(encoding="utf-8"))
    return found
