"""A stand-in for a language model, for trying out the path of one with no key and no network: the scripted server with a script of its own.

It asks for a tool, as a model does, and puts what the tool answered into words. Like a model it also says a thing that nobody told it: what the
reader sees of that is what the check left.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spark_copilot.app.scripted_model import Handler, Scripted, Step, call, say, scripted

NAME = "openai:demo"
INVENTED = "The same job takes 97.3 s on another cluster, as this stand-in invents."
"""A figure that no tool answered."""


@contextmanager
def demo_model() -> Iterator[Scripted]:
    """The stand-in on a free port of loopback, stopped at the end."""
    with scripted([_answer]) as server:
        yield server


def _answer(handler: Handler, request: dict[str, Any]) -> None:
    messages = request["messages"]
    last = max(i for i, message in enumerate(messages) if message["role"] == "user")
    asked = str(messages[last]["content"])
    told = [_parsed(m["content"]) for m in messages[last + 1 :] if m["role"] == "tool"]
    step: Step = say(_words(told[-1]) + INVENTED + "\n") if told else _tool(asked)
    step(handler, request)


def _tool(asked: str) -> Step:
    """The call that a question leads to: a replay when it names a number of executors, a run's summary, or a search."""
    question = asked.partition("\n\nRuns of this conversation")[0]
    run = re.search(r'"run_id": "([^"]+)"', asked)
    if run is None:
        return call("search", query=question[:300], k=2)
    size = re.search(r"(\d{1,4})\s+executors?\b", question)
    return call("whatif", run_id=run[1], executors=[int(size[1])]) if size else call("run_summary", run_id=run[1])


def _parsed(content: object) -> dict[str, Any]:
    try:
        value = json.loads(str(content))
    except ValueError:
        value = None  # an error of the tool, or a result that was cut
    return value if isinstance(value, dict) else {"error": str(content)}


def _words(told: dict[str, Any]) -> str:
    """What a tool answered, in lines."""
    lines = [str(told["verdict"])] if "verdict" in told else []
    lines += [f"{f['title']} ({f['severity']}): {f['because']}." for f in told.get("findings", [])[:2]]
    lines += [str(item["text"]) for item in told.get("plan", [])[:1]]
    for point in told.get("points", [])[:2]:
        wall = point["wall_ms"]
        lines.append(f"With {point['executors']} executors: {wall['mid']:.0f} ms, between {wall['low']:.0f} ms and {wall['high']:.0f} ms.")
    for passage in told.get("results", [])[:2]:
        lines.append(f"{str(passage['text']).split('. ')[0].splitlines()[0]} {passage['cite']}")
    if not lines:
        lines.append(str(told.get("error", "The tool answered nothing.")))
    return "".join(line + "\n" for line in lines)
