"""Convolutions of 1x1 with strides: Keras' outputs, and the gradients that arithmetic gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from xnas_tf.keras_tools.strided_convolution import compute_at_positions

SIZE = 7


def strided(channels, strides, padding="same", groups=1):
    inputs = keras.Input((SIZE, SIZE, channels))
    inner = keras.Sequential(
        [inputs, layers.Conv2D(8, 1, strides, padding=padding, groups=groups, name="strided")]
    )
    return keras.Model(inputs, layers.ReLU()(inner(inputs)))


def kernel_of(model):
    return next(v for v in model.trainable_variables if v.name == "kernel").value


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [2, 3, (1, 2)])
@pytest.mark.parametrize("channels", range(1, 9))
def test_outputs_are_keras_own_and_gradients_those_of_float64(channels, strides, padding):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(channels)
    images = rng.normal(size=(5, SIZE, SIZE, channels)).astype(np.float32)
    model = strided(channels, strides, padding)
    before = model(images).numpy()
    compute_at_positions(model)
    weights = rng.normal(size=before.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        outputs = model(images)
        total = tf.reduce_sum(outputs * weights)
    np.testing.assert_allclose(outputs, before, rtol=1e-5, atol=1e-6)
    got = tape.gradient(total, kernel_of(model))[0, 0]
    high, wide = (strides, strides) if isinstance(strides, int) else strides
    places = images[:, ::high, ::wide].astype(np.float64)
    expected = np.einsum("bijc,bijd->cd", places, np.where(before > 0, weights, 0.0))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_groups_stay_groups_and_what_is_saved_is_plain_keras(tmp_path):
    model = strided(4, 2, groups=2)
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 4), np.float32)
    before = model(images)
    compute_at_positions(model).save(tmp_path / "model.keras")
    np.testing.assert_allclose(model(images), before, atol=1e-6)
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "model.keras")(images), before, atol=1e-6
    )


def test_other_convolutions_are_left_alone():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, 2), layers.Conv2D(2, 1)])
    compute_at_positions(model)
    assert not any("convolution_op" in vars(layer) for layer in model.layers)
