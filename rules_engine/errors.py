"""What can go wrong, as classes that know their own sentence, a stable code and a hint. Low layers know no HTTP status and no exit code."""


class CopilotError(Exception):
    """Base of every expected failure. `str(error)` is one plain sentence with its place; `hint` says what to do."""

    code = "error"
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class UsageError(CopilotError):
    """The caller asked for something that does not exist or does not fit together."""

    code = "usage"


class BadInput(CopilotError):
    """What was handed in cannot be read as what it should be."""

    code = "bad-input"


class NotAnEventLog(BadInput):
    """The bytes are not a Spark event log at all."""

    code = "not-an-event-log"
    hint = "An event log is the file under spark.eventLog.dir: JSON lines, the first a SparkListenerLogStart event."

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: not a Spark event log: {reason}")
        self.name, self.reason = name, reason


class BrokenEventLog(BadInput):
    """An event log that cannot be read further; `line` counts from 1."""

    code = "event-log-broken"
    hint = "Was the application still running, or the file cut short?"

    def __init__(self, name: str, line: int, reason: str) -> None:
        super().__init__(f"{name}, line {line}: {reason}")
        self.name, self.line, self.reason = name, line, reason


class UnsupportedFormat(BadInput):
    """A known container that this program does not read."""

    code = "format-not-supported"


class LimitExceeded(BadInput):
    """The input is larger than a limit that protects the machine."""

    code = "limit-exceeded"
    hint = "The limits are settings; see `spark-copilot config show`."


class NotFound(CopilotError):
    """A path, run or key that is not there."""

    code = "not-found"


class AuthError(CopilotError):
    """Credentials missing, wrong or not allowed to do this."""

    code = "auth"


class Unavailable(CopilotError):
    """A service or a part that is needed does not answer or is not installed."""

    code = "unavailable"


class StorageFull(Unavailable):
    """There is no room to keep what was sent."""

    code = "storage-full"
    hint = "Free space under SPARK_COPILOT_HOME, or send it later."


class Conflict(CopilotError):
    """What is asked does not go with the state of things; it may later."""

    code = "conflict"


class MissingFact(CopilotError):
    """A rule needs a column that this log does not have; the rule abstains and the report says so."""

    code = "missing-fact"

    def __init__(self, fact: str) -> None:
        super().__init__(f"the log does not hold {fact}")
        self.fact = fact
