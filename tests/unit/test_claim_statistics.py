"""The statistics of docs/claim.md, on data for which the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.interpolate import CubicSpline

from benchmarks.claim_statistics import (
    Effect,
    corrected,
    effect,
    jackknife_error,
    matched_difference,
    natural_spline,
    regression_difference,
    without_each,
)


def networks(gain: float, slope: float, seed: int = 0) -> pd.DataFrame:
    """Generate networks whose outcome depends on the arm and, by ``slope``, on the test error."""
    rng = np.random.default_rng(seed)
    rows = []
    for data in ("a", "b"):
        for number in range(5):
            for arm in ("error", "activations", "random"):
                worse = 0.01 * (arm == "activations")  # the arm's networks have higher errors
                for error in rng.uniform(0.1, 0.13, 4) + worse:
                    value = slope * error + rng.normal() + gain * (arm == "activations")
                    rows.append((data, number, arm, error, value))
    found = pd.DataFrame(rows, columns=["data", "seed", "arm", "error", "outcome"])
    return found.assign(genotype=[f"cell {number}" for number in range(len(found))])


def compared(rows: pd.DataFrame) -> Effect:
    return effect(rows, "outcome", "activations", "error")


def test_a_large_effect_is_found_in_both_ways() -> None:
    found = compared(networks(gain=3.0, slope=0.0))
    for low, high in (found.interval(), found.matched_interval):
        assert low < 3 < high
    assert found.statement == "better"
    assert found.networks == 40


def test_a_difference_in_error_alone_is_no_effect() -> None:
    # The arm's errors are 1 point higher, which alone changes the outcome by -2.
    found = compared(networks(gain=0.0, slope=-200.0))
    assert abs(found.matched) < 1
    low, high = found.interval()
    assert low < 0 < high


def test_matches_are_the_nearest_controls_of_the_same_data_set() -> None:
    rows = pd.DataFrame(
        {
            "data": ["a", "a", "a", "b", "a"],
            "error": [0.100, 0.104, 0.096, 0.100, 0.2],
            "y": [5.0, 1.0, 2.0, 100.0, 7.0],
        }
    )
    is_arm = np.array([True, False, False, False, True])
    weights = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [2, 0, 1, 1, 1]], float)
    found, number = matched_difference(rows, is_arm, weights)
    assert number == 1  # the last network has no control within a percentage point
    assert found == pytest.approx([5 - 1.5, 5 - 1, 5 - 2])


def test_the_regression_agrees_with_least_squares() -> None:
    rows = networks(gain=1.0, slope=-10.0)
    both = rows[rows.arm != "random"].rename(columns={"outcome": "y"}).reset_index(drop=True)
    is_arm = (both.arm == "activations").to_numpy()
    counts = np.random.default_rng(2).integers(0, 3, (1, len(both)))
    found = regression_difference(both, is_arm, counts.astype(float))
    columns = [is_arm.astype(float)]
    for data in ("a", "b"):
        own = (both.data == data).to_numpy()
        spline = natural_columns(both.error[own].to_numpy())
        for column in spline:
            full = np.zeros(len(own))
            full[own] = column
            columns.append(full)
    repeated = np.repeat(np.arange(len(both)), counts[0])
    design = np.stack(columns, axis=1)[repeated]
    wanted = np.linalg.lstsq(design, both.y.to_numpy()[repeated], rcond=None)[0]
    assert found[0] == pytest.approx(wanted[0], abs=1e-6)


def natural_columns(x: np.ndarray) -> list[np.ndarray]:
    """Return a basis of natural cubic splines, made by SciPy, with the same knots."""
    knots = np.quantile(x, np.linspace(0, 1, 4))
    return [CubicSpline(knots, unit, bc_type="natural")(x) for unit in np.eye(4)]


def test_a_spline_spans_what_scipy_does() -> None:
    x = np.sort(np.random.default_rng(3).uniform(0, 5, 30))
    own, other = np.stack(list(natural_spline(x)), 1), np.stack(natural_columns(x), 1)
    assert np.linalg.matrix_rank(own) == 4
    assert np.linalg.matrix_rank(np.hstack([own, other])) == 4


def test_errors_agree_with_a_test_of_means() -> None:
    # Without one cluster at a time, the mean of clusters has the usual standard error.
    values = np.random.default_rng(5).normal(1, 1, 12)
    weights = without_each(np.arange(12))
    means = weights @ values / weights.sum(axis=1)
    error = jackknife_error(means)
    found = Effect("a", "o", values.mean(), error, clusters=12)
    known = stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(known.pvalue)
    assert found.interval() == pytest.approx(tuple(known.confidence_interval()))


def test_intervals_hold_their_level_with_ten_clusters() -> None:
    def false_alarm(seed: int) -> bool:
        rows = networks(gain=0.0, slope=0.0, seed=seed)
        cluster = rows.groupby(["data", "seed"]).ngroup()
        shared = np.random.default_rng([seed, 1]).normal(size=(10, 3))
        arm = rows.arm.map({"error": 0, "activations": 1, "random": 2})
        rows["outcome"] += 2 * shared[cluster, arm]  # networks of a search are alike
        return compared(rows).p < 0.05

    alarms = sum(false_alarm(seed) for seed in range(50))
    assert stats.binomtest(alarms, 50, 0.05, alternative="greater").pvalue > 0.01


def test_holms_correction_widens_intervals_less_and_less() -> None:
    plain = Effect("a", "o", 1, matched=1, clusters=20)
    wanted = (0.2, 0.001, 0.0025, 0.04)
    errors = [1 / stats.t.isf(p / 2, 19) for p in wanted]
    effects = corrected([replace(plain, error=error) for error in errors])
    assert [each.p for each in effects] == pytest.approx(wanted)
    tests = (16, 18, 17, 16)  # the third effect in order is not significant
    for each, number in zip(effects, tests, strict=True):
        assert each.corrected == pytest.approx(each.interval(0.05 / number))


def test_effects_with_few_clusters_do_not_count_as_significant() -> None:
    few = Effect("a", "o", 9, 0.1, 9, clusters=5)
    many = replace(few, clusters=20)
    assert corrected([few, many])[1].corrected == pytest.approx(many.interval(0.05 / 18))


def test_equal_networks_are_no_effect_and_counted() -> None:
    rows = networks(gain=0.0, slope=0.0)
    rows = rows[rows.arm != "activations"]
    same = rows[rows.arm == "error"].assign(arm="activations")
    found = compared(pd.concat([rows, same]))
    assert found.matched == 0 == found.matched_error
    assert [found.value, *found.interval()] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.statement == "no effect of interest"
    assert found.same == 40


def test_data_sets_without_differences_among_random_networks_are_left_out() -> None:
    rows = networks(gain=3.0, slope=0.0)
    rows.loc[(rows.data == "a") & (rows.arm == "random"), "outcome"] = 0.0
    found = compared(rows)
    assert (found.clusters, found.networks) == (5, 20)
    assert found.statement == "undecided"  # however large: too few clusters


def test_clusters_without_the_arm_do_not_count() -> None:
    rows = networks(gain=3.0, slope=0.0)
    rows = rows[(rows.arm != "activations") | (rows.seed < 3)]
    assert compared(rows).clusters == 6


def test_an_outcome_without_numbers_is_not_measured() -> None:
    rows = networks(gain=3.0, slope=0.0)
    rows.loc[rows.arm == "activations", "outcome"] = np.nan
    found = compared(rows)
    assert (found.statement, found.networks) == ("not measured", 0)
    assert np.isnan(found.value)


def test_networks_without_a_known_error_are_left_out() -> None:
    rows = networks(gain=3.0, slope=0.0)
    rows.loc[0, "error"] = np.nan
    assert compared(rows).value == pytest.approx(3, abs=0.7)


@pytest.mark.parametrize(
    ("value", "half", "matched", "statement"),
    [
        (0.8, 0.7, 0.7, "better"),
        (0.4, 0.3, 0.4, "undecided"),
        (0.1, 0.3, 0.1, "no effect of interest"),
        (-0.6, 0.5, -0.5, "worse"),
        (-0.3, 0.1, -0.2, "no effect of interest"),
        (0.1, 0.3, -0.1, "no effect of interest"),
        (0.8, 0.7, -0.1, "undecided"),
        (0.8, 0.7, np.nan, "undecided"),
    ],
)
def test_statements_follow_the_plan(
    value: float, half: float, matched: float, statement: str
) -> None:
    error = half / stats.t.isf(0.05 / 18 / 2, 19)
    found = Effect("a", "o", value, error, matched, clusters=20)
    assert found.statement == statement
    assert corrected([found])[0].statement == statement
