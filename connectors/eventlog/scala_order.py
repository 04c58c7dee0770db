"""The order in which Scala's maps and sets hand out their keys: some of Spark's answers depend on it."""

from collections.abc import Iterable

_INSERTION_ORDER = 4
_MASK = 0xFFFFFFFF
_LEVELS = 35


def scala_order(keys: Iterable[int]) -> list[int]:
    """Up to four keys as they were put in; more as the hash trie of Scala 2.13 walks them."""
    distinct = list(dict.fromkeys(keys))
    return distinct if len(distinct) <= _INSERTION_ORDER else _walk(distinct, 0)


def _walk(keys: list[int], shift: int) -> list[int]:
    if shift >= _LEVELS:
        return keys
    groups: dict[int, list[int]] = {}
    for key in keys:
        groups.setdefault((_improved(key) >> shift) & 31, []).append(key)
    ordered = [group for _, group in sorted(groups.items())]
    out = [group[0] for group in ordered if len(group) == 1]
    for group in ordered:
        if len(group) > 1:
            out += _walk(group, shift + 5)
    return out


def _improved(key: int) -> int:
    h = key & _MASK
    h = (h + (~(h << 9) & _MASK)) & _MASK
    h ^= h >> 14
    h = (h + (h << 4)) & _MASK
    return h ^ (h >> 10)


def text_order(keys: Iterable[str]) -> list[str]:
    """Texts as Scala 2.13's mutable hash map walks them: by slot of the table, then by hash."""
    distinct = list(dict.fromkeys(keys))
    size = 16
    while len(distinct) + 1 > size * 3 // 4:
        size *= 2
    hashed = {key: (h := _java_hash(key)) ^ (h >> 16) for key in distinct}
    return sorted(distinct, key=lambda key: (hashed[key] & (size - 1), _signed(hashed[key])))


def _java_hash(text: str) -> int:
    h = 0
    for at in range(0, len(units := text.encode("utf-16-be", "surrogatepass")), 2):
        h = (31 * h + int.from_bytes(units[at : at + 2])) & _MASK
    return h


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value
