"""Values as Spark's own converters read them: what it would refuse is None here."""

import re

_SIZE = re.compile(r"([0-9]{1,60})([a-z]+)?\Z")
"""Longer numbers are beyond anything that Spark reads, and beyond what can be divided."""
_SIZE_UNITS = {"b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
_SIZE_UNITS |= {"t": 1 << 40, "tb": 1 << 40, "p": 1 << 50, "pb": 1 << 50}
_TIME_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
UNIT_MS = {"ms": 1.0, "s": 1e3, "min": 6e4}


def boolean(text: str) -> bool | None:
    """true or false in any case; nothing else."""
    return {"true": True, "false": False}.get(text.strip().lower())


def integer(text: str) -> int | None:
    """A Java long: sign and digits."""
    stripped = text.strip()
    return int(stripped) if re.fullmatch(r"[+-]?[0-9]{1,19}", stripped) else None


def double(text: str) -> float | None:
    """A Java double: exponent and a trailing d or f are allowed."""
    stripped = text.strip()
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?", stripped):
        return None
    return float(stripped.rstrip("dDfF"))


def size(text: str, unit: str) -> int | None:
    """Bytes of a size; a bare number is in `unit` (B, KiB, MiB). Spark reads k as KiB, whatever the case."""
    stripped = text.strip().lower()
    sign = -1 if stripped.startswith("-") else 1
    match = _SIZE.match(stripped.removeprefix("-"))
    if match is None:
        return None
    factor = _SIZE_UNITS.get(match[2]) if match[2] else UNIT_BYTES[unit]
    return None if factor is None else sign * int(match[1]) * factor


def duration(text: str, unit: str) -> float | None:
    """Milliseconds of a duration; a bare number is in `unit` (ms, s, min)."""
    match = re.match(r"(-?[0-9]{1,60})([a-z]+)?\Z", text.strip().lower())
    if match is None:
        return None
    factor = _TIME_UNITS_MS.get(match[2]) if match[2] else UNIT_MS[unit]
    return None if factor is None else int(match[1]) * factor


def is_bare(text: str) -> bool:
    """A number without a unit."""
    return re.fullmatch(r"\s*-?[0-9]+\s*", text) is not None


def kubernetes_size(text: str) -> int | None:
    """Bytes of a Kubernetes quantity ("4Gi", "512M")."""
    match = re.fullmatch(r"([0-9]{1,60}(?:\.[0-9]{1,60})?)(Ki|Mi|Gi|Ti|K|k|M|G|T|m)?", text.strip())
    if match is None:
        return None
    binary = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
    decimal = {"K": 10**3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "m": 0.001}
    return int(float(match[1]) * (binary.get(match[2] or "") or decimal.get(match[2] or "", 1)))


def cpus(text: str) -> float | None:
    """Cores of a Kubernetes quantity ("500m", "2", "1.5")."""
    match = re.fullmatch(r"([0-9]{1,60}(?:\.[0-9]{1,60})?)(m)?", text.strip())
    return None if match is None else float(match[1]) / (1000 if match[2] else 1)
