"""How many training steps are taken in one call."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnas_tf.data import Part
from xnas_tf.evaluation.pace import MOST_BYTES, MOST_STEPS, SECONDS, Pace


def part(size=1):
    return Part(np.zeros((1, size, 1, 1), np.uint8), np.zeros(1, np.int32))


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60))
def test_all_batches_come_in_order_in_calls_that_are_short_enough(seconds):
    """Where a step takes what the one before took, a call is over in time or is one step."""
    parts, pace, seen = [part() for _ in seconds], Pace(), []
    for some in pace.strides(iter(parts)):
        assert len(some) <= pace.steps <= MOST_STEPS
        seen += some
        spent = sum(seconds[len(seen) - len(some) : len(seen)])
        pace.took(some, spent)
        assert pace.steps == 1 or pace.steps * spent / len(some) <= SECONDS * (1 + 1e-9)
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
def test_as_many_steps_as_time_and_memory_allow(seconds, size, steps):
    pace = Pace()
    assert pace.steps == 1  # of the first nothing is known
    pace.took([part(size)], seconds)
    assert pace.steps == steps
