"""A spark-submit command line: options, --conf pairs, the application and what stands after it."""

import difflib
import re
from collections.abc import Sequence

from spark_copilot.connectors.settings_files.base import Collector, is_templated
from spark_copilot.connectors.settings_files.tokens import Word
from spark_copilot.rules_engine.gate.setting import Place

FLAG_KEYS = {
    "--master": "spark.master", "--deploy-mode": "spark.submit.deployMode", "--executor-memory": "spark.executor.memory",
    "--driver-memory": "spark.driver.memory", "--executor-cores": "spark.executor.cores", "--driver-cores": "spark.driver.cores",
    "--num-executors": "spark.executor.instances", "--total-executor-cores": "spark.cores.max", "--packages": "spark.jars.packages",
    "--queue": "spark.yarn.queue", "--driver-java-options": "spark.driver.extraJavaOptions", "--driver-class-path": "spark.driver.extraClassPath",
    "--driver-library-path": "spark.driver.extraLibraryPath", "--name": "spark.app.name",
}  # fmt: skip
_WITH_VALUE = frozenset(FLAG_KEYS) | {
    "--class", "--jars", "--exclude-packages", "--repositories", "--py-files", "--files", "--archives", "--properties-file", "--proxy-user",
    "--principal", "--keytab", "--remote", "--kill", "--status", "--conf", "-c",
}  # fmt: skip
_ALONE = frozenset({"--supervise", "--verbose", "-v", "--version", "--help", "-h", "--usage-error", "--load-spark-defaults"})
_SQL_VALUE = frozenset({"-e", "-f", "-i", "-d", "--database", "--define", "--hiveconf", "--hivevar"})
_STRAY = frozenset(
    {
        "--executor-memory",
        "--executor-cores",
        "--num-executors",
        "--driver-memory",
        "--driver-cores",
        "--total-executor-cores",
        "--deploy-mode",
    }
    | {"--driver-java-options", "--driver-class-path", "--properties-file", "--packages", "--py-files"}
)
_MASTER = re.compile(r"(?:yarn|local(?:\[.*)?|k8s://.*|spark://.*)\Z")
_APPLICATION = re.compile(r"\.(?:py|jar|R|r|zip|egg|whl)\Z|://|^/|^local:|^\./|^[\w$./{}-]+/[\w$./{}-]+$")
_OPTION_VARIABLE = re.compile(r"\A[\"']?\$\{?\w*(?:conf|opt|arg|extra|flag|param|setting|submit|props)\w*", re.IGNORECASE)
_JVM_FLAG = re.compile(r"-(?:XX:|Xm|Xs|Xlog|D|ea\b|verbose:|javaagent|server\b|agentlib)")
_SECOND = re.compile(r"\s(?:--conf\s+)?(spark\.[A-Za-z][\w.]*)=")
TOOLS = frozenset({"spark-submit", "spark-shell", "spark-sql", "pyspark", "sparkR", "spark2-submit", "spark3-submit", "spark-submit.cmd"})


def read_submit(out: Collector, tool: Word, words: Sequence[Word], scope: str, *, place: Place = Place.CONF) -> None:
    """Add one command to the file. `words` follow the tool's name."""
    _Submit(out, tool, scope, place).run(words)


