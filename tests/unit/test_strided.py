"""Convolutions of 1x1 with strides: Keras' outputs, and the gradients that arithmetic gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.conftest import left_to_all
from xnas_tf.keras_tools.strided_convolution import avoid_strided_1x1

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
@pytest.mark.parametrize("channels", [1, 3, 8, *left_to_all(2, 4, 5, 6, 7)])
def test_outputs_are_keras_own_and_gradients_those_of_float64(channels, strides, padding):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(channels)
    images = rng.normal(size=(5, SIZE, SIZE, channels)).astype(np.float32)
    model = strided(channels, strides, padding)
    before = model(images).numpy()
    avoid_strided_1x1(model)
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


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A layer with such a convolution inside."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = layers.Conv2D(8, 1, 2, name="strided")

    def call(self, inputs):
        return self.inner(inputs)


def test_a_convolution_inside_a_layer_is_found():
    inputs = keras.Input((SIZE, SIZE, 2))
    model = keras.Model(inputs, Block()(inputs))
    images = np.random.default_rng(0).normal(size=(5, SIZE, SIZE, 2)).astype(np.float32)
    avoid_strided_1x1(model)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(images) ** 2) / 2
    got = tape.gradient(total, kernel_of(model))[0, 0]
    places = images[:, ::2, ::2].astype(np.float64)
    outputs = model(images).numpy().astype(np.float64)
    expected = np.einsum("bijc,bijd->cd", places, outputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_groups_stay_groups_and_what_is_saved_is_plain_keras(tmp_path):
    model = strided(4, 2, groups=2)
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 4), np.float32)
    before = model(images)
    avoid_strided_1x1(model).save(tmp_path / "model.keras")
    np.testing.assert_allclose(model(images), before, atol=1e-6)
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "model.keras")(images), before, atol=1e-6
    )


def test_other_convolutions_are_left_alone():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, 2), layers.Conv2D(2, 1)])
    avoid_strided_1x1(model)
    assert not any("convolution_op" in vars(layer) for layer in model.layers)
