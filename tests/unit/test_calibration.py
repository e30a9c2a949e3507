"""Calibration of classifiers: known by analysis."""

import numpy as np
import pytest

from xnas_tf.training.calibration import calibration


@pytest.mark.parametrize("right", [0, 3, 8, 10])
def test_with_one_confidence_it_is_the_distance_from_the_accuracy(right):
    probabilities = np.tile([0.8, 0.2], (10, 1))
    labels = np.where(np.arange(10) < right, 0, 1)
    found = calibration(probabilities, labels)
    assert found["error"] == pytest.approx(abs(0.8 - right / 10))
    assert found["confidence"] == pytest.approx(0.8)


def test_labels_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 20_000)
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    assert calibration(probabilities, labels)["error"] < 0.02
    assert (
        calibration(probabilities**4 / (probabilities**4).sum(1, keepdims=True), labels)["error"]
        > 0.1
    )


def test_without_images_it_is_unknown():
    assert calibration(np.zeros((0, 3)), np.zeros(0, int)) is None
