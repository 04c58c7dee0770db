"""Kinds of failure -> exit codes. A contract: scripts and CI depend on the numbers."""

from enum import IntEnum

from spark_copilot.rules_engine.errors import AuthError, BadInput, Conflict, CopilotError, NotFound, Unavailable, UsageError


class Exit(IntEnum):
    """Exit codes of `spark-copilot`. 1 is only ever a gate's verdict."""

    OK = 0
    GATE_FAILED = 1
    USAGE = 2
    INPUT = 3
    AUTH = 4
    NETWORK = 5
    INTERNAL = 70
    INTERRUPTED = 130


_CODES: tuple[tuple[type[CopilotError], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (Conflict, Exit.USAGE),
    (BadInput, Exit.INPUT),
    (NotFound, Exit.INPUT),
    (AuthError, Exit.AUTH),
    (Unavailable, Exit.NETWORK),
)


_BY_CODE = {
    "import-not-allowed": Exit.USAGE, "import-address-refused": Exit.USAGE, "source-forbidden": Exit.AUTH, "source-too-slow": Exit.NETWORK,
}  # fmt: skip
"""By their codes, since naming their classes would load what fetches logs with every command."""


def exit_code(error: CopilotError) -> Exit:
    """The exit code of an expected failure."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.INTERNAL)
