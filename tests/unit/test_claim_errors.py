"""The correction for the noise of measured errors, on simulated networks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.claim_errors import calibrated
from benchmarks.claim_statistics import (
    matched_difference,
    regression_difference,
    standardized,
)

IMAGES = 360
"""Number of images in each split."""


def simulated(rng: np.random.Generator, hard: float = 0.0) -> pd.DataFrame:
    """Generate networks whose outcome depends on the true error alone, which the arm raises.

    A share of each network's true error, ``hard``, is due to images on which all networks fail.
    """
    mean = {"error": 0.030, "activations": 0.042, "random": 0.036}
    rows = []
    for data in ("a", "b", "c", "d"):
        failures = rng.binomial(IMAGES, hard * 0.036, 2) / IMAGES
        for arm, level in mean.items():
            for number, true in enumerate(rng.normal(level, 0.008, 200).clip(0.005)):
                own = max(true - hard * 0.036, 0)
                measured = failures + rng.binomial(IMAGES, own, 2) / IMAGES
                outcome = -100 * true + rng.normal() / 2
                rows.append((data, number % 5, arm, true, *measured, outcome))
    names = ["data", "seed", "arm", "true", "validation_error", "test_error", "outcome"]
    found = pd.DataFrame(rows, columns=names)
    return found.assign(error=(found.validation_error + found.test_error) / 2)


def effects(rows: pd.DataFrame) -> np.ndarray:
    """Return the effects by matching and by regression."""
    both = standardized(rows, "outcome").query("arm != 'random'")
    is_arm, once = (both.arm == "activations").to_numpy(), np.ones((1, len(both)))
    matched, _ = matched_difference(both, is_arm, once)
    return np.array([matched[0], regression_difference(both, is_arm, once)[0]])


def test_the_correction_removes_most_of_the_bias() -> None:
    rows = simulated(np.random.default_rng(0))
    # The arm has no effect at equal true error, but seems to have one at equal measured error.
    assert (effects(rows) < -0.3).all()
    matched, fitted = effects(rows.assign(error=calibrated(rows)))
    assert abs(matched) < 0.25
    assert abs(fitted) < 0.15


def test_images_that_are_hard_for_all_networks_are_no_noise() -> None:
    rows = simulated(np.random.default_rng(2), hard=0.5)
    found = calibrated(rows)
    group = rows.groupby(["data", "arm"])
    shrunk = group.error.var() / found.groupby([rows.data, rows.arm]).var()
    true = group.error.var() / group.true.var()
    assert shrunk.mean() == pytest.approx(true.mean() ** 2, rel=0.1)
    assert effects(rows.assign(error=found))[1] == pytest.approx(0, abs=0.15)


def test_expected_errors_are_nearer_to_the_true_ones() -> None:
    rows = simulated(np.random.default_rng(1))
    found = calibrated(rows)
    assert (found - rows.true).std() < 0.8 * (rows.error - rows.true).std()
    by_arm = rows.assign(found=found).groupby("arm")[["found", "error"]].mean()
    assert by_arm.found.to_numpy() == pytest.approx(by_arm.error.to_numpy())


def test_differences_below_the_noise_count_as_noise() -> None:
    splits = {"validation_error": [0.040, 0.041, 0.030], "test_error": [0.040, 0.040, 0.050]}
    rows = pd.DataFrame({"data": "a", "arm": "error", **splits})
    assert calibrated(rows).tolist() == pytest.approx([0.2410 / 6] * 3)
