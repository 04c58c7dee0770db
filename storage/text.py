"""Texts as both databases keep them: one rule for what PostgreSQL refuses and SQLite would take."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with each NUL and each half of a surrogate pair replaced by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


class CleanText(TypeDecorator[str]):
    """Text of any length, cleaned on the way in, in values and in conditions alike."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Cleaned."""
        del dialect
        return None if value is None else clean(value)


class JsonText(TypeDecorator[Any]):
    """A value as JSON text; every text in it cleaned."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encoded."""
        del dialect
        return None if value is None else json.dumps(_cleaned(value), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decoded."""
        del dialect
        return None if value is None else json.loads(value)
