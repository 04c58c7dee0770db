"""Text of a log made safe to show: control and direction-changing characters out, length bounded."""

import re

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def shown(text: str, limit: int = 2_000) -> str:
    """The text without control and bidi characters, cut at `limit`; line breaks become spaces."""
    clean = _UNSAFE.sub("", text.replace("\n", " ").replace("\t", " "))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
