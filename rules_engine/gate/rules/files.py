"""SG0: what is wrong with the file or the command itself, before any key is looked at."""

import re
from collections.abc import Iterator

from spark_copilot.rules_engine.gate.finding import Fix, Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.setting import Place
from spark_copilot.rules_engine.gate.view import View, kind_of_master

_SHELL_VARIABLE = re.compile(r"\$(?:\{[A-Za-z_][A-Za-z0-9_]*\}|[A-Za-z_][A-Za-z0-9_]*)")
_EXPANDED_LATER = re.compile(r"\$\{?(?:PWD|LOG_DIRS|JAVA_HOME|HADOOP_CONF_DIR)\b")
_TEMPLATE_NAME = re.compile(r"\.(?:template|tmpl|tpl|j2|jinja2?|erb|in)$")


@gate_rule("SG001", "unreadable-input", "error")
def unreadable_input(view: View) -> Iterator[Hit]:
    """A file of a known kind does not parse, so none of its settings is checked and Spark or the platform will refuse it too.

    Example: a YAML file with a tab for indentation
    Fix: repair the syntax at the place named
    When not: templates that only become YAML later; exclude them in the configuration.
    """
    for mark in view.marked("unreadable"):
        yield Hit(mark.line, mark.text, column=mark.column, severity="info" if mark.data.get("severity") == "info" else None)


@gate_rule("SG002", "comment-inside-value", "error")
def comment_inside_value(view: View) -> Iterator[Hit]:
    """In a properties file a # after a value is part of the value: numbers and sizes then fail, texts are silently wrong.

    Example: spark.executor.cores 4   # four is enough
    Fix: put the comment on a line of its own
    When not: a value that really contains " #".
    """
    if not view.is_properties:
        return
    for s in view.settings:
        match = re.search(r"\s+#.*\Z", s.raw, re.DOTALL)
        if match and match.start() > 0 and "\n" not in s.raw:
            yield Hit(
                s.line,
                f"the comment is part of the value: Spark reads {s.raw!r}",
                s.key,
                s.column,
                "move the comment to a line of its own",
                Fix(s.line, match[0], "", comment=match[0].strip()),
            )


@gate_rule("SG003", "quoted-value", "warning")
def quoted_value(view: View) -> Iterator[Hit]:
    """A properties file keeps quotes as part of the value, so a class name or number in quotes is not what it seems.

    Example: spark.serializer "org.apache.spark.serializer.KryoSerializer"
    Fix: drop the quotes
    When not: a value that must start and end with a quote.
    """
    if not view.is_properties:
        return
    for s in view.settings:
        text = s.raw.strip()
        if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
            yield Hit(
                s.line,
                f"the quotes are part of the value: Spark reads {text}",
                s.key,
                s.column,
                f"write {text[1:-1]}",
                Fix(s.line, text, text[1:-1]),
            )


@gate_rule("SG004", "shell-variable-in-properties", "warning")
def shell_variable(view: View) -> Iterator[Hit]:
    """No shell reads a properties file, so $VAR and ${VAR} stay as they are. Only ${env:VAR}, ${system:x} and ${spark.x} are replaced.

    Example: spark.local.dir $SCRATCH/spark
    Fix: ${env:SCRATCH}/spark where Spark supports it, or write the value at deployment
    When not: files that a tool fills in first; name them *.template.
    """
    if not view.is_properties or _TEMPLATE_NAME.search(view.file):
        return
    for s in view.settings:
        if ".appMasterEnv." in s.key or ".executorEnv." in s.key or s.key.endswith(("regex", "pattern")):
            continue
        found = _SHELL_VARIABLE.search(s.raw)
        if found and not _EXPANDED_LATER.search(s.raw):
            yield Hit(
                s.line, f"{found[0]} is not expanded here: Spark reads it literally", s.key, s.column, "write the value, or ${env:NAME}"
            )


@gate_rule("SG005", "backslash-in-properties", "warning")
def backslash(view: View) -> Iterator[Hit]:
    r"""A backslash is an escape sign in a properties file and vanishes (or becomes a tab or a line break).

    Example: spark.local.dir C:\data\new
    Fix: C:/data/new, or double the backslashes
    When not: \u0041 and escapes that are meant.
    """
    for mark in view.marked("backslash"):
        yield Hit(
            mark.line,
            f"the backslash is eaten: Spark reads {mark.text!r}",
            mark.data.get("key"),
            mark.column,
            "use / or double the backslash",
        )