class _Submit:
    def __init__(self, out: Collector, tool: Word, scope: str, place: Place) -> None:
        self.out, self.tool, self.scope, self.place = out, tool, scope, place
        self.last_key = ""
        self.unsure = False

    def run(self, words: Sequence[Word]) -> None:
        at, application = 0, ""
        no_application = self.tool.text.rsplit("/", 1)[-1] in ("spark-shell", "spark-sql", "pyspark", "sparkR")
        while at < len(words):
            word = words[at]
            name, equals, inline = word.text.partition("=")
            if not word.text.startswith("-"):
                if not word.known and not _is_application(word):
                    self.unsure = True  # may hold options
                    at += 1
                    continue
                if no_application:
                    at += 1
                    continue
                application = word.text
                break
            if name in _WITH_VALUE and name not in ("--conf", "-c"):
                if equals:
                    self.flag(name, Word(inline, word.line, word.column, word.known), word)
                    at += 1
                elif at + 1 < len(words):
                    self.flag(name, words[at + 1], word)
                    at += 2
                else:
                    at += 1
            elif name in ("--conf", "-c"):
                at += self.conf(word, words[at + 1] if at + 1 < len(words) else None, inline if equals else None)
            elif word.text in _ALONE or (no_application and word.text in ("-S", "--silent", "-I")):
                at += 1
            elif no_application and word.text in _SQL_VALUE:
                at += 2
            else:
                at += self.unknown(word, words[at + 1] if at + 1 < len(words) else None)
        self.out.mark("submit", self.tool.line, self.tool.text, scope=self.scope, app=application)
        if application.endswith(".py"):
            self.out.mark("language", self.tool.line, "python", scope=self.scope)
        elif application.endswith(".jar"):
            self.out.mark("language", self.tool.line, "scala", scope=self.scope)
        if self.unsure or not application:
            self.out.mark("spark-conf-unknown", self.tool.line, scope=self.scope)
        if application:
            self.after(words[at + 1 :])

    def flag(self, name: str, value: Word, at: Word) -> None:
        key = FLAG_KEYS.get(name)
        self.last_key = key or ""
        if key:
            text = value.text if value.known else None
            self.out.set(key, text, at.line, Place.FLAG, column=at.column, scope=self.scope, origin=name)

    def conf(self, option: Word, value: Word | None, inline: str | None) -> int:
        used = 1 if inline is not None else 2
        if inline is not None:
            value = Word(inline, option.line, option.column, option.known)
        if value is None or (value.text.startswith("--") and value.known):
            self.out.mark("bad-conf", option.line, "", scope=self.scope, column=option.column)
            return 1
        key, equals, text = value.text.partition("=")
        if not equals:
            if value.known:
                self.out.mark("bad-conf", value.line, value.text, scope=self.scope, column=value.column)
            else:
                self.unsure = True
            return used
        self.last_key = key.strip()
        if key != key.strip() or (text != text.lstrip() and text.strip()):
            self.out.mark("spaced-conf", value.line, value.text, scope=self.scope, column=value.column, key=key.strip())
            return used
        second = _SECOND.search(text)
        if second:
            self.out.mark("two-in-conf", value.line, text, scope=self.scope, column=value.column, key=key)
        known = not second and (value.known or "$" not in text) and "`" not in text
        if key:
            self.out.set(key, text if known else None, value.line, self.place, column=value.column, scope=self.scope, origin="--conf")
        return used

    def unknown(self, word: Word, following: Word | None) -> int:
        if not word.known or is_templated(word.text):
            return 1
        if _JVM_FLAG.match(word.text):
            if self.last_key.endswith(("JavaOptions", "javaOptions")) or not word.text.startswith("-D"):
                self.out.mark("split-java-options", word.line, word.text, scope=self.scope, column=word.column, key=self.last_key)
            return 1
        near = difflib.get_close_matches(word.text.partition("=")[0], sorted(_WITH_VALUE | _ALONE), 1, 0.75)
        self.out.mark(
            "unknown-option", word.line, word.text.partition("=")[0], scope=self.scope, column=word.column, near=near[0] if near else ""
        )
        takes_value = (
            following is not None
            and not following.text.startswith("-")
            and not _APPLICATION.search(following.text)
            and "=" not in word.text
        )
        return 2 if takes_value else 1

    def after(self, words: Sequence[Word]) -> None:
        for at, word in enumerate(words):
            name, _, inline = word.text.partition("=")
            following = inline or (words[at + 1].text if at + 1 < len(words) else "")
            if word.text == "--":
                return
            stray = (
                name in _STRAY
                or (name in ("--conf", "-c") and following.startswith("spark."))
                or (name == "--master" and _MASTER.match(following))
            )
            if stray:
                text = f"{name} {following.partition('=')[0]}" if name in ("--conf", "-c") else name
                self.out.mark(
                    "stray-option",
                    word.line,
                    text,
                    scope=self.scope,
                    column=word.column,
                    key=following.partition("=")[0] if "conf" in name else FLAG_KEYS.get(name, ""),
                )


def _is_application(word: Word) -> bool:
    if _OPTION_VARIABLE.match(word.text) or "[@]" in word.text or "[*]" in word.text:
        return False
    return bool(_APPLICATION.search(word.text)) or bool(re.search(r"jar|app|script|job|main|py", word.text, re.IGNORECASE))
