"""Shell scripts: spark-submit and its siblings, gcloud dataproc, aws emr and emr-serverless."""

import re
from collections.abc import Sequence

from spark_copilot.connectors.settings_files import dataproc
from spark_copilot.connectors.settings_files.base import Collector, Reader
from spark_copilot.connectors.settings_files.submit import TOOLS, read_submit
from spark_copilot.connectors.settings_files.tokens import Word, commands, split
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_NAME = re.compile(r"\.(?:sh|bash|zsh|ksh|cmd)(?:\.[\w]+)?\Z")
_TOOL = re.compile(r"(?:^|/)(?:" + "|".join(sorted(TOOLS)) + r")\Z")
_WORDS = re.compile(
    r"spark-submit|spark-shell|spark-sql|pyspark|spark3-submit|spark2-submit|sparkR|dataproc|sparkSubmitParameters|add-steps"
)
_ARRAY = re.compile(r"^[ \t]*(?:declare -a |local -a |readonly )?([A-Za-z_]\w*)\+?=\(", re.MULTILINE)


def matches(path: str, text: str) -> bool:
    """By extension or by the first line, and a word that starts a Spark application."""
    return (bool(_NAME.search(path)) or bool(re.match(r"#!.*\b(?:ba|z|k|da)?sh\b", text))) and _WORDS.search(text) is not None


def read(file: str, text: str) -> SettingsFile:
    """Every command that starts Spark, each in a scope of its own."""
    out = Collector(file, "shell")
    variables = _Variables()
    for words in commands(text):
        variables.learn(words)
        _command(out, variables, words)
    return out.done()


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
        if _TOOL.search(word.text) and (at == 0 or not words[at - 1].text.startswith("--")) and _starts(words[:at]):
            read_submit(out, word, variables.expand(words[at + 1 :]), f"command@{word.line}")
            return
        if word.text.rsplit("/", 1)[-1] == "gcloud" and len(words) > at + 2 and "dataproc" in [w.text for w in words[at + 1 : at + 3]]:
            dataproc.gcloud(out, words[at:], f"command@{word.line}")
            return
        if word.text == "aws" and _starts(words[:at]):
            _aws(out, words[at:])
            return


_BEFORE = frozenset(["exec", "sudo", "nohup", "time", "env", "nice", "eval", "then", "do", "else", "!", "command"])


def _starts(before: Sequence[Word]) -> bool:
    """Whether what stands before the tool leaves it the command: assignments, wrappers; not the arguments of echo or which."""
    if not before:
        return True
    first = before[0].text
    if first in (
        "echo",
        "printf",
        "which",
        "type",
        "test",
        "[",
        "[[",
        "alias",
        "grep",
        "cat",
        "ls",
        "cp",
        "chmod",
        "pip",
        "apt-get",
        "kill",
        "pkill",
        "pgrep",
        "if",
        "while",
    ):
        return first in ("if", "while") and len(before) == 1
    return (
        first in _BEFORE
        or re.match(r"[A-Za-z_]\w*=", first) is not None
        or first in ("docker", "kubectl", "ssh", "timeout", "srun", "su", "flock", "numactl", "run")
    )


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
