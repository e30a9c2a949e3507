"""Where the groups' time goes."""

import pytest

from xnas_tf.candidate import Candidate
from xnas_tf.reporting.utilisation import Bar, timeline, timeline_figure, utilisation


def candidate(number, group, begin, minutes, wait, state="done"):
    seconds = {"build": 1.0, "train": 60.0 * minutes - 1, "communication": 9.0, "wait": wait}
    return Candidate(
        number,
        f"g{number}",
        {},
        state=state,
        seconds=seconds,
        started=f"2026-01-01T00:{begin:02d}:00.000+00:00",
        finished=f"2026-01-01T00:{begin + minutes:02d}:00.000+00:00",
        group=group,
        finish_order=number,
    )


CANDIDATES = [
    candidate(1, 0, 0, 6, 0.0),
    candidate(2, 1, 0, 3, 0.0),
    candidate(3, 1, 4, 3, 60.0, "failed"),
    Candidate(4, "in flight", {}, group=0, started="2026-01-01T00:06:00.000+00:00"),
]


def test_utilisation_is_the_share_that_is_no_wait():
    assert utilisation(CANDIDATES) == {0: 1.0, 1: pytest.approx(6 / 7)}
    assert utilisation([]) == {}


def test_the_timeline_has_each_ended_candidate_where_it_was():
    assert timeline(CANDIDATES) == [
        Bar(1, 0, "done", 0.0, pytest.approx(0.1), 0.0),
        Bar(2, 1, "done", 0.0, pytest.approx(0.05), 0.0),
        Bar(3, 1, "failed", pytest.approx(4 / 60), pytest.approx(0.05), pytest.approx(1 / 60)),
    ]
    assert timeline([]) == []


def test_the_picture_has_a_bar_and_a_wait_for_each():
    (axis,) = timeline_figure(timeline(CANDIDATES)).axes
    boxes = [len(collection.get_paths()) for collection in axis.collections]
    assert boxes == [2, 1, 0, 0, 3] and list(axis.get_yticks()) == [0, 1]  # done, failed, …, waits
