"""LIME's local models in benchmarks/lime_fidelity.py, on classifiers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.lime_fidelity import PATCH, lime_fidelity, part_means


def images(rng: np.random.Generator, count: int = 6) -> np.ndarray:
    return rng.integers(0, 256, (count, 4 * PATCH, 3 * PATCH, 1)).astype(np.uint8)


def test_a_linear_classifier_is_predicted_always() -> None:
    rng = np.random.default_rng(0)
    given = images(rng)
    weights = rng.normal(size=(given[0].size, 3))
    weights -= weights.mean(axis=0)

    def predict(batch: np.ndarray) -> np.ndarray:
        return batch.reshape(len(batch), -1) @ weights / 1e4

    assert lime_fidelity(predict, given, rng) == 1


def test_a_classifier_that_looks_at_single_images_only_is_not_predicted() -> None:
    rng = np.random.default_rng(0)
    given = images(rng)
    known = {image.tobytes() for image in given}

    def predict(batch: np.ndarray) -> np.ndarray:
        is_known = np.array([image.tobytes() in known for image in batch])
        return np.column_stack([is_known, ~is_known]).astype(float)

    assert lime_fidelity(predict, given, rng) == 0


def test_a_hidden_part_has_the_mean_of_its_pixels() -> None:
    image = images(np.random.default_rng(1))[0]
    means = part_means(image)
    assert means.shape == image.shape and means.dtype == np.uint8
    part = image[PATCH : 2 * PATCH, :PATCH, 0]
    assert (means[PATCH : 2 * PATCH, :PATCH, 0] == round(float(part.mean()))).all()
    assert means.mean() == pytest.approx(image.mean(), abs=0.5)
