"""How many training steps are taken in one call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnas_tf.data import Split
from xnas_tf.training import multi_step as pace
from xnas_tf.training.multi_step import MOST_BYTES, MOST_STEPS, SECONDS, MultiStep, stacked


def part(size=1, label=0):
    return Split(np.full((1, size, 1, 1), label, np.uint8), np.full(1, label, np.int32))


class Clock:
    """Stands for ``time``."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@given(st.lists(st.tuples(*[st.floats(1e-6, 1e3)] * 2), min_size=1, max_size=60))
def test_all_batches_come_in_order_in_calls_that_are_short_enough(seconds):
    """Where loading and computing take what they took before, a call is over in time or is one
    step."""
    parts, clock, seen = [part() for _ in seconds], Clock(), []

    def loaded():
        for each, (spent, _) in zip(parts, seconds, strict=True):
            clock.now += spent
            yield each

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "time", clock)
        mine, last = MultiStep(), None
        for some in mine.strides(loaded()):
            allowed = 1 if last is None else int(SECONDS / last)
            assert len(some) <= max(1, min(MOST_STEPS, allowed))
            both = seconds[len(seen) : len(seen) + len(some)]
            clock.now += sum(spent for _, spent in both)
            last = sum(map(sum, both)) / len(some) * (1 - 1e-9)
            seen += some
    assert [*map(id, seen)] == [*map(id, parts)]


@pytest.mark.parametrize(
    ("seconds", "size", "steps"),
    [
        (SECONDS / 1000, 1, MOST_STEPS),
        (SECONDS / 3.5, 1, 3),
        (SECONDS * 9, 1, 1),
        (SECONDS / 1000, MOST_BYTES // 2, 2),
        (SECONDS / 1000, MOST_BYTES + 1, 1),
    ],
)
def test_as_many_steps_as_time_and_memory_allow(seconds, size, steps, monkeypatch):
    clock, mine = Clock(), MultiStep()
    monkeypatch.setattr(pace, "time", clock)
    strides = mine.strides(iter([part(size)] * 40))
    assert len(next(strides)) == 1  # of the first nothing is known
    clock.now += seconds
    assert len(next(strides)) == steps


def test_batches_are_stacked():
    images, labels = stacked([part(2, label) for label in range(3)])
    assert images.shape == (3, 1, 2, 1, 1) and labels.tolist() == [[0], [1], [2]]
    np.testing.assert_array_equal(images[:, 0, :, 0, 0], [[0, 0], [1, 1], [2, 2]])
