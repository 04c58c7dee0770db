"""Units: parse what Spark writes ("4g", "200ms", "10 MiB") and show what people read ("7 m 10 s", "1.5 GiB").

Everything inside the program is milliseconds, bytes, counts and ratios; these functions stand at the borders.
"""

import re

_BYTE_FACTORS = {"": 1, "b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
_BYTE_FACTORS |= {"t": 1 << 40, "tb": 1 << 40, "p": 1 << 50, "pb": 1 << 50, "ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20}
_BYTE_FACTORS |= {"gi": 1 << 30, "gib": 1 << 30, "ti": 1 << 40, "tib": 1 << 40, "pi": 1 << 50, "pib": 1 << 50}
_TIME_FACTORS_MS = {"us": 0.001, "ms": 1.0, "s": 1e3, "m": 6e4, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([a-zA-Z]{0,3})\s*\Z")


def parse_count(text: str) -> int | None:
    """A whole number that Spark would take for a count (31 bits); None when it is not one."""
    stripped = text.strip()
    if not (stripped.isascii() and stripped.isdecimal() and len(stripped) < 20):
        return None
    return number if (number := int(stripped)) < 1 << 31 else None


def parse_bytes(text: str, default_unit: str = "b") -> int | None:
    """Bytes of a Spark size string; None when it is not one. `default_unit` is what the key means without a suffix (memory keys: "m")."""
    match = _NUMBER_AND_UNIT.match(text)
    if match is None:
        return None
    factor = _BYTE_FACTORS.get((match[2] or default_unit).lower())
    return None if factor is None else int(float(match[1]) * factor)


def parse_ms(text: str, default_unit: str = "ms") -> float | None:
    """Milliseconds of a Spark time string; None when it is not one. `default_unit` is what the key means without a suffix."""
    match = _NUMBER_AND_UNIT.match(text)
    if match is None:
        return None
    factor = _TIME_FACTORS_MS.get((match[2] or default_unit).lower())
    return None if factor is None else float(match[1]) * factor


def show_ms(ms: float) -> str:
    """A duration as people say it: "420 ms", "9.5 s", "7 m 10 s", "2 h 05 m"."""
    if ms < 0:
        return f"-{show_ms(-ms)}"
    if ms < 1_000:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1_000:.1f} s"
    seconds = round(ms / 1_000)
    if seconds < 3_600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} m"


def show_bytes(n: float) -> str:
    """A size in binary units with at most one decimal: "512 B", "1.5 GiB"."""
    size = float(abs(n))
    sign = "-" if n < 0 else ""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    digits = 0 if unit == "B" or size >= 100 or size == int(size) else 1
    return f"{sign}{size:.{digits}f} {unit}"


def spark_size(n: int) -> str:
    """A size as a Spark setting wants it, rounded up to whole MiB: "1536m", whole GiB as "4g"."""
    mib = max(1, -(-n // (1 << 20)))
    return f"{mib // 1024}g" if mib % 1024 == 0 else f"{mib}m"


def show_count(n: float) -> str:
    """A count with thousands separators: "13,504"."""
    return f"{n:,.0f}"


def show_money(amount: float, currency: str) -> str:
    """Money with its currency; two digits behind the point, more for amounts under a tenth: "12.40 USD", "0.0031 USD"."""
    digits = 2 if abs(amount) >= 0.1 or amount == 0 else 4
    return f"{amount:,.{digits}f} {currency}"


def show_value(value: float, unit: str) -> str:
    """One evidence value in the words of its unit (ms, bytes, count, ratio, percent)."""
    if unit == "ms":
        return show_ms(value)
    if unit == "bytes":
        return show_bytes(value)
    if unit == "count":
        return show_count(value)
    if unit == "percent":
        return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