@gate_rule("SG006", "duplicate-key", "warning")
def duplicate_key(view: View) -> Iterator[Hit]:
    """The same key twice with different values in one file or command: the last one wins without a word.

    Example: spark.driver.maxResultSize 2g … spark.driver.maxResultSize 4g
    Fix: keep one
    When not: code that assigns under a condition; only unconditional repeats are reported.
    """
    seen: dict[tuple[str, Place, str], tuple[str, int, bool]] = {}
    for s in view.settings:
        if s.place in (Place.RUNTIME, Place.LATE):
            continue
        # Code and EMR templates assign in several blocks that do not follow one another.
        block = s.origin if s.place is Place.CODE or view.kind in ("emr", "cloudformation") else ""
        before = seen.get((s.key, s.place, block))
        if before is not None and before[0] != s.raw_or_value:
            yield Hit(
                s.line,
                f"{s.key} was already set on line {before[1]} to another value; this one wins",
                s.key,
                s.column,
                "keep one of them",
                related=before[1],
            )
        seen[s.key, s.place, block] = (s.raw_or_value, s.line, s.known)


@gate_rule("SG007", "empty-value", "warning")
def empty_value(view: View) -> Iterator[Hit]:
    """A key without a value: Spark takes the empty text, which most settings then refuse.

    Example: spark.executor.memory
    Fix: give a value or delete the line
    When not: keys for which empty is a meaning of its own.
    """
    if not view.is_properties:
        return
    for s in view.settings:
        if s.raw.strip() == "" and s.known:
            yield Hit(s.line, f"{s.key} has no value", s.key, s.column, "give a value or delete the line")


@gate_rule("SG008", "option-after-application", "error")
def option_after_application(view: View) -> Iterator[Hit]:
    """Everything after the application file goes to the application: an option of spark-submit there is never seen by Spark.

    Example: spark-submit job.py --num-executors 20
    Fix: move it before job.py
    When not: applications that take an option of the same name; suppress it there.
    """
    for mark in view.marked("stray-option"):
        yield Hit(
            mark.line,
            f"{mark.text} comes after the application and is handed to it; Spark never sees it",
            mark.data.get("key"),
            mark.column,
            "move it before the application file",
        )


@gate_rule("SG009", "two-settings-in-one-conf", "error")
def two_settings(view: View) -> Iterator[Hit]:
    """One --conf holds one setting: a second one inside it becomes part of the first one's value.

    Example: --conf "spark.a=1 spark.b=2"
    Fix: --conf spark.a=1 --conf spark.b=2
    When not: values that hold such text on purpose.
    """
    for mark in view.marked("two-in-conf"):
        yield Hit(
            mark.line,
            f"one --conf, several settings: the value becomes {mark.text!r}",
            mark.data.get("key"),
            mark.column,
            "one --conf for each setting",
        )


@gate_rule("SG010", "space-around-equals", "error")
def space_around_equals(view: View) -> Iterator[Hit]:
    """Blanks around = in --conf belong to key and value: the key "spark.x " is one that nothing reads.

    Example: --conf "spark.executor.cores = 4"
    Fix: --conf spark.executor.cores=4
    When not: never.
    """
    for mark in view.marked("spaced-conf"):
        edit = Fix(mark.line, mark.text, re.sub(r"\s*=\s*", "=", mark.text, count=1))
        yield Hit(
            mark.line,
            f"blanks around = become part of key and value: {mark.text!r}",
            mark.data.get("key"),
            mark.column,
            f"write {edit.new}",
            edit,
        )


@gate_rule("SG011", "unquoted-java-options", "error")
def unquoted_java_options(view: View) -> Iterator[Hit]:
    """Without quotes the shell splits the value: the second JVM flag is read as an option of spark-submit and refused.

    Example: --conf spark.executor.extraJavaOptions=-XX:+UseG1GC -Dx=1
    Fix: --conf "spark.executor.extraJavaOptions=-XX:+UseG1GC -Dx=1"
    When not: never.
    """
    for mark in view.marked("split-java-options"):
        yield Hit(
            mark.line,
            f"{mark.text} is read as an option of spark-submit, not as a JVM flag",
            mark.data.get("key"),
            mark.column,
            "quote the whole assignment",
        )


@gate_rule("SG012", "unknown-submit-option", "error")
def unknown_option(view: View) -> Iterator[Hit]:
    """An option that spark-submit does not have, before the application file: the submit is refused.

    Example: spark-submit --executor-momory 4g job.py
    Fix: --executor-memory
    When not: wrappers with options of their own, named spark-submit.
    """
    for mark in view.marked("unknown-option"):
        near = mark.data.get("near")
        edit = Fix(mark.line, mark.text, near) if near else None
        yield Hit(
            mark.line,
            f"spark-submit has no option {mark.text}" + (f"; did you mean {near}?" if near else ""),
            None,
            mark.column,
            near and f"write {near}",
            edit,
        )


@gate_rule("SG013", "conf-without-value", "error")
def conf_without_value(view: View) -> Iterator[Hit]:
    """--conf needs key=value; without = the submit is refused.

    Example: --conf spark.executor.cores 4
    Fix: --conf spark.executor.cores=4
    When not: never.
    """
    for mark in view.marked("bad-conf"):
        yield Hit(mark.line, f"--conf {mark.text}".rstrip() + " has no key=value", None, mark.column, "write --conf key=value")


