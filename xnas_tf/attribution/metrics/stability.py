"""Stability of maps under small noise on the image, and their change with randomized weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.metrics.scores import Scores
from xnas_tf.attribution.metrics.statistics import relative_to_larger, spearman, with_empty
from xnas_tf.attribution.outputs import PROBABILITIES
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import all_layers, inlined_calls, recorded_calls

Explain = Callable[[keras.Model, Any, Any], np.ndarray]
"""Like a method: model, images (N, H, W[, C]) and class indices (N,) -> maps (N, H, W)."""


def max_sensitivity(
    model: keras.Model,
    images: np.ndarray,
    method: Explain,
    targets: Targets = "predicted",
    *,
    rng: np.random.Generator,
    radius: float = 0.02,
    samples: int = 4,
    empty: float | None = None,
) -> np.ndarray:
    """Compute the largest relative change of a map under small noise on the image.

    See Yeh et al. 2019 (arXiv 1901.09392, definition 3.1). The maximum is taken over random
    samples. Each pixel's noise is uniform within ±``radius``, and every image gets the same noise.
    The target class is that of the unmodified image. The norm of the change is divided by the
    larger norm of the two maps, because empty maps would give unbounded values.

    Returns:
        (N,), float64, in [0, 2]; lower is better. A map that never changes gets 0, even if it is
        always empty. ``empty``, if given, is the value for images whose noise-free map is empty.
    """
    if samples < 1:
        raise InputError(f"given {samples} samples; allowed: at least 1")
    scores = Scores(model, images, targets, PROBABILITIES)
    maps = method(model, scores.images, scores.targets)
    changes = []
    for _ in range(samples):
        noise = rng.uniform(-radius, radius, scores.images.shape[1:]).astype(np.float32)
        noisy = method(model, scores.images + noise, scores.targets)
        changes.append(relative_to_larger(_norm(noisy - maps), _norm(noisy), _norm(maps)))
    return with_empty(np.max(changes, axis=0), maps, empty)


def randomization(
    model: keras.Model,
    images: np.ndarray,
    method: Explain,
    targets: Targets = "predicted",
    *,
    rng: np.random.Generator,
    stages: int | None = None,
    empty: float | None = None,
) -> np.ndarray:
    """Randomize a model's layers one after the other, from the output down, and compare maps.

    This is a sanity check: maps that don't change don't explain the model (cascading randomization,
    Adebayo et al. 2018, arXiv 1810.03292). Kernels are drawn from a normal distribution with the
    original kernel's root mean square, which preserves the scale of the activations. The values of
    vectors (biases, batch normalization) are shuffled, so that variances stay positive. The target
    classes are those of the original model. The weights are restored exactly, but the model must
    not be used in the meantime. The layers are divided into ``stages`` equal groups, or as many as
    there are layers if that is fewer or ``stages`` is None.

    Returns:
        Rank correlations between |map| and the original |map|, (stages, N), float64; lower is
        better. The correlation with a constant map counts as 0. ``empty``, if given, is the value
        for empty maps.

    Raises:
        InputError: If images or targets don't match, or the model has no weights.
    """
    if stages is not None and stages < 1:
        raise InputError(f"given {stages} stages; allowed: at least 1")
    scores = Scores(model, images, targets, PROBABILITIES)
    layers = _weights_by_layer(model, scores.images.shape[1:])
    if not layers:
        raise InputError("the model has no weights that could be randomized")
    groups = np.array_split(np.arange(len(layers)), min(stages or len(layers), len(layers)))
    explained = (model, scores.images, scores.targets)
    maps = method(*explained)
    original = _magnitudes(maps)
    correlations = []
    before = [(weight, weight.numpy().copy()) for weight in model.weights]
    try:
        for group in groups:
            for index in group:
                for weight in layers[index]:
                    weight.assign(_randomized(weight.numpy(), rng))
            correlations.append(spearman(original, _magnitudes(method(*explained))))
    finally:
        for weight, value in before:
            weight.assign(value)
    return with_empty(np.stack(correlations), maps, empty)


def _weights_by_layer(model: keras.Model, shape: tuple[int, ...]) -> list[list[keras.Variable]]:
    """Return each layer's own floating-point weights, starting from the last layer called."""
    with inlined_calls(model), recorded_calls(model) as calls:
        model(tf.zeros((1, *shape)), training=False)
    order = {id(layer): index for index, (layer, _) in enumerate(calls)}
    # A layer that doesn't return a single tensor isn't recorded and comes last.
    layers = sorted(all_layers(model), key=lambda layer: order.get(id(layer), -1), reverse=True)
    by_layer = []
    for layer in layers:
        inner = {id(weight) for each in all_layers(layer) for weight in each.weights}
        own = [w for w in layer.weights if id(w) not in inner and "float" in str(w.dtype)]
        by_layer.append(own)
    return [own for own in by_layer if own]


def _randomized(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if values.ndim < 2:
        return rng.permutation(values) if values.ndim else values
    scale = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return rng.normal(0, scale, values.shape).astype(values.dtype)


def _magnitudes(maps: np.ndarray) -> np.ndarray:
    return np.abs(maps).reshape(len(maps), int(np.prod(maps.shape[1:])))


def _norm(maps: np.ndarray) -> np.ndarray:
    return np.linalg.norm(maps.astype(np.float64), axis=(1, 2))
