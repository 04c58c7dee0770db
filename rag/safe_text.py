"""Text from logs and models made safe to show: no control, direction-changing or invisible characters, no markup that fetches, no unknown links.

Every function works on a line as on a whole text, so that a text shown line by line while it streams is the text kept in the history.
"""

import re
from collections.abc import Collection

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Controls, zero-width and filler characters, bidi marks, variation selectors and the Unicode tags that can hide a whole text."""
_LINK = re.compile(r"!?\[(?P<text>[^\[\]\n]{0,500})\]\((?P<target>[^()\n]{0,2000}(?:\([^()\n]{0,200}\)[^()\n]{0,2000})?)\)?")
_REFERENCE = re.compile(r"^[ \t>*-]{0,12}\[(?P<name>[^\]\n]{1,200})\]:[ \t]*\S.*$", re.MULTILINE)
_ADDRESS = re.compile(
    r"(?:\b[a-z][a-z0-9+.\-]{1,20}:)?//[^\s<>\"'`)\]]{1,2000}|\b(?:javascript|data|vbscript|blob|mailto|tel):[^\s<>\"'`)\]]{1,2000}|\bwww\.[^\s<>\"'`)\]]{1,2000}",
    re.IGNORECASE,
)
_TAG = re.compile(r"<(?=[a-zA-Z/!?])")
"""What opens an element of markup; made a plain sign, since its end may come in another line."""
_STORAGE = re.compile(
    r"(?:s3[an]?|gs|hdfs|abfss?|wasbs?|adl|dbfs|oss|cosn|viewfs|webhdfs|file|jdbc|postgresql|postgres|mysql|mariadb|sqlserver|snowflake|redshift|mongodb|spark|k8s|thrift|delta|memory)(?::[a-z0-9]{2,20})?:",
    re.IGNORECASE,
)
"""Places of data: names that no reader's browser opens."""
NO_LINK = "[link removed]"
LEFT_OUT = "[left out]"
ADDRESSES_A_MODEL = re.compile(
    r"(?:ignore|disregard|forget|override|bypass) (?:\w+ ){0,4}(?:instructions?|prompts?|rules|guidelines|messages|directives)"
    r"|(?:ignore|disregard|forget) (?:all |any |everything )?(?:previous|prior|above|earlier|you were told|before)"
    r"|system prompt|developer (?:message|mode)|you are now\b|you must now\b|as an ai\b|new instructions|do anything now|\bjailbreak"
    r"|(?:^|\n)\s*(?:system|assistant|tool|user)\s*:\s|<\|?/?(?:system|assistant|tool|user|im_start|im_end|endoftext)\|?>|\[/?INST\]|<<SYS>>"
    r"|(?:reveal|print|repeat|show|output) (?:\w+ ){0,4}(?:system|hidden|secret|initial) (?:prompt|instructions?|message)",
    re.IGNORECASE,
)
"""Words that talk to a language model. Text of logs and documents is data: such words are not passed on."""


def visible(text: str) -> str:
    """The text without characters that are not seen or that change how others are read; tabs and line breaks stay."""
    return _UNSEEN.sub("", text)


def from_log(text: str | None, limit: int = 300) -> str:
    """One line of text that a log holds, fit to be shown and bounded; line breaks become spaces and the cut is marked."""
    clean = " ".join(shown((text or "")[: limit * 8]).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def unaddressed(text: str) -> str:
    """The text without the words in it that talk to a language model."""
    return ADDRESSES_A_MODEL.sub(LEFT_OUT, text)


def without_links(text: str, allowed: Collection[str] = ()) -> str:
    """The text with images gone, links reduced to their words, every address that is not allowed removed, and tags made plain text."""

    def words(match: re.Match[str]) -> str:
        return match[0] if not match[0].startswith("!") and match["target"].strip() in allowed else match["text"]

    def address(match: re.Match[str]) -> str:
        found = match[0].rstrip(".,;:")
        return match[0] if found in allowed or _STORAGE.match(found) else NO_LINK

    text = _TAG.sub("‹", _REFERENCE.sub("", text))
    before = None
    while before != text:  # a link inside a link leaves another behind
        before, text = text, _LINK.sub(words, text)
        if "](" not in text:
            break
    text = text.replace("![", "[")
    return _ADDRESS.sub(address, text)


def shown(text: str, allowed: Collection[str] = ()) -> str:
    """What may stand before a reader: visible characters only, no words to a language model, and no link but the allowed ones."""
    return without_links(unaddressed(visible(text)), allowed)
