"""The statistics of docs/claim.md, on data for which the answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

from benchmarks import claim_statistics
from benchmarks.claim_statistics import (
    Effect,
    corrected,
    effect,
    matched_difference,
    natural_spline,
    regression_difference,
)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_statistics, "RESAMPLES", 400)


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
    found = effect(rows, "outcome", "activations", "error", np.random.default_rng(1))
    assert found
    return found


def test_a_large_effect_is_found_in_both_ways() -> None:
    found = compared(networks(gain=3.0, slope=0.0))
    assert found.low < 3 < found.high
    assert found.matched_low < 3 < found.matched_high
    assert found.statement == "better"
    assert found.networks == 40


def test_a_difference_in_error_alone_is_no_effect() -> None:
    # The arm's errors are 1 point higher, which alone changes the outcome by -2.
    found = compared(networks(gain=0.0, slope=-200.0))
    assert abs(found.matched) < 1
    assert found.low < 0 < found.high


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


def test_holms_correction_widens_intervals_less_and_less() -> None:
    samples = np.random.default_rng(4).normal(1, 1, 5000)
    plain = Effect("a", "o", 1, 0, 0, 0.5, 1, 0, 0, 1, 1, 0, 20, samples)
    effects = corrected([replace(plain, p=p) for p in (0.2, 0.001, 0.0025, 0.04)])
    tails = [0.05 / m / 2 for m in (16, 18, 17, 16)]  # the third effect in order is not significant
    for each, tail in zip(effects, tails, strict=True):
        assert each.corrected == pytest.approx(np.quantile(samples, [tail, 1 - tail]))


def test_equal_networks_are_no_effect_and_counted() -> None:
    rows = networks(gain=0.0, slope=0.0)
    rows = rows[rows.arm != "activations"]
    same = rows[rows.arm == "error"].assign(arm="activations")
    found = compared(pd.concat([rows, same]))
    assert found.matched == 0 == found.matched_low == found.matched_high
    assert [found.value, found.low, found.high] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.same == 40


def test_data_sets_without_differences_among_random_networks_are_left_out() -> None:
    rows = networks(gain=3.0, slope=0.0)
    rows.loc[(rows.data == "a") & (rows.arm == "random"), "outcome"] = 0.0
    found = compared(rows)
    assert (found.clusters, found.networks) == (5, 40)
    assert found.statement == "undecided"  # however large: too few clusters


@pytest.mark.parametrize(
    ("value", "ends", "matched", "statement"),
    [
        (0.8, (0.1, 1.5), 0.7, "better"),
        (0.4, (0.1, 0.7), 0.4, "undecided"),
        (0.1, (-0.3, 0.4), 0.1, "no effect of interest"),
        (-0.6, (-1.0, -0.1), -0.5, "worse"),
        (-0.3, (-0.4, -0.1), -0.2, "no effect of interest"),
        (0.1, (-0.3, 0.4), -0.1, "no effect of interest"),
        (0.8, (0.1, 1.5), -0.1, "undecided"),
    ],
)
def test_statements_follow_the_plan(
    value: float, ends: tuple[float, float], matched: float, statement: str
) -> None:
    samples = np.linspace(*ends, 1000)
    found = Effect("a", "o", value, 0, 0, 0, matched, 0, 0, 1, 1, 0, 20, samples, ends)
    assert found.statement == statement