@gate_rule("SG014", "flag-has-no-effect-here", "warning")
def flag_without_effect(view: View) -> Iterator[Hit]:
    """Each master reads its own flags and drops the others in silence.

    Example: --master yarn --total-executor-cores 40
    Fix: --num-executors with --executor-cores
    When not: scripts that are run against several masters.
    """
    if view.master is None:
        return
    for s in view.settings:
        dropped = _DROPPED.get(s.origin, ())
        if s.place is Place.FLAG and view.master in dropped:
            yield Hit(s.line, f"{s.origin} has no effect on {view.master}", s.key, s.column, _INSTEAD.get(s.origin, "drop it"))


_DROPPED = {
    "--total-executor-cores": ("yarn", "kubernetes", "local"),
    "--num-executors": ("standalone", "local"),
    "--executor-memory": ("local",),
    "--executor-cores": ("local",),
    "--queue": ("kubernetes", "standalone", "local"),
    "--archives": (),
}
_INSTEAD = {"--total-executor-cores": "use --num-executors and --executor-cores", "--num-executors": "use --total-executor-cores"}


@gate_rule("SG015", "flag-and-conf-disagree", "warning")
def flag_and_conf(view: View) -> Iterator[Hit]:
    """The same setting as a flag and as --conf with different values: the flag wins.

    Example: --executor-memory 6g --conf spark.executor.memory=12g
    Fix: keep one
    When not: never.
    """
    if view.kind == "sparkapplication":
        return
    flags = {s.key: s for s in view.settings if s.place is Place.FLAG}
    for s in view.settings:
        flag = flags.get(s.key)
        if s.place is Place.CONF and flag is not None and s.known and flag.known and s.value != flag.value:
            yield Hit(
                s.line,
                f"{flag.origin} {flag.value} on line {flag.line} wins over {s.value}",
                s.key,
                s.column,
                "keep one of them",
                related=flag.line,
            )


@gate_rule("SG016", "non-spark-property", "error")
def non_spark_property(view: View) -> Iterator[Hit]:
    """spark-submit drops every property that does not start with "spark."; only a warning in the log tells.

    Example: hive.exec.dynamic.partition.mode nonstrict
    Fix: spark.hadoop.hive.exec.dynamic.partition.mode nonstrict
    When not: files that are not read by spark-submit.
    """
    if not view.is_properties and view.kind not in ("shell", "emr", "emr-steps", "airflow", "sparkapplication", "glue"):
        return
    for s in view.settings:
        if s.key.startswith("spark.") or s.place not in (Place.DEFAULTS, Place.CONF) or s.origin == "hadoopConf":
            continue
        near = view.catalog.nearest(s.key) or view.catalog.same_but_case(s.key)
        yield Hit(
            s.line,
            f"{s.key} does not start with spark. and is dropped",
            s.key,
            s.column,
            f"write {near}" if near else f"write spark.hadoop.{s.key} if Hadoop or Hive shall read it",
        )


@gate_rule("SG017", "deploy-mode-not-possible", "error")
def deploy_mode(view: View) -> Iterator[Hit]:
    """Cluster mode needs a cluster, and a standalone cluster cannot run Python drivers: spark-submit refuses both.

    Example: --master local[4] --deploy-mode cluster
    Fix: client mode, or another master
    When not: never.
    """
    mode = view.get("spark.submit.deployMode")
    master = view.get("spark.master")
    if mode is None or not mode.known or mode.value.strip().lower() != "cluster" or master is None or not master.known:
        return
    kind = kind_of_master(master.value)
    if kind == "local":
        yield Hit(
            mode.line,
            f"deploy mode cluster is not possible with master {master.value}",
            mode.key,
            mode.column,
            "use client mode",
            related=master.line,
        )
    elif kind == "standalone" and any(m.data.get("app", "").endswith(".py") for m in view.marked("submit")):
        yield Hit(
            mode.line,
            "a standalone cluster does not run Python drivers in cluster mode",
            mode.key,
            mode.column,
            "use client mode",
            related=master.line,
        )


@gate_rule("SG018", "unused-suppression", "warning", on=False)
def unused_suppression(view: View) -> Iterator[Hit]:
    """A suppression comment whose rule did not fire any more: the reason behind it may be gone, or the code is misspelt.

    Example: # spark-copilot: ignore[SG505] kept for the old nodes
    Fix: remove it
    When not: suppressions for a rule that only fires with other facts.
    """
    for mark in view.marked("unused-suppression"):
        yield Hit(mark.line, f"nothing to suppress here: {mark.text}", None, mark.column, "remove the comment")


RULES = (
    unreadable_input, comment_inside_value, quoted_value, shell_variable, backslash, duplicate_key, empty_value, option_after_application,
    two_settings, space_around_equals, unquoted_java_options, unknown_option, conf_without_value, flag_without_effect, flag_and_conf,
    non_spark_property, deploy_mode, unused_suppression,
)  # fmt: skip
