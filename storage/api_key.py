"""The form of an API key: `spc_`, 32 random bytes in base 62, and a checksum, so that a scanner knows one and a mistyped one is told without a look-up."""

import hashlib
import re
import secrets
import zlib

PREFIX = "spc_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _SUM = 43, 6
PREFIX_LENGTH = len(PREFIX) + 8
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_BODY + _SUM}}}")
_ANYWHERE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{16,}}")


def new_key() -> str:
    """A new key."""
    body = _base62(int.from_bytes(secrets.token_bytes(32)), _BODY)
    return PREFIX + body + _checksum(body)


def well_formed(key: str) -> bool:
    """Whether the text can be a key: its form and its checksum are right."""
    if _FORM.fullmatch(key) is None:
        return False
    body = key[len(PREFIX) : -_SUM]
    return _checksum(body) == key[-_SUM:]


def digest(key: str) -> str:
    """What is kept of a key. 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def without_keys(text: str) -> str:
    """The text with whatever looks like a key cut to its beginning."""
    return _ANYWHERE.sub(PREFIX + "…", text)


def holds_key(text: str) -> bool:
    """Whether a key, or most of one, is in the text."""
    return _ANYWHERE.search(text) is not None


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _SUM)


def _base62(number: int, width: int) -> str:
    out = ""
    while number:
        number, digit = divmod(number, 62)
        out = _DIGITS[digit] + out
    return out.rjust(width, "0")
