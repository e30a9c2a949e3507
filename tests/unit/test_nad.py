"""Disentanglement of constructed networks on which the right paths are known."""

import keras
import numpy as np
import pytest

from xnas_tf.data import Dataset, Part
from xnas_tf.interpret.nad import disentangle

CLASSES = 3
NAMES = ("red", "green", "blue")
layers = keras.layers


def colours(count=48, size=6, seed=0) -> Dataset:
    """Images that are bright in the channel of their class alone."""
    rng = np.random.default_rng(seed)

    def part(number):
        labels = (np.arange(number) % CLASSES).astype(np.int32)
        images = np.zeros((number, size, size, CLASSES), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[..., label] = rng.integers(150, 256, (size, size))
        return Part(images, labels)

    return Dataset("colours", NAMES, part(count), part(30), part(30))


def weighted(model, weights):
    """Sets the kernels of a model's layers, in their order; all biases are zero."""
    for layer, kernel in zip([each for each in model.layers if each.weights], weights, strict=True):
        layer.set_weights([kernel.reshape(layer.get_weights()[0].shape)])
    return model


def disjoint_model():
    """Two channels for each class in each of two layers, and none that two classes use."""
    inputs = keras.Input((6, 6, CLASSES))
    x = layers.Conv2D(6, 1, use_bias=False, activation="relu", name="first")(inputs)
    x = layers.Conv2D(6, 1, use_bias=False, activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(CLASSES, use_bias=False, activation="softmax")(x)
    pairs = np.repeat(np.eye(CLASSES), 2, axis=1)
    kernels = [pairs, np.kron(np.eye(CLASSES), np.ones((2, 2))), 10 * pairs.T]
    return weighted(keras.Model(inputs, outputs), kernels)


def sharing_model():
    """Every channel is the sum of differently weighted colours: all classes need all of them."""
    inputs = keras.Input((6, 6, CLASSES))
    mixed = np.array([[3, 2, 1, 1], [1, 3, 2, 1], [1, 1, 3, 2]], float)
    x = layers.Conv2D(4, 1, use_bias=False, activation="relu", name="first")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(CLASSES, use_bias=False)(x)
    return weighted(keras.Model(inputs, outputs), [mixed, 20 * np.linalg.pinv(mixed)])


def masks_of(found):
    return [mask.astype(bool) for mask in found.paths.hard]


@pytest.mark.parametrize("beta", ["auto", 1.0])
def test_disjoint_paths_are_recovered_exactly(beta):
    model = disjoint_model()
    before = [w.copy() for w in model.get_weights()]
    found = disentangle(model, colours(), beta=beta, epochs=30)
    truth = np.repeat(np.eye(CLASSES, dtype=bool), 2, axis=1)
    for mask in masks_of(found):
        np.testing.assert_array_equal(mask, truth)
    assert found.paths.layers == ["first", "second"]
    np.testing.assert_array_equal(found.paths.similarity, np.eye(CLASSES))
    assert found.diversity == 1
    assert (found.hard.accuracy == 1).all() and (found.plain.accuracy == 1).all()
    assert (found.hits.by_class > 0.99).all()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_paths_that_all_classes_share_are_the_same():
    found = disentangle(sharing_model(), colours(), beta=0.02)
    assert all(mask.all() for mask in masks_of(found))
    np.testing.assert_array_equal(found.paths.similarity, np.ones((CLASSES, CLASSES)))
    assert found.diversity == 0
