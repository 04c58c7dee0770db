"""Events of a Spark Connect server (3.4 and later), as msgspec structs."""

from msgspec import Struct, field

from spark_copilot.rules_engine.facts import MISSING


class OperationStarted(Struct, gc=False):
    """A client's request that is being carried out."""

    tag: str = field(name="jobTag", default="")
    operation: str = field(name="operationId", default="")
    time: int = field(name="eventTime", default=MISSING)
    session: str = field(name="sessionId", default="")
    user: str = field(name="userId", default="")
    statement: str = field(name="statementText", default="")


class OperationStep(Struct, gc=False):
    """An operation came further, or ended; what of it is told depends on the step."""

    tag: str = field(name="jobTag", default="")
    operation: str = field(name="operationId", default="")
    time: int = field(name="eventTime", default=MISSING)
    error: str | None = field(name="errorMessage", default=None)
    rows: int | None = field(name="producedRowCount", default=None)


class SessionChange(Struct, gc=False):
    """A client's session began or ended."""

    session: str = field(name="sessionId")
    user: str = field(name="userId", default="")
    time: int = field(name="eventTime", default=MISSING)


CONNECT = "org.apache.spark.sql.connect.service.SparkListenerConnect"
STEPS = {
    f"{CONNECT}Operation{word}": state
    for word, state in (
        ("Analyzed", "analysed"), ("ReadyForExecution", "ready"), ("Canceled", "cancelled"), ("Failed", "failed"), ("Finished", "finished"), ("Closed", "closed"),
    )
}  # fmt: skip
"""What an event says of its operation."""
