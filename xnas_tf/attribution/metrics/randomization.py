"""The sanity check by random weights: maps that don't change don't explain the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.metrics.scores import Scores
from xnas_tf.attribution.metrics.stability import Explain
from xnas_tf.attribution.metrics.statistics import spearman
from xnas_tf.attribution.outputs import Outputs
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import all_layers, inlined_calls, recorded_calls


@dataclass(frozen=True)
class RandomizationCheck:
    """How maps change during a cascading randomization.

    Attributes:
        layers: The names of the layers that each stage randomizes in addition to earlier ones.
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
    """Randomize a model's layers one after the other, from the output down, and compare maps.

    Adebayo et al. 2018 (arXiv 1810.03292, cascading randomization). Kernels are drawn from a
    normal distribution with the same root mean square, which preserves the scale of the
    activations. The values of vectors (biases, batch normalization) are shuffled, so that
    variances stay positive. The explained class is that of the original model. The weights are
    always restored exactly; the model must not be used in the meantime. ``stages`` is the number
    of equal groups of layers, at most the number of layers; by default each layer is a group.

    Returns:
        Correlations; lower is better. The correlation with a constant map is 0.

    Raises:
        InputError: If images or targets don't fit, or the model has no weights.
    """
    if stages is not None and stages < 1:
        raise InputError(f"given {stages} stages; allowed: at least 1")
    scores = Scores(model, images, targets, Outputs())
    layers = _layers_from_output(model, scores.images.shape[1:])
    if not layers:
        raise InputError("the model has no weights that could be randomized")
    explained = (model, scores.images, scores.targets)
    original = _magnitudes(method(*explained))
    groups = np.array_split(np.arange(len(layers)), min(stages or len(layers), len(layers)))
    correlations = []
    with _restored_weights(model):
        for group in groups:
            for index in group:
                for weight in layers[index][1]:
                    weight.assign(_randomized(weight.numpy(), rng))
            correlations.append(spearman(original, _magnitudes(method(*explained))))
    names = tuple(tuple(layers[index][0] for index in group) for group in groups)
    return RandomizationCheck(names, np.stack(correlations))


def _magnitudes(maps: np.ndarray) -> np.ndarray:
    return np.abs(maps).reshape(len(maps), int(np.prod(maps.shape[1:])))


@contextmanager
def _restored_weights(model: keras.Model) -> Iterator[None]:
    before = [(weight, weight.numpy().copy()) for weight in model.weights]
    try:
        yield
    finally:
        for weight, value in before:
            weight.assign(value)


def _layers_from_output(
    model: keras.Model, shape: tuple[int, ...]
) -> list[tuple[str, list[keras.Variable]]]:
    """Return layers and their own weights, the last layer called first."""
    with inlined_calls(model), recorded_calls(model) as calls:
        model(tf.zeros((1, *shape)), training=False)
    order = {id(layer): index for index, (layer, _) in enumerate(calls)}
    # A layer that doesn't return a single tensor isn't recorded and comes last.
    layers = sorted(all_layers(model), key=lambda layer: order.get(id(layer), -1), reverse=True)
    own = [(layer.name, _own_weights(layer)) for layer in layers]
    return [(name, weights) for name, weights in own if weights]


def _own_weights(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return a layer's float weights, without those of the layers inside it."""
    inner = {id(weight) for each in all_layers(layer) for weight in each.weights}
    return [w for w in layer.weights if id(w) not in inner and "float" in str(w.dtype)]


def _randomized(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if values.ndim < 2:
        return rng.permutation(values) if values.ndim else values
    scale = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return rng.normal(0, scale, values.shape).astype(values.dtype)
