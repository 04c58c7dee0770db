"""Secrets out of text, at the door: settings, URLs, command lines, SQL, tokens. Pure; the reader calls it before anything is stored.

A `Redactor` lives as long as one run is read: what one place shows to be a secret (the value of a password setting) is masked in every other
place of that run, where nothing around it would tell. Every pattern has bounded repetition, so that no text costs more than linear time.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import quote

T = TypeVar("T")

MARK = "[redacted:{kind}]"
MAX_TEXT = 1 << 20
"""Longer texts (physical plans of generated queries) are cut here, with a mark that says so."""

_REMEMBERED_CHARS = 64 << 20
"""Texts are masked once each and remembered up to this many characters of them; they repeat in nearly every event."""

_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]")
_PASSWORDS = frozenset({"password", "passwd", "pwd", "passphrase", "pass", "pgpassword"})
_SECRETS = frozenset(
    {"secret", "token", "credential", "credentials", "apikey", "accesskey", "secretkey", "privatekey", "sas", "oauthtoken"}
)
_KEY_OF = frozenset({"access", "secret", "api", "account", "private", "shared", "encryption", "signing", "license", "subscription"})
_ABOUT = frozenset(
    {
        "provider", "providers", "class", "enabled", "enable", "renewal", "renewer", "ttl", "interval", "lifetime",
        "expiration", "expiry", "expires", "path", "paths", "file", "files", "location", "dir", "directory",
        "algorithm", "regex", "tokenizer", "type", "types", "identity", "name", "names", "principal", "ref",
        "count", "size", "length", "limit", "max", "min", "timeout", "factory", "format", "manager",
        "service", "store", "policy", "strategy", "version", "retries", "attempts", "period", "window", "scope",
        "scopes", "endpoint", "url", "uri", "header", "column", "columns", "field", "id", "ids",
        "use", "required", "update", "ratio", "separator", "delimiter", "kind", "mode",
    }
)  # fmt: skip
_CLASS = re.compile(r"[a-z][\w$]{0,60}(\.[a-z_][\w$]{0,60}){1,12}\.[A-Z][\w$]{0,100}")
_PLAIN = re.compile(r"(?i:true|false|null|none|yes|no|-?\d{1,15}(?:\.\d{1,6})?\s?(?:ms|s|m|h|d|min|b|kb|mb|gb)?)")
_MASKED = re.compile(r"^\*{3,}|^\[redacted:|^\$\{|^\{\{secrets/")
_TYPE = re.compile(
    r"(?i:string|int|integer|bigint|long|smallint|tinyint|short|byte|double|float|real|boolean|bool|date|timestamp\w{0,5}|binary|void"
    r"|decimal\([^)]{0,20}|array<.{0,500}|map<.{0,500}|struct<.{0,500}|varchar\([^)]{0,10}|char\([^)]{0,10}|true|false|null|none|\d{1,5})\W{0,3}"
)

_WHOLE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("pem", re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{1,20000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)")),
    ("jwt", re.compile(r"\beyJ[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{8,8000}\.[A-Za-z0-9_\-]{8,4000}")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    (
        "token",
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255}|glpat-[A-Za-z0-9_\-]{20,100}|dapi[0-9a-f]{32}(?:-\d{1,3})?"
            r"|xox[abeprs]-[A-Za-z0-9-]{10,200}|sk-[A-Za-z0-9_\-]{20,200}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,100}|AIza[0-9A-Za-z_\-]{35}"
            r"|ya29\.[0-9A-Za-z_\-]{20,500}|hf_[A-Za-z]{30,60}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,300}|SG\.[\w\-]{16,32}\.[\w\-]{32,64})"
        ),
    ),
)
_NAME = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret[._\- ]?(?:access[._\- ]?)?key|client[._\-]?secret|secret|(?:access|api|account|shared|private)[._\- ]?key"
    r"(?:[.][\w.\-]{1,200})?|(?:oauth2?|access|auth|session|refresh|bearer|id|sas)?[._\-]?token|credentials?)"
)
_VALUE = r"(?:\"(?P<dq>[^\"\n]{1,500})\"|'(?P<sq>[^'\n]{1,500})'|(?P<bare>[^\s\"'&;,)}\]>|]{3,1000}))"
_PARTS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("password", "secret", re.compile(r"(?P<head>://[^\s:/@?#\"']{1,200}:)(?P<secret>[^\s@/\"']{1,300})(?=@)")),
    (
        "password",
        "secret",
        re.compile(r"(?P<head>jdbc:oracle:\w{1,10}:[^\s/@\"']{1,100}/)(?P<secret>[^\s@/\"']{1,200})(?=@)", re.IGNORECASE),
    ),
    ("secret", "", re.compile(rf"(?P<head>{_NAME}(?:\\?[\"'])?\s{{0,3}}(?:=>|[=:])\s{{0,3}}\\?){_VALUE}", re.IGNORECASE)),
    ("secret", "", re.compile(rf"(?P<head>(?:--{_NAME}|\b(?:password|identified\s{{1,3}}by))\s{{1,3}}){_VALUE}", re.IGNORECASE)),
    ("sas", "secret", re.compile(r"(?P<head>[?&;\s]sig=)(?P<secret>[A-Za-z0-9%+/=_\-]{8,500})", re.IGNORECASE)),
    ("token", "secret", re.compile(r"(?P<head>\b(?:bearer|basic)\s{1,3})(?P<secret>[A-Za-z0-9._~+/=\-]{16,4000})", re.IGNORECASE)),
)
_BY_WORD_ONLY = 3  # in `_PARTS`: `--password x` and `PASSWORD 'x'`, where the bare form needs the dashes
_HINTS = (
    "pass", "pwd", "secret", "token", "key", "sig=", "bearer", "basic ", "://", "identified", "-----begin", "eyj", "akia", "asia", "ghp_", "gho_", "ghu_",
    "ghs_", "ghr_", "github_pat_", "glpat-", "dapi", "xox", "sk-", "k_live_", "k_test_", "aiza", "ya29.", "hf_", "npm_", "pypi-", "sg.", "jdbc:oracle",
    "credential",
)  # fmt: skip


def is_secret_key(key: str) -> bool:
    """Whether a setting of this name holds a secret (`…password`, `…secret.key`), not a path, class or switch about one."""
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or words[-1] in _ABOUT or "ref" in words:
        return False
    if any(word in _PASSWORDS or word in _SECRETS for word in words):
        return True
    return any(first in _KEY_OF and second == "key" for first, second in pairwise(words))


def _is_password(key: str) -> bool:
    return any(word.lower() in _PASSWORDS for word in _WORD.findall(key))


class Redactor:
    """Masks secrets in the texts of one run and remembers what they were, for `everywhere`."""

    def __init__(self) -> None:
        self.learned: dict[str, str] = {}
        self._seen: dict[str, str] = {}
        self._room = _REMEMBERED_CHARS
        self._forgot = False

    def text(self, text: str) -> str:
        """The text with every secret it shows replaced by a typed marker; text without one comes back as it is."""
        known = self._seen.get(text)
        if known is None:
            known = self._mask(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT:,} more characters)")
            if len(text) <= self._room:
                self._room -= len(text)
                self._seen[text] = known
            else:
                self._forgot = True
        return known

    def setting(self, key: str, value: str) -> str:
        """The value, masked whole where the key says that it is a secret."""
        if is_secret_key(key) and value and not _MASKED.match(value) and not _CLASS.fullmatch(value):
            if value.lower() in ("true", "false") or (_PLAIN.fullmatch(value) and not _is_password(key)):
                return value
            self._learn(value, "setting")
            return MARK.format(kind="setting")
        return self.text(value)

    def settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Settings with the values of secret keys masked whole and every other value searched."""
        return {self.text(key): self.setting(key, value) for key, value in settings.items()}

    def everywhere(self, value: T) -> T:
        """The value (frozen dataclasses, tuples, mappings, text) with all that was learnt masked in every text of it."""
        pattern = self._learned_pattern()
        if pattern is None or not (self._forgot or any(pattern.search(text) for text in self._seen.values())):
            return value  # no text that was let through holds one
        done: T = map_texts(value, self.learned_mask())
        return done

    def learned_mask(self) -> Callable[[str], str]:
        """A function that masks what has been learnt up to now in any text."""
        pattern = self._learned_pattern()
        if pattern is None:
            return lambda text: text
        learned, cache = dict(self.learned), dict[str, str]()

        def mask(text: str) -> str:
            known = cache.get(text)
            if known is None:
                known = cache[text] = pattern.sub(lambda m: MARK.format(kind=learned[m[0]]), text)
            return known

        return mask

    def _learned_pattern(self) -> re.Pattern[str] | None:
        words = sorted(self.learned, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, words))) if words else None

    def _mask(self, text: str) -> str:
        low = text.lower()
        if not any(hint in low for hint in _HINTS):
            return text
        for kind, pattern in _WHOLE:
            text = pattern.sub(lambda m, kind=kind: self._marked(m[0], kind), text)  # type: ignore[misc]
        for number, (kind, group, pattern) in enumerate(_PARTS):
            text = pattern.sub(lambda m, kind=kind, group=group, number=number: self._part(m, kind, group, number), text)  # type: ignore[misc]
        return text

    def _part(self, match: re.Match[str], kind: str, group: str, number: int) -> str:
        group = group or next(name for name in ("dq", "sq", "bare") if match[name] is not None)
        secret, start = match[group], match.start()
        if _MASKED.match(secret) or _TYPE.fullmatch(secret):
            return match[0]
        if group == "bare":
            if number == _BY_WORD_ONLY and not match["head"].startswith("--"):
                return match[0]  # "password for user", in prose
            if _CLASS.fullmatch(secret):
                return match[0]
            before = match.string[max(start - 1, 0) : start]
            if before in ("/", "\\"):
                return match[0]  # a file of that name: /etc/passwd:/etc/passwd
            if number != _BY_WORD_ONLY and match["head"].lower().startswith("token") and before.isalnum():
                return match[0]  # "nexttoken: x" and the like are counters
        return match[0][: match.start(group) - start] + self._marked(secret, kind) + match[0][match.end(group) - start :]

    def _marked(self, secret: str, kind: str) -> str:
        self._learn(secret, kind)
        return MARK.format(kind=kind)

    def _learn(self, secret: str, kind: str) -> None:
        # Short or plain words would be masked where they mean nothing.
        mixed = not secret.isalpha() and not _PLAIN.fullmatch(secret) and not _CLASS.fullmatch(secret)
        if 6 <= len(secret) <= 4000 and (mixed or len(secret) >= 16) and len(self.learned) < 1000 and "[redacted:" not in secret:
            self.learned.setdefault(secret, kind)
            self.learned.setdefault(quote(secret, safe=""), kind)


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of a nested value with every text changed; parts without a changed text are kept as they are."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple | list):
        items = [map_texts(item, change) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        return {map_texts(k, change): map_texts(v, change) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for f in fields(value):
            old = getattr(value, f.name)
            new = map_texts(old, change)
            if new is not old:
                changed[f.name] = new
        return replace(value, **changed) if changed else value
    return value


def redact_text(text: str) -> str:
    """The text with every secret it shows replaced by a typed marker; text without one comes back as it is."""
    return Redactor().text(text)


def redact_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings with the values of secret keys masked whole and every other value searched."""
    return Redactor().settings(settings)
