"""Percentages are rounded in the same way everywhere."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnas_tf.interpretation.expert_page import percent, share
from xnas_tf.utils.number_format import percent_range, percent_text


@pytest.mark.parametrize("shown", [percent_text, percent, share])
def test_halves_are_rounded_up_as_in_the_javascript_of_a_report(shown):
    """JavaScript's (96.25).toFixed(1) is 96.3, and Python's is 96.2."""
    assert shown(77 / 80) == "96.3%"
    assert [shown(value) for value in (0.0, 0.5, 1)] == ["0.0%", "50.0%", "100.0%"]


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_percentage_is_the_nearest_one(pair):
    exact = 100 * Fraction(*pair)
    for decimals in (0, 1, 2):
        shown = Fraction(percent_text(pair[0] / pair[1], decimals).rstrip("%"))
        assert abs(shown - exact) <= Fraction(1, 2 * 10**decimals) + Fraction(1, 10**9)


def test_ranges():
    assert percent_range(0.88758, 0.95706) == "88.8% to 95.7%"
