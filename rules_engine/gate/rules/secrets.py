"""SG8: secrets in the open, and records that are missing."""

import re
from collections.abc import Iterator

from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.view import View
from spark_copilot.rules_engine.redact import redact_text

_SECRET_KEY = re.compile(
    r"password|passwd|passphrase|secret|(?:access|account|api|private)[._-]?key(?!s?tore)|token|credential|\.sas\.|sas[._-]?token|connection[._-]?string",
    re.IGNORECASE,
)
_HARMLESS_END = re.compile(
    r"(?:provider|class|enabled|renewal|ttl|interval|expir\w*|path|file|files|location|algorithm|regex|tokeni[sz]\w*|type|identity|url|uri|name"
    r"|endpoint|alias|scope|mode|id|itemkey|timeout|retries|ratio|principal|length|size|bits|count|max\w*|min\w*|patterns?|issuer|audience|role|mechanism|service|protocol|format|arn|header|scheme|validity|lifetime)\Z",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"\A(?:true|false|\d{1,4}|\*+|x{3,}|<[^>]*>|none|null|changeme|change-me|todo|your[-_ ].*|changeit|)\Z", re.IGNORECASE
)
_REFERENCE = re.compile(
    r"\$\{|\{\{|\$\(|\A\$|%\(|vault:|secretsmanager|keyvault|jceks:|ssm:|\Aarn:|\Aprojects/|\A/|\A[a-z][a-z0-9+.-]*://|\Aorg\.|\Acom\.|\Aio\.",
    re.IGNORECASE,
)
_NAME_OF_SECRET = re.compile(r"\A[a-z][a-z0-9_-]*(?:/[a-z0-9_-]+)+\Z")
"""prod/db/creds: the path of a secret in a store; literal secrets with slashes have capitals or digits between."""
_REFERENCE_KEYS = ("spark.kubernetes.driver.secrets.", "spark.kubernetes.executor.secrets.", "spark.redaction.", "spark.kerberos.access")
_IN_OPTIONS = re.compile(
    r"-D[\w.\-]*(?:password|secret|token|access\.?key)[\w.]*=(?!\$|\{|/|changeit|file:|true|false)([^\s]{3,})", re.IGNORECASE
)
_URL = re.compile(
    r"\b(?:jdbc:)?[a-z][a-z0-9+.\-]*:[^\s]{0,10}//[^\s:/@?]+:(?P<p>[^\s@/{}$]+)@|[?&;](?:password|pwd|passwd)=(?P<q>[^&;\s{}$]+)",
    re.IGNORECASE,
)


def holds_secret(key: str, value: str) -> bool:
    """Whether a literal secret stands here: a key that names one and a value that is neither reference, path, class nor placeholder."""
    if key.startswith(_REFERENCE_KEYS) or ".secretKeyRef." in key:
        return False
    text = value.strip()
    last = key.rsplit(".", 1)[-1]
    named = bool(_SECRET_KEY.search(key)) and not _HARMLESS_END.search(last)
    if named and not _NO_VALUE.match(text) and not _REFERENCE.search(text) and not _NAME_OF_SECRET.match(text):
        return True
    if key.endswith("JavaOptions"):
        return bool(_IN_OPTIONS.search(text))
    return "[redacted:aws-key]" in redact_text(text) or "[redacted:token]" in redact_text(text) or "[redacted:pem]" in redact_text(text)


@gate_rule("SG801", "secret-in-plain-text", "error")
def secret_in_text(view: View) -> Iterator[Hit]:
    """A password, key or token stands in the file; it is in the history of the repository, in logs and in the UI's environment page.

    Example: spark.hadoop.fs.s3a.secret.key wJalrXUt…
    Fix: a secret store, an instance role, {{secrets/scope/key}}
    When not: keys of a local test store; set the file's role to test.
    """
    if view.is_test:
        return
    for s in view.settings:
        if s.known and holds_secret(s.key, s.value):
            yield Hit(s.line, f"{s.key} holds a secret in plain text", s.key, s.column, "a secret store or an instance role")
    for mark in view.marked("argument"):
        name = mark.data.get("name", "")
        if holds_secret(name.lstrip("-"), mark.text):
            yield Hit(mark.line, f"{name} holds a secret in plain text", None, mark.column, "a secret store or an instance role")


