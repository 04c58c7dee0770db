"""Whose turn it is: the shortcut of the replay changes no time, and pools share the slots as Spark's own do."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_copilot.ml.simulator import ReplayModel, replay
from spark_copilot.ml.simulator.replay import Scheduler
from tests.builders import StageSpec, run_of

stages = st.lists(st.lists(st.integers(min_value=1, max_value=5_000), min_size=1, max_size=40), min_size=1, max_size=5)


def model_of(ms: list[list[int]], turns: list[int], starts: list[int], leaves: list[int]) -> ReplayModel:
    """Jobs side by side on four executors, some of which leave. Times are made uneven, since among equal ones any order is right."""
    model = ReplayModel.of(run_of(*(StageSpec(ms=m) for m in ms), executors=4, cores=1))
    known = [turns[i % len(turns)] for i in range(len(model.stages))]
    order = sorted(set(known))
    uneven = [
        replace(s, hold_ms=s.hold_ms + (np.arange(len(s.hold_ms)) * 0.37 + i * 0.011) % 1, release_ms=s.release_ms * 0, turn=order.index(t))
        for i, (s, t) in enumerate(zip(model.stages, known, strict=True))
    ]
    jobs = [replace(j, anchor=-1, wait_ms=starts[i % len(starts)] + i * 0.0013) for i, j in enumerate(model.jobs)]
    slots = [replace(s, added_ms=0.0, removed_ms=float(leaves[i]) if i < len(leaves) else float("inf")) for i, s in enumerate(model.slots)]
    return replace(model, stages=tuple(uneven), jobs=tuple(jobs), slots=tuple(slots))


@given(
    stages,
    st.lists(st.integers(min_value=0, max_value=3), min_size=1, max_size=5),
    st.lists(st.integers(min_value=0, max_value=20_000), min_size=1, max_size=5),
    st.lists(st.integers(min_value=500, max_value=30_000), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_the_shortcut_changes_nothing(ms: list[list[int]], turns: list[int], starts: list[int], leaves: list[int]) -> None:
    model = model_of(ms, turns, starts, leaves)

    class OneByOne(Scheduler):
        def burst(self) -> None: ...

    quick, plain = replay(model), OneByOne(model).run()
    assert quick.wall_ms == plain.wall_ms
    for name in ("job_start_ms", "job_end_ms", "stage_start_ms", "stage_end_ms"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(plain, name))


LONG, SHORT = [1_000] * 40, [1_000] * 8


@pytest.mark.parametrize(
    ("turns", "second_ends_ms"),
    [
        pytest.param([0, 0], 12_000, id="one pool: the later job waits for the earlier one"),
        pytest.param([0, 1], 5_000, id="two pools: the first had all slots for a second, then each has half"),
    ],
)
def test_pools(turns: list[int], second_ends_ms: int) -> None:
    model = model_of([LONG, SHORT], turns, [0], [])
    assert replay(model).job_end_ms[1] == pytest.approx(second_ends_ms, abs=30)
