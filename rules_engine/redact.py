"""Secrets out of text, at the door: settings, URLs, command lines, tokens. Pure; the reader calls it before anything is stored."""

import re
from collections.abc import Mapping

MARK = "[redacted:{kind}]"

_SECRET_KEY = re.compile(
    r"(?:^|[._\-])(?:password|passwd|pwd|passphrase|secret|secret[._-]?key|access[._-]?key|api[._-]?key|account[._-]?key|token|credential|credentials|private[._-]?key|sas)(?:$|[._\-][a-z0-9]*$)",
    re.IGNORECASE,
)
_HARMLESS_KEY = re.compile(
    r"(?:provider|class|enabled|renewal|ttl|interval|expir|path|file|algorithm|regex|tokeniz|type|identity|redaction|principal)",
    re.IGNORECASE,
)
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("pem", re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{1,20000}-----END [A-Z ]{0,40}PRIVATE KEY-----")),
    ("jwt", re.compile(r"\beyJ[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{8,4000}\.[A-Za-z0-9_\-]{8,4000}")),
    ("aws-key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    (
        "token",
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|dapi[0-9a-f]{32}|xox[abprs]-[A-Za-z0-9-]{10,200}|sk-[A-Za-z0-9_\-]{20,200}|AIza[0-9A-Za-z_\-]{35})"
        ),
    ),
)
_URL_USER = re.compile(r"(?P<head>[a-z][a-z0-9+.\-]{1,30}://[^\s:/@?#]{1,100}:)(?P<secret>[^\s@/]{1,200})(?=@)", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    r"(?P<head>(?:password|passwd|pwd|secret|secret[._-]?key|access[._-]?key|api[._-]?key|account[._-]?key|sig|sas|token|client[._-]?secret)[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?P<secret>[^\s\"'&;,)}]{3,500})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<head>\b(?:bearer|basic)\s{1,3})(?P<secret>[A-Za-z0-9._~+/=\-]{12,4000})", re.IGNORECASE)


def is_secret_key(key: str) -> bool:
    """Whether a setting of this name holds a secret (`…password`, `…secret.key`), not a path, class or switch about one."""
    return bool(_SECRET_KEY.search(key)) and not _HARMLESS_KEY.search(key.rsplit(".", 1)[-1])


def redact_text(text: str) -> str:
    """The text with every secret it shows replaced by a typed marker; text without one comes back as it is."""
    for kind, pattern in _PATTERNS:
        text = pattern.sub(MARK.format(kind=kind), text)
    for kind, pattern in (("password", _URL_USER), ("secret", _ASSIGNMENT), ("token", _BEARER)):
        text = pattern.sub(lambda m, kind=kind: m["head"] + MARK.format(kind=kind), text)  # type: ignore[misc]
    return text


def redact_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings with the values of secret keys masked whole and every other value searched."""
    return {key: MARK.format(kind="setting") if is_secret_key(key) and value else redact_text(value) for key, value in settings.items()}
