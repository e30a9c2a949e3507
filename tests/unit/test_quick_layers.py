import keras
import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.keras_tools.average_pooling import (
    FEW_CHANNELS,
    average_pool_3x3,
    average_pool_3x3_gradient,
)
from xnas_tf.keras_tools.fused_layers import quick_layers


def build(**options):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    inner = keras.Sequential(
        [keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization(**options)]
    )
    x = keras.layers.BatchNormalization(epsilon=1e-5, **options)(inner(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def traced(model, fuse, batch=5):
    @tf.function(input_signature=[tf.TensorSpec((batch, 6, 6, 2))])
    def step(images):
        from contextlib import nullcontext

        with quick_layers(model) if fuse else nullcontext(), tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True) ** 2)
        return loss, tape.gradient(loss, model.trainable_variables)

    return step


@pytest.mark.parametrize("batch", [5, None])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"scale": False}, {"axis": 1}])
def test_fused_is_the_same_function_with_the_same_gradients_and_statistics(options, batch):
    images = tf.constant(np.random.default_rng(2).normal(size=(5, 6, 6, 2)), tf.float32)
    plain, fused = build(**options), build(**options)
    (loss, gradients), (fused_loss, fused_gradients) = (
        traced(m, f, batch)(images) for m, f in ((plain, False), (fused, True))
    )
    np.testing.assert_allclose(loss, fused_loss, rtol=1e-4)
    # A bias before batch normalisation has no gradient but rounding, so that what counts is
    # the error as a share of the largest gradient.
    scale = max(np.abs(g).max() for g in gradients)
    for one, other in zip(gradients, fused_gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * scale)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_it_really_is_one_operation_and_the_layers_stay_ordinary():
    model = build()
    graph = traced(model, True).get_concrete_function().graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 2
    assert "Size" not in kinds  # of known shapes
    assert {type(layer) for layer in model.layers if "batch" in layer.name} == {
        keras.layers.BatchNormalization
    }


def numbers(channels, side, seed):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.normal(size=(3, side, side, channels)), tf.float32)


def pooled(channels, side):
    """A pooling layer's gradient by TensorFlow and by the quick way, and the quick graph."""
    layer = keras.layers.AveragePooling2D(3, strides=1, padding="same")
    inputs = keras.Input((side, side, channels))
    model = keras.Model(inputs, layer(inputs))
    x, weights = numbers(channels, side, 1), numbers(channels, side, 2)

    def gradient(x, weights):
        with quick_layers(model), tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(weights * model(x, training=True))
        return tape.gradient(total, x)

    quick = tf.function(gradient).get_concrete_function(x, weights)
    usual = tf.raw_ops.AvgPoolGrad(
        orig_input_shape=x.shape, grad=weights, ksize=[1, 3, 3, 1], strides=[1] * 4, padding="SAME"
    )
    return usual.numpy(), quick(x, weights).numpy(), quick.graph


@pytest.mark.parametrize("channels", [1, 8, 15, 16, 20])
@pytest.mark.parametrize("side", [1, 2, 7])
def test_the_quick_gradient_of_average_pooling_is_tensorflows(channels, side):
    usual, quick, graph = pooled(channels, side)
    np.testing.assert_allclose(quick, usual, rtol=1e-5, atol=1e-6)
    kinds = {operation.type for operation in graph.get_operations()}
    assert ("AvgPoolGrad" in kinds) == (channels >= FEW_CHANNELS)


@pytest.mark.parametrize("channels", [8, 16])
def test_so_is_that_of_a_graph_which_does_not_know_the_channels(channels):
    usual, _, _ = pooled(channels, 7)
    weights = numbers(channels, 7, 2)
    unknown = tf.function(
        average_pool_3x3_gradient, input_signature=[tf.TensorSpec([None] * 4, tf.float32)]
    )
    np.testing.assert_allclose(unknown(weights), usual, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("other", [{"pool_size": 2}, {"strides": 2}, {"padding": "valid"}])
def test_another_pooling_is_left_to_keras(other):
    options = {"pool_size": 3, "strides": 1, "padding": "same"} | other
    inputs = keras.Input((6, 6, 2))
    model = keras.Model(inputs, keras.layers.AveragePooling2D(**options)(inputs))
    with quick_layers(model):
        assert type(model.layers[1]) is keras.layers.AveragePooling2D


def test_xla_compiles_the_quick_pooling():
    usual, _, _ = pooled(8, 7)
    compiled = tf.function(average_pool_3x3_gradient, jit_compile=True)
    np.testing.assert_allclose(compiled(numbers(8, 7, 2)), usual, rtol=1e-5, atol=1e-6)
    x, weights = numbers(8, 7, 1), numbers(8, 7, 2)

    @tf.function(jit_compile=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(weights * average_pool_3x3(x))
        return tape.gradient(total, x)

    np.testing.assert_allclose(gradient(x), usual, rtol=1e-5, atol=1e-6)
