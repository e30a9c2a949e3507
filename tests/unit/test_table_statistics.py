"""The statistics of docs/benchmarks/findings.md, on data for which the answer is known."""

from __future__ import annotations

import moocore
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from benchmarks.table_statistics import (
    bootstrap,
    fronts,
    operation_effects,
    partial_spearman,
    reliability,
    spearman,
)
from xnas_tf.spaces.cells import EDGES, OPERATIONS

SMALL = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(SMALL)
def test_fronts_agree_with_moocore(points: list[tuple[int, int]]) -> None:
    error, value = np.array(points, float).T
    found = fronts(pd.Series(error), pd.Series(value))
    costs = np.column_stack([error, -value])
    wanted = {tuple(row) for row in costs[moocore.is_nondominated(costs)]}
    assert {tuple(row) for row in costs[found]} == wanted
    assert found.sum() == len(wanted)  # one of several equal networks


def test_networks_without_a_value_are_never_on_the_front() -> None:
    found = fronts(pd.Series([0.1, 0.2, 0.05]), pd.Series([1.0, np.nan, np.nan]))
    assert found.tolist() == [True, False, False]


def test_partial_correlation_is_that_of_residuals() -> None:
    rng = np.random.default_rng(0)
    given_ = rng.normal(size=200)
    one, other = given_ + rng.normal(size=200), rng.normal(size=200) - 2 * given_
    ranks = [rankdata(each) for each in (one, other, given_)]
    slope = [np.polyfit(ranks[2], each, 1) for each in ranks[:2]]
    rest = [each - np.polyval(fit, ranks[2]) for each, fit in zip(ranks[:2], slope, strict=True)]
    wanted = np.corrcoef(*rest)[0, 1]
    assert partial_spearman(one, other, given_) == pytest.approx(wanted)
    assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)


def test_intervals_cover_the_value_and_skip_missing_numbers() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=300)
    other = one + rng.normal(size=300)
    other[:10] = np.nan
    found = bootstrap(spearman, [one, other], rng)
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(spearmanr(one[10:], other[10:]).statistic)


def test_reliability_of_signal_and_noise() -> None:
    rng = np.random.default_rng(2)
    signal = rng.normal(size=(2000, 1))
    equal, of_mean = reliability(pd.DataFrame(signal + rng.normal(size=(2000, 3))), rng)
    assert equal.value == pytest.approx(0.5, abs=0.05)  # half of the variance is signal
    assert of_mean == pytest.approx(0.75, abs=0.05)
    noise, _ = reliability(pd.DataFrame(rng.normal(size=(2000, 2))), rng)
    assert noise.low < 0 < noise.high


def test_an_operation_that_raises_a_measure_is_found_at_equal_error() -> None:
    rng = np.random.default_rng(3)
    chosen = rng.integers(0, len(OPERATIONS), (3000, len(EDGES)))
    has_pool = chosen[:, 2] == OPERATIONS.index("avg_pool_3x3")
    has_conv = chosen[:, 4] == OPERATIONS.index("nor_conv_3x3")
    error = pd.Series(rng.normal(size=3000) - 2.0 * has_conv)
    values = pd.Series(rng.normal(size=3000) + 2.0 * has_pool - error)  # the error lowers it too
    effects = operation_effects(chosen, values, error)
    edge, operation = np.unravel_index(effects.argmax(), effects.shape)
    assert (edge, OPERATIONS[operation]) == (2, "avg_pool_3x3")
    others = np.delete(effects, 2, axis=0)
    assert np.abs(others).max() < effects.max() / 4  # nor_conv_3x3 acts through the error alone
