"""Analytic oracles: models on which the right attribution is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from xnas_tf.attribution import GradCAM, IntegratedGradients, activations
from xnas_tf.attribution.models import ends_in_softmax, logits_model
from xnas_tf.errors import RunError


def linear_model(seed=0, softmax=True):
    inputs = keras.Input((5, 4, 2))
    x = keras.layers.Flatten()(inputs)
    activation = "softmax" if softmax else None
    model = keras.Model(inputs, keras.layers.Dense(3, activation=activation)(x))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("steps", [1, 8])
@pytest.mark.parametrize("softmax", [True, False])
def test_integrated_gradients_of_a_linear_model_are_weight_times_input(steps, softmax):
    model = linear_model(softmax=softmax)
    images = np.random.default_rng(1).normal(size=(16, 5, 4, 2)).astype(np.float32)
    kernel, _ = model.get_weights()
    predicted = model(images).numpy().argmax(axis=1)
    assert len(set(predicted)) > 1
    right = (images.reshape(16, -1) * kernel[:, predicted].T).reshape(images.shape).sum(axis=-1)
    maps = IntegratedGradients(model, steps)(tf.constant(images)).numpy()
    np.testing.assert_allclose(maps, right, atol=1e-5)


def test_integrated_gradients_are_complete_where_the_model_is_smooth():
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, activation="tanh")(inputs)
    x = keras.layers.Flatten()(x)
    keras.utils.set_random_seed(3)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    images = np.random.default_rng(2).random((5, 6, 6, 1), np.float32)
    logits, black = model(images).numpy(), model(np.zeros_like(images)).numpy()
    predicted = logits.argmax(axis=1)
    change = (logits - black)[np.arange(5), predicted]
    errors = [
        np.abs(
            IntegratedGradients(model, n)(tf.constant(images)).numpy().sum((1, 2)) - change
        ).max()
        for n in (4, 64)
    ]
    assert errors[1] < 1e-4 and errors[1] < errors[0]


def patch_model():
    """Says class 1 where the brightness of some 3x3 patch exceeds a threshold."""
    inputs = keras.Input((12, 12, 1))
    x = keras.layers.Conv2D(1, 3, padding="same", activation="relu", name="patch")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))
    model.set_weights(
        [np.ones((3, 3, 1, 1)), np.array([-4.0]), np.array([[-50.0, 50.0]]), np.array([0.1, 0.0])]
    )
    return model


def test_grad_cam_puts_its_maximum_on_the_decisive_patch():
    images = np.zeros((4, 12, 12, 1), np.float32)
    corners = [(0, 0), (2, 7), (8, 3), (9, 9)]
    for image, (row, column) in zip(images, corners, strict=True):
        image[row : row + 3, column : column + 3] = 1
    maps = GradCAM(patch_model())(tf.constant(images)).numpy()
    for map_, (row, column) in zip(maps, corners, strict=True):
        assert np.unravel_index(map_.argmax(), map_.shape) == (row + 1, column + 1)
        assert map_.min() >= 0


def test_grad_cam_applies_the_relu_and_mixes_classes():
    """An empty image is class 0, against which the patch speaks: nothing positive is left."""
    images = np.zeros((2, 12, 12, 1), np.float32)
    images[1, 4:7, 4:7] = 1
    images[0, 0, 0] = 1  # below the threshold
    maps = GradCAM(patch_model())(tf.constant(images)).numpy()
    assert maps[0].max() == 0 and maps[1].max() > 0


def test_grad_cam_without_a_feature_map_is_an_error():
    with pytest.raises(RunError, match="Grad-CAM needs a layer"):
        GradCAM(linear_model())


@pytest.mark.parametrize("kind", ["layer", "activation", "dense", "none"])
def test_logits_are_what_comes_before_the_softmax(kind):
    inputs = keras.Input((4,))
    if kind == "dense":
        outputs = keras.layers.Dense(3, activation="softmax")(inputs)
    else:
        outputs = keras.layers.Dense(3)(inputs)
    if kind == "layer":
        outputs = keras.layers.Softmax()(outputs)
    if kind == "activation":
        outputs = keras.layers.Activation("softmax")(outputs)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(logits_model(model)(x), x @ kernel + bias, atol=1e-5)
    assert ends_in_softmax(model) == (kind != "none")


def test_activations_are_the_outputs_of_convolutions_and_activations():
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(2, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Activation("relu", name="relu")(x)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Activation("softmax")(x))
    outputs = activations(model)(tf.ones((2, 6, 6, 1)))
    assert [tuple(o.shape) for o in outputs] == [(2, 4, 4, 2)] * 2
    with pytest.raises(RunError, match="no convolution or activation layers"):
        activations(linear_model())
