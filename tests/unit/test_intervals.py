import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from xnas_tf.utils.intervals import (
    accuracy_interval,
    better_than_chance,
    clearly_higher,
    clearly_more,
)


@settings(deadline=None)
@given(st.integers(0, 2000), st.integers(1, 2000))
def test_the_interval_is_wilsons(correct, more):
    images = correct + more
    expected = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    low, accuracy, high = accuracy_interval(correct, images)
    assert (low, high) == pytest.approx(expected, abs=1e-12) and accuracy == correct / images


@given(st.tuples(*[st.integers(1, 300)] * 4))
def test_of_two_accuracies_at_most_one_is_clearly_higher(counts):
    first, more, second, others = counts
    a, b = first / (first + more), second / (second + others)
    higher = clearly_higher(a, first + more, b, second + others)
    lower = clearly_higher(b, second + others, a, first + more)
    assert not (higher and a <= b) and not (lower and b <= a)
    assert not clearly_higher(a, first + more, a, second + others)


def test_clear_differences_are_those_of_newcombe():
    """His table II, method 10: the interval begins at 0.0524, 0.1705, 0.0582 and -0.0381."""
    assert clearly_higher(56 / 70, 70, 48 / 80, 80)
    assert clearly_higher(9 / 10, 10, 3 / 10, 10)
    assert clearly_higher(6 / 7, 7, 2 / 7, 7)
    assert not clearly_higher(5 / 56, 56, 0 / 29, 29)


def test_without_images_nothing_is_known():
    assert accuracy_interval(0, 0) is None
    assert not better_than_chance(0, 0, 0)


@settings(deadline=None)
@given(st.integers(1, 500), st.data())
def test_who_answers_the_commonest_class_is_never_better_than_chance(images, data):
    commonest = data.draw(st.integers(1, images))
    assert not better_than_chance(commonest, images, commonest)
    assert not better_than_chance(math.nan, images, commonest)


def test_it_takes_more_than_luck():
    """Of 100 images with 50 of the commonest class, the lower end at 60 is 0.502, at 59 0.492."""
    assert better_than_chance(60, 100, 50) and not better_than_chance(59, 100, 50)
    assert better_than_chance(10, 10, 5) and not better_than_chance(2, 2, 1)


def test_one_is_clearly_more_accurate_only_if_luck_is_unlikely():
    """If seven images differ, luck gives all of them to the one classifier in 1 case of 128."""
    assert clearly_more(7, 0) and not clearly_more(6, 0)
    assert not clearly_more(0, 0) and not clearly_more(0, 50) and not clearly_more(50, 40)
    assert clearly_more(60, 30) and not clearly_more(30, 60)