@gate_rule("SG802", "secret-in-url", "error")
def secret_in_url(view: View) -> Iterator[Hit]:
    """A password inside a URL is shown wherever the URL is: redaction looks at names of keys only.

    Example: jdbc:postgresql://db/mart?user=x&password=S3cret
    Fix: give user and password apart, from a secret store
    When not: never.
    """
    if view.is_test:
        return
    for s in view.settings:
        match = _URL.search(s.value) if s.known else None
        if match and not _NO_VALUE.match(match["p"] or match["q"] or ""):
            yield Hit(s.line, f"{s.key} carries a password in its URL", s.key, s.column, "take it from a secret store")
    for mark in view.marked("argument"):
        match = _URL.search(mark.text)
        if match and not _NO_VALUE.match(match["p"] or match["q"] or ""):
            yield Hit(
                mark.line,
                f"{mark.data.get('name', 'an argument')} carries a password in its URL",
                None,
                mark.column,
                "take it from a secret store",
            )


@gate_rule("SG803", "redaction-narrowed", "warning")
def redaction_narrowed(view: View) -> Iterator[Hit]:
    """A pattern of your own replaces Spark's: words it leaves out (secret, password, token, access key) are shown again.

    Example: spark.redaction.regex (?i)secret
    Fix: (?i)secret|password|token|access[.]?key and yours
    When not: never.
    """
    s = view.get("spark.redaction.regex")
    if s is None or not s.known:
        return
    text = s.value.lower()
    missing = [
        word
        for word, stem in (("secret", "secret"), ("password", "passw"), ("token", "token"), ("access key", "access"))
        if stem not in text
    ]
    if missing:
        yield Hit(
            s.line, f"the pattern no longer hides {', '.join(missing)}", s.key, s.column, "extend the default instead of replacing it"
        )


@gate_rule("SG804", "event-log-off", "warning")
def event_log_off(view: View) -> Iterator[Hit]:
    """Without an event log a failed or slow run leaves nothing to look at.

    Example: spark.eventLog.enabled false
    Fix: true, with a shared directory
    When not: tests and local runs.
    """
    off = view.says("spark.eventLog.enabled", False)
    if off is not None and not view.is_test and not view.is_local and not view.on("local"):
        yield Hit(off.line, "event logs are switched off", off.key, off.column, "switch them on")


@gate_rule("SG805", "event-log-on-local-disk", "warning")
def event_log_local(view: View) -> Iterator[Hit]:
    """A local directory is that of whatever machine the driver runs on: the history server does not see it.

    Example: spark.eventLog.dir file:/tmp/spark-events on YARN
    Fix: hdfs, s3a, gs or another shared store
    When not: a shared mount under the same path everywhere.
    """
    s = view.get("spark.eventLog.dir")
    if s is None or not s.known or view.is_test or view.says("spark.eventLog.enabled", False):
        return
    if view.master in ("yarn", "kubernetes", "standalone") and s.value.strip().startswith(("file:", "/tmp")):
        yield Hit(s.line, f"{s.value} is a disk of one machine", s.key, s.column, "a shared store")


@gate_rule("SG806", "ui-off", "info", on=False)
def ui_off(view: View) -> Iterator[Hit]:
    """Without the UI a running job cannot be looked at.

    Example: spark.ui.enabled false
    Fix: remove it
    When not: tests.
    """
    off = view.says("spark.ui.enabled", False)
    if off is not None and not view.is_test:
        yield Hit(off.line, "the UI is switched off", off.key, off.column, "remove it")


RULES = (secret_in_text, secret_in_url, redaction_narrowed, event_log_off, event_log_local, ui_off)
