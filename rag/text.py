"""Words, sentences and names in Spark text: the tokens both search lanes agree on, and the exact names that need no search."""

import re
from functools import lru_cache

_STOP_WORDS = """a an the of to in on for and or is are be was were it its this that with as at by from my our me we i you your do does did how what why when which who
    can could should would will not no but if so than then there here have has had into out up down about over only also just very too us them they these
    those any some get gets am"""
STOP = frozenset(_STOP_WORDS.split())
KEY = re.compile(r"(?<![\w/.])(?:spark|delta|write|read|history|fs|yarn|hive|parquet|hoodie)\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*")
EXCEPTION = re.compile(r"\b(?:[a-z]\w*\.)*([A-Z][A-Za-z0-9]*(?:Exception|Error|Failure|Failed|Lost|Killed|Disassociated|Timeout))\b")
EXIT_CODE = re.compile(
    r"(?:exit(?:ed)?\s*(?:code|status)?s?|exitcode|status|code|killed by signal|signal)[\s:=()a-z]{0,24}?(-?\d{1,3})\b", re.IGNORECASE
)
_OOM = re.compile(r"out[ -]of[ -]memory|outofmemory|(?:killed|dies|died|lost|runs?|ran) .{0,20}\bmemory|heap space", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z0-9]+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9`\"'(\[-])|\n+")
_SUFFIXES = ("ization", "isation", "ations", "ation", "ingly", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly")
SYNONYMS = {
    "oom": ("memory",),
    "k8s": ("kubernet",),
    "kube": ("kubernet",),
    "pod": ("kubernet",),
    "pods": ("kubernet",),
    "dies": ("lost",),
    "died": ("lost",),
    "killed": ("kill",),
    "hang": ("stuck",),
    "hangs": ("stuck",),
    "hanging": ("stuck",),
    "aqe": ("adaptive",),
    "dpp": ("dynamic", "prun"),
    "mor": ("merge", "read"),
    "cow": ("copy", "write"),
    "salt": ("skew",),
    "upsert": ("merge",),
    "expensive": ("cost",),
    "money": ("cost",),
    "bill": ("cost",),
    "cheaper": ("cost",),
}


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without its English ending; never shorter than three letters."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            root = word[: -len(suffix)] + ("y" if suffix == "ies" else "")
            return root[:-1] if root.endswith("e") and len(root) > 4 else root
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def tokens(text: str, *, expand: bool = False) -> list[str]:
    """Search tokens: configuration keys whole and in their parts, camelCase split, words stemmed. `expand` adds synonyms (for queries)."""
    found = [match.group().lower() for match in KEY.finditer(text)]
    found += ["oom"] * len(_OOM.findall(text))
    for word in _WORD.findall(_CAMEL.sub(" ", text).lower()):
        if word in STOP or (len(word) < 2 and not word.isdigit()):
            continue
        found.append(stem(word))
        if expand:
            found += SYNONYMS.get(word, ())
    return found


def sentences(text: str) -> list[str]:
    """The sentences and list items of a Markdown text, without headings and list marks."""
    lines = (line.strip() for line in text.splitlines())
    plain = "\n".join(re.sub(r"^(?:[-*]|\d+\.)\s+", "", line) for line in lines if line and not line.startswith(("#", "```")))
    return [part.strip() for part in _SENTENCE.split(plain) if part.strip()]


def keys_in(text: str) -> list[str]:
    """Configuration keys named in the text, in order, once each."""
    return list(dict.fromkeys(m.group().rstrip(".-") for m in KEY.finditer(text)))


def exceptions_in(text: str) -> list[str]:
    """Simple names of exceptions and failures named in the text, in order, once each."""
    return list(dict.fromkeys(m.group(1) for m in EXCEPTION.finditer(text)))


def exit_codes_in(text: str) -> list[int]:
    """Process exit codes the text speaks of."""
    return list(dict.fromkeys(int(m.group(1)) for m in EXIT_CODE.finditer(text)))
