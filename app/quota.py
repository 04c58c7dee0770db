"""What a tenant may have at most."""

from spark_copilot.rules_engine.errors import CopilotError


class QuotaReached(CopilotError):
    """The tenant has as much as it may have."""

    code = "quota-reached"
    hint = "Delete runs that are not needed any more, or have the quota raised."

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
