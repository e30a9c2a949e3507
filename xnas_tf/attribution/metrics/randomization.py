"""The sanity check by random weights: a map that stays the same does not show the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.metrics.scores import Scores, checked_images
from xnas_tf.attribution.metrics.stability import Explain
from xnas_tf.attribution.metrics.statistics import spearman
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import all_layers, inlined_calls, recorded_calls


@dataclass(frozen=True)
class RandomizationCheck:
    """What a cascade of randomisations did to the maps.

    Attributes:
        layers: The names of the layers that each stage randomised besides those before.
        correlations: Rank correlation of |map| with the original, (stages, N), float64.
    """

    layers: tuple[tuple[str, ...], ...]
    correlations: np.ndarray


def randomization(
    model: keras.Model,
    images: np.ndarray,
    method: Explain,
    targets: Targets = "predicted",
    *,
    rng: np.random.Generator,
    stages: int | None = None,
) -> RandomizationCheck:
    """Randomises a model's layers one after the other, from the output down, and compares maps.

    Adebayo et al. 2018 (arXiv 1810.03292, cascading randomisation). Kernels are
    drawn from a normal distribution with their own root mean square, which leaves signals
    their size; the values of vectors (biases, batch normalisation) are shuffled, so that
    variances stay positive. The class explained stays that of the intact model. Whatever
    happens, the model gets its weights back, bit for bit; nothing else may use it meanwhile.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), floats in the model's range.
        method: An attribution method, or a function that is called like one.
        targets: See ``Targets``, without ``"all"``.
        rng: Draws the weights.
        stages: Equal groups of layers to randomise at a time, at most one a layer; one a
            layer if not given.

    Returns:
        Less is better. The correlation with a constant map is 0.

    Raises:
        InputError: If images or targets don't fit, or the model has no weights.
    """
    images = checked_images(images)
    if stages is not None and stages < 1:
        raise InputError(f"given {stages} stages; allowed: at least 1")
    layers = _from_the_output(model, images.shape[1:])
    if not layers:
        raise InputError("the model has no weights that could be randomised")
    targets = Scores(model, images, targets).targets
    original = _ranked(method(model, images, targets))
    parts = np.array_split(np.arange(len(layers)), min(stages or len(layers), len(layers)))
    correlations = []
    with _restored_weights(model):
        for part in parts:
            for number in part:
                for weight in layers[number][1]:
                    weight.assign(_random(weight.numpy(), rng))
            correlations.append(spearman(original, _ranked(method(model, images, targets))))
    names = tuple(tuple(layers[number][0] for number in part) for part in parts)
    return RandomizationCheck(names, np.stack(correlations))


def _ranked(maps: np.ndarray) -> np.ndarray:
    return np.abs(maps).reshape(len(maps), int(np.prod(maps.shape[1:])))


@contextmanager
def _restored_weights(model: keras.Model) -> Iterator[None]:
    before = [(weight, weight.numpy().copy()) for weight in model.weights]
    try:
        yield
    finally:
        for weight, value in before:
            weight.assign(value)


def _from_the_output(
    model: keras.Model, shape: tuple[int, ...]
) -> list[tuple[str, list[keras.Variable]]]:
    """Layers with the weights that are their own, the last one called first."""
    with inlined_calls(model), recorded_calls(model) as calls:
        model(tf.zeros((1, *shape)), training=False)
    order = {id(layer): number for number, (layer, _) in enumerate(calls)}
    # A layer that returns no single tensor isn't recorded; it counts as the lowest.
    layers = sorted(all_layers(model), key=lambda layer: order.get(id(layer), -1), reverse=True)
    own = [(layer.name, _own_weights(layer)) for layer in layers]
    return [(name, weights) for name, weights in own if weights]


def _own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Float weights of a layer, without those of layers inside it."""
    inner = {id(weight) for each in all_layers(layer) for weight in each.weights}
    return [w for w in layer.weights if id(w) not in inner and "float" in str(w.dtype)]


def _random(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if values.ndim < 2:
        return rng.permutation(values) if values.ndim else values
    size = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return rng.normal(0, size, values.shape).astype(values.dtype)
