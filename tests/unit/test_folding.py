"""Folded normalisation is the same function, and its gradient the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.attribution.folding import folded_batch_norm

L = keras.layers


def network(conv, norm, between=()):
    inputs = keras.Input((7, 6, 2))
    x = inputs
    for layer in [L.Conv2D(3, 3, **conv), *between, L.BatchNormalization(**norm)]:
        x = layer(x)
    shared = L.Conv2D(4, 1, use_bias=False)  # its output is used twice
    y = shared(L.ReLU()(x))
    x = L.Add()([L.BatchNormalization()(y), y])
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


def gradients(model, images, folded):
    @tf.function
    def both(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            if folded:
                with folded_batch_norm(model):
                    outputs = model(images, training=False)
            else:
                outputs = model(images, training=False)
        return outputs, tape.gradient(outputs, images)

    graph = both.get_concrete_function(tf.TensorSpec(images.shape)).graph
    types = [operation.type for operation in graph.get_operations()]
    return *(part.numpy() for part in both(images)), types.count("BiasAdd")


@pytest.mark.parametrize(
    ("conv", "norm", "between"),
    [
        ({"use_bias": False}, {}, ()),
        ({"strides": 2, "padding": "same"}, {"center": False}, ()),
        ({"dilation_rate": 2}, {"scale": False}, ()),
        ({"activation": "tanh"}, {}, ()),
        ({}, {"axis": 1}, ()),
        ({}, {}, (L.ReLU(),)),
    ],
    ids=str,
)
def test_outputs_and_gradients_are_the_same(conv, norm, between):
    keras.utils.set_random_seed(0)
    model = network(conv, norm, between)
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.5, w.shape) for w in model.get_weights()])
    images = rng.normal(size=(4, 7, 6, 2)).astype(np.float32)
    plain, folded = (gradients(model, images, which) for which in (False, True))
    for one, other in zip(plain[:2], folded[:2], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert folded[2] > plain[2]  # the second normalisation can always be folded
    np.testing.assert_allclose(model(images), plain[0], atol=1e-5)  # nothing was left behind


def test_training_is_not_folded():
    keras.utils.set_random_seed(0)
    model = network({}, {})
    before = model.layers[2].moving_mean.numpy()
    with folded_batch_norm(model):
        model(np.ones((4, 7, 6, 2), np.float32), training=True)
    assert not np.allclose(model.layers[2].moving_mean, before)
