"""Compares the quality of an exported model's attribution maps with that of random maps."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.metrics import deletion, insertion, is_empty
from xnas_tf.exporting.verification import Reference
from xnas_tf.keras_tools.preprocessing import to_model_input

RANDOM = "random maps"
"""The name under which the metrics of random maps are recorded."""


def map_quality(model: keras.Model, expected: Reference) -> dict[str, dict[str, float | None]]:
    """Compute mean deletion and insertion for each attribution method and for ``RANDOM`` maps.

    A method whose maps are no better than random ones shows nothing about the model. All-zero maps
    are left out and counted as ``empty``; if all maps are empty, the means are None.
    """
    images = to_model_input(expected.images).numpy()
    maps = {method.name: expected.outputs[method.name] for method in expected.methods}
    drawn = np.random.default_rng(0).random(images.shape[:3], np.float32)
    drawings = {**maps, RANDOM: drawn} if maps else {}
    return {name: _means(model, images, values) for name, values in drawings.items()}


def _means(model: keras.Model, images: np.ndarray, maps: np.ndarray) -> dict[str, float | None]:
    empty = is_empty(maps)
    means: dict[str, float | None] = {"empty": int(empty.sum())}
    for name, compute in (("deletion", deletion), ("insertion", insertion)):
        values = compute(model, images, maps)[~empty]
        means[name] = float(values.mean()) if len(values) else None
    return means
