"""Shell scripts: spark-submit and its siblings, gcloud dataproc, aws emr and emr-serverless."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from spark_copilot.connectors.settings_files import databricks, dataproc, emr, others
from spark_copilot.connectors.settings_files.base import Broken, Collector, Reader
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import parse_json
from spark_copilot.connectors.settings_files.submit import TOOLS, read_submit
from spark_copilot.connectors.settings_files.tokens import Word, commands, split
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_NAME = re.compile(r"\.(?:sh|bash|zsh|ksh|cmd)(?:\.[\w]+)?\Z")
_TOOL = re.compile(r"(?:^|/)(?:" + "|".join(sorted(TOOLS)) + r")\Z")
_WORDS = re.compile(
    r"spark-submit|spark-shell|spark-sql|pyspark|spark3-submit|spark2-submit|sparkR|dataproc|sparkSubmitParameters|add-steps|spark-defaults|spark_conf|aws glue"
)
_ARRAY = re.compile(r"^[ \t]*(?:declare -a |local -a |readonly )?([A-Za-z_]\w*)\+?=\(", re.MULTILINE)


def matches(path: str, text: str) -> bool:
    """By extension or by the first line, and a word that starts a Spark application."""
    return (bool(_NAME.search(path)) or bool(re.match(r"#!.*\b(?:ba|z|k|da)?sh\b", text))) and _WORDS.search(text) is not None


def read(file: str, text: str) -> SettingsFile:
    """Every command that starts Spark, each in a scope of its own."""
    out = Collector(file, "shell")
    _script(out, _Variables(), text, 0)
    return out.done()


_DEEPEST = 4


def _script(out: Collector, variables: "_Variables", text: str, depth: int) -> None:
    for words in commands(text):
        variables.learn(words)
        _command(out, variables, words)
        for word in words:
            inner = _inner(words, word)
            if inner is not None and depth < _DEEPEST:
                part = Collector(out.file, out.kind)
                _script(part, variables, inner, depth + 1)
                out.settings += [
                    replace(s, line=s.line + word.line - 1, column=None, scope=f"{word.line}:{s.scope}") for s in part.settings
                ]
                out.marks += [replace(m, line=m.line + word.line - 1, column=None, scope=f"{word.line}:{m.scope}") for m in part.marks]


def _inner(words: Sequence[Word], word: Word) -> str | None:
    """The script inside a word: of `NAME=$(…)`, and of the text that ssh, `bash -c` and the like are given."""
    if not _WORDS.search(word.text):
        return None
    before, opened, rest = word.text.partition("$(")
    if opened and not word.known and rest.endswith(")") and _WORDS.search(rest):
        return "\n" * before.count("\n") + rest[:-1]
    runs = words[0].text in _RUNNERS or any(w.text in ("-c", "-lc") for w in words[:-1])
    return word.text if word is not words[0] and word.quoted and " " in word.text and runs and words[0].text not in _READERS else None


class _Variables:
    """Variables that a script assigns exactly once, to words without expansions: options kept in one are read where it is used."""

    def __init__(self) -> None:
        self.held: dict[str, list[Word] | None] = {}
        self.array: str | None = None

    def learn(self, words: Sequence[Word]) -> None:
        if self.array is not None:
            name, self.array = self.array, None
            self.held[name] = list(words) if name not in self.held else None
            return
        for word in words:
            match = re.match(r"([A-Za-z_]\w*)(\+?)=(.*)\Z", word.text, re.DOTALL)
            if match is None:
                if word.text in ("export", "readonly", "local", "declare", "-a", "-r", "-x", "&&"):
                    continue
                return
            name, plus, value = match[1], match[2], match[3]
            if value == "" and words[-1] is word and not plus and name not in self.held:
                self.array = name  # the words of NAME=( … ) are the next command
                return
            again = name in self.held or bool(plus)
            self.held[name] = None if again else split(value, word.line, word.column)

    def expand(self, words: Sequence[Word]) -> list[Word]:
        out: list[Word] = []
        for word in words:
            match = re.fullmatch(r"\$\{?([A-Za-z_]\w*)(?:\[[@*]\])?\}?", word.text)
            held = self.held.get(match[1]) if match and not word.known else None
            options = held is not None and bool(held) and held[0].text.startswith("-")
            out += held if options and held is not None else [word]
        return out


def _command(out: Collector, variables: _Variables, words: Sequence[Word]) -> None:
    for at, word in enumerate(words):
        if (
            _TOOL.search(word.text)
            and (at == 0 or not words[at - 1].text.startswith("--") or words[at - 1].text == "--")
            and _starts(words[:at])
        ):
            read_submit(out, word, variables.expand(words[at + 1 :]), f"command@{word.line}")
            return
        if word.text.rsplit("/", 1)[-1] == "gcloud" and len(words) > at + 2 and "dataproc" in [w.text for w in words[at + 1 : at + 3]]:
            dataproc.gcloud(out, words[at:], f"command@{word.line}")
            return
        if word.text == "aws" and _starts(words[:at]):
            _aws(out, words[at:])
            _json(out, words[at:])
            return
        if word.text == "databricks" and _starts(words[:at]):
            _json(out, words[at:])
            return


_KEYWORDS = frozenset(["if", "elif", "while", "until", "then", "do", "else", "!", "{", "time", "exec"])
_BEFORE = frozenset(["sudo", "nohup", "env", "nice", "eval", "command"])
_RUNNERS = frozenset(["docker", "docker-compose", "kubectl", "ssh", "timeout", "srun", "su", "flock", "numactl", "run", "bash", "sh", "oc"])
"""Commands whose arguments hold another command."""
_READERS = frozenset(["echo", "printf", "grep", "egrep", "sed", "awk", "logger", "tmux", "screen"])


def _starts(before: Sequence[Word]) -> bool:
    """Whether what stands before the tool leaves it the command: assignments, wrappers; not the arguments of echo or which."""
    words = [word.text for word in before]
    while words and words[0] in _KEYWORDS:
        words.pop(0)
    if not words:
        return True
    return words[0] in _BEFORE or words[0] in _RUNNERS or re.match(r"[A-Za-z_]\w*=", words[0]) is not None


def _json(out: Collector, words: Sequence[Word]) -> None:
    """JSON among the arguments of a vendor's command line: classifications, clusters, arguments of Glue jobs."""
    for option, word in pairwise(words):
        if not word.known or not word.text.lstrip().startswith(("{", "[")):
            continue
        try:
            doc = parse_json(word.text)[0]
        except Broken:
            continue
        part = Collector(out.file, out.kind)
        scope = f"json@{word.line}"
        if option.text == "--default-arguments" and doc.kind == "map":
            part.mark("platform", 1, "glue", scope=scope)
            for key, value in doc.items:
                others.glue_argument(part, key.text, known(value), key.line, None, scope)
        elif emr.is_template(doc):
            emr.configurations(part, doc, scope)
        elif doc.kind == "map" and databricks.is_databricks(doc):
            databricks.read(part, doc, scope)
        out.settings += [replace(s, line=s.line + word.line - 1, column=None) for s in part.settings]
        out.marks += [replace(m, line=m.line + word.line - 1, column=None) for m in part.marks]


