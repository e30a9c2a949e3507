"""Pooling to a grid, against Keras' own layer where there is one and against plain means."""

import keras
import numpy as np
import pytest

from xnas_tf.interpretation.flint.networks import grid_means, pooled_to_grid

SHAPES = [(7, 5, 3, 3), (3, 3, 3, 3), (8, 2, 3, 2), (14, 9, 3, 3)]


@pytest.mark.parametrize(("height", "width", "rows", "columns"), SHAPES)
def test_cells_are_means_of_what_they_cover(height, width, rows, columns):
    images = np.random.default_rng(0).normal(size=(2, height, width, 4)).astype(np.float32)
    ours = grid_means(images, (rows, columns))
    theirs = pooled_to_grid(images, (rows, columns))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    corner = images[:, : -(-height // rows), : -(-width // columns)].mean(axis=(1, 2))
    np.testing.assert_allclose(ours[:, 0, 0], corner, rtol=1e-4, atol=1e-5)


def test_it_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((7, 5, 2))
    model = keras.Model(inputs, grid_means(inputs, (3, 2)))
    assert model.output_shape == (None, 3, 2, 2)
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((1, 7, 5, 2), np.float32)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images))
    np.testing.assert_allclose(model(images), grid_means(images, (3, 2)), rtol=1e-6)
