"""What a settings file says: settings with the place they stand in, and marks for whatever else a rule needs to know of the file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Place(IntEnum):
    """Where a setting stands, in the order in which Spark lets one overrule the other: a later member wins."""

    DEFAULTS = 0
    """spark-defaults, a properties file, a platform's cluster configuration."""
    CONF = 1
    """`--conf` of a submit command, or a platform's submit parameters."""
    FLAG = 2
    """A submit flag (`--executor-memory`) or a field that becomes one."""
    CODE = 3
    """SparkConf or a session builder, before the session exists."""
    LATE = 4
    """A builder or SparkConf that comes after the session was made: changes nothing in core."""
    RUNTIME = 5
    """`spark.conf.set`, SQL `SET`, a session's parameters."""


STARTUP = frozenset({Place.DEFAULTS, Place.CONF, Place.FLAG, Place.CODE})


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment as written. `known` is False when the value is computed, templated or read from elsewhere: then `value` says nothing.

    `scope` joins what belongs to one application within a file ("" is the whole file). `origin` is the flag or field the setting was
    written as, where that is not the key itself. `kind` is the type in formats that have types: string, boolean or number.
    """

    key: str
    value: str
    file: str
    line: int
    column: int | None
    place: Place
    known: bool = True
    scope: str = ""
    origin: str = ""
    kind: str = "string"
    raw: str = ""
    """The text as it stands in the file, where that differs from `value` (quotes kept, comments included)."""

    @property
    def raw_or_value(self) -> str:
        """The text as written, for comparing two assignments."""
        return self.raw or self.value


@dataclass(frozen=True, slots=True)
class Mark:
    """Something in a file that is no setting but decides about settings: a stray option, a node count, an overwrite in code."""

    what: str
    line: int
    text: str = ""
    scope: str = ""
    column: int | None = None
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """One file as its reader understood it. `kind` is the reader's name; `error` with its line is set when it does not parse."""

    file: str
    kind: str
    settings: tuple[Setting, ...] = ()
    marks: tuple[Mark, ...] = ()
    error: str | None = None
    error_line: int = 1
