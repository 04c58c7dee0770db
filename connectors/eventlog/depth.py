"""How deeply a line is nested, told before it is decoded: what walks the decoded value may then recurse."""

import numpy as np

MAX_DEPTH = 512
"""Levels of objects and arrays. A plan takes two an operator, so one of 250 operators in a row is still read; Spark's own reader stops at 1,000."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NOT_OPENING = bytes(set(range(256)) - set(b"[{"))
_STEP = np.zeros(256, dtype=np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def too_deep(line: bytes) -> bool:
    """Whether the line goes deeper than the bound. Lines with few brackets, which is nearly all, cost one pass."""
    if len(line.translate(None, _NOT_OPENING)) <= MAX_DEPTH:
        return False
    outside = b"".join(line.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])  # brackets within strings do not nest
    steps = _STEP[np.frombuffer(outside.translate(None, _NO_BRACKETS), dtype=np.uint8)]
    return bool(len(steps) and np.cumsum(steps, dtype=np.int64).max() > MAX_DEPTH)
