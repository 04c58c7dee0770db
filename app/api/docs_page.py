"""`/docs`: every route on one page, made from the OpenAPI document. No script and nothing from elsewhere: it works without a network."""

from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Environment

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""{% macro shown(content) %}
{% for body in content.values() if body.example is defined %}<pre>{{ body.example if body.example is string else body.example | tojson(1) }}</pre>{% endfor %}
{% endmacro %}
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ info.title }} API</title>
<style>
:root { color-scheme: light dark } body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8886; border-radius: 6px; margin: .4rem 0; padding: .4rem .7rem } summary { cursor: pointer }
pre { font: 12px/1.4 ui-monospace, monospace; max-height: 20rem; overflow: auto; border-left: 2px solid #8886; padding-left: .7rem }
code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere } b { display: inline-block; min-width: 4.5rem }
td { padding: .1rem .8rem .1rem 0; vertical-align: top } h3 { font-size: 1rem; margin: .8rem 0 .2rem }
</style></head><body>
<h1>{{ info.title }}</h1>
<p>{{ info.summary }} Version {{ info.version }}. The same for programs: <a href="{{ document }}">OpenAPI</a>.</p>
{% for tag, operations in groups.items() %}
<h2>{{ tag }}</h2>
{% for path, method, op in operations %}
<details><summary><b>{{ method }}</b> <code>{{ path }}</code> {{ op.summary }}</summary>
<p>{{ op.description }}</p>
{% if op.parameters %}<h3>Parameters</h3><table>
{% for p in op.parameters %}<tr><td><code>{{ p.name }}</code></td><td>{{ p["in"] }}{{ ", needed" if p.required }}</td><td>{{ p.description }}</td></tr>
{% endfor %}</table>{% endif %}
{% if op.requestBody %}<h3>Body</h3><table>
{% for kind, body in op.requestBody.content.items() %}<tr><td><code>{{ kind }}</code></td><td>{{ named(body.schema) }}</td></tr>
{% endfor %}</table>{{ shown(op.requestBody.content) }}{% endif %}
<h3>Answers</h3><table>
{% for status, answer in op.responses.items() %}<tr><td>{{ status }}</td><td>{{ answer.description }}</td><td>
{% for kind, body in (answer.content or {}).items() %}<code>{{ kind }}</code> {{ named(body.schema) }} {% endfor %}</td></tr>
{% endfor %}</table>{% for answer in op.responses.values() %}{{ shown(answer.content or {}) }}{% endfor %}</details>
{% endfor %}
{% endfor %}
<h2>Schemas</h2>
{% for name, schema in schemas.items() %}
<details id="{{ name }}"><summary><code>{{ name }}</code> {{ schema.description }}</summary><table>
{% for field, value in (schema.properties or {}).items() %}<tr><td><code>{{ field }}</code></td><td>{{ named(value) }}</td><td>{{ value.description }}</td></tr>
{% endfor %}</table></details>
{% endfor %}
</body></html>
""")


def install(app: FastAPI) -> None:
    """The page at /docs."""

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        document = app.openapi()
        groups: dict[str, list[tuple[str, str, Any]]] = {}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                groups.setdefault((operation.get("tags") or ["other"])[0], []).append((path, method.upper(), operation))
        page = _PAGE.render(
            info=document["info"], document=app.openapi_url, groups=groups, schemas=document["components"]["schemas"], named=_named
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _named(schema: Any) -> str:
    """A schema in a few words."""
    if not isinstance(schema, dict):
        return ""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " | ".join(_named(one) for one in schema[several])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_named(schema.get('items'))}"
    return str(schema.get("type", ""))
