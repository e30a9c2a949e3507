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

IMAGES = 720


def simulated(rng: np.random.Generator) -> pd.DataFrame:
    """Generate networks whose outcome depends on the true error alone, which the arm raises."""
    mean = {"error": 0.030, "activations": 0.042, "random": 0.036}
    rows = []
    for data in ("a", "b", "c", "d"):
        for arm, level in mean.items():
            for number, true in enumerate(rng.normal(level, 0.008, 200).clip(0.005)):
                measured = rng.binomial(IMAGES, true) / IMAGES
                outcome = -100 * true + rng.normal() / 2
                rows.append((data, number % 5, arm, true, measured, outcome))
    return pd.DataFrame(rows, columns=["data", "seed", "arm", "true", "error", "outcome"])


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
    found = calibrated(rows, dict.fromkeys("abcd", IMAGES))
    matched, fitted = effects(rows.assign(error=found))
    assert abs(matched) < 0.25
    assert abs(fitted) < 0.15


def test_expected_errors_are_nearer_to_the_true_ones() -> None:
    rows = simulated(np.random.default_rng(1))
    found = calibrated(rows, dict.fromkeys("abcd", IMAGES))
    assert (found - rows.true).std() < 0.8 * (rows.error - rows.true).std()
    by_arm = rows.assign(found=found).groupby("arm")[["found", "error"]].mean()
    assert by_arm.found.to_numpy() == pytest.approx(by_arm.error.to_numpy())


def test_differences_below_the_noise_count_as_noise() -> None:
    rows = pd.DataFrame({"data": "a", "arm": "error", "error": [0.040, 0.041, 0.042]})
    assert calibrated(rows, {"a": IMAGES}).tolist() == pytest.approx([0.041] * 3)