def _aws(out: Collector, words: Sequence[Word]) -> None:
    scope = f"command@{words[0].line}"
    service = words[1].text if len(words) > 1 else ""
    for word in words:
        for match in re.finditer(r"sparkSubmitParameters\"?\s*[:=]\s*\"?((?:[^\",}\\]|\\.)+)", word.text):
            platform = "emr-serverless" if service == "emr-serverless" else "emr"
            out.mark("platform", word.line, platform, scope=scope)
            line = word.line + word.text[: match.start()].count("\n")
            read_submit(
                out,
                Word("spark-submit", line, 1),
                [*split(match[1].replace('\\"', '"'), line), Word("app.jar", line, 1)],
                scope,
                place=Place.CONF,
            )
        step = re.search(r"\bArgs=\[([^\]]*)\]", word.text)
        if step and service == "emr":
            out.mark("platform", word.line, "emr", scope=scope)
            args = [Word(a.strip().strip("'\""), word.line, word.column) for a in step[1].split(",")]
            start = next((i + 1 for i, a in enumerate(args) if _TOOL.search(a.text)), 0)
            if start or "Type=Spark" in word.text or "Type=spark" in word.text:
                read_submit(out, word, args[start:], f"{scope}@{word.line}")


READER = Reader("shell", matches, read)
