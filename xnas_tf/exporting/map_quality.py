"""Compares the quality of an exported model's attribution maps with that of random maps."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.metrics import deletion, insertion, is_empty, random_maps
from xnas_tf.explanation.quality import RANDOM
from xnas_tf.exporting.verification import Reference
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.utils.intervals import is_clearly_positive


def map_quality(
    model: keras.Model, expected: Reference, is_noise: bool = False
) -> dict[str, dict[str, float | None]]:
    """Compute mean deletion and insertion for each attribution method and for ``RANDOM`` maps.

    ``better_than_random`` is true if the difference between insertion and deletion is clearly
    larger than for random maps of the same images; it is missing if there are too few images to
    tell, or if they are noise (``is_noise``), which says nothing about real images. All-zero maps
    are left out and counted as ``empty``; if all maps are empty, the means are None.
    """
    images = to_model_input(expected.images).numpy()
    maps = {method.name: expected.outputs[method.name] for method in expected.methods}
    if not maps:
        return {}
    maps[RANDOM] = random_maps(images.shape[:3])
    measured = {name: _removal(model, images, values) for name, values in maps.items()}
    found, gaps = {}, {}
    for name, (deletions, insertions) in measured.items():
        gaps[name] = insertions - deletions
        empty = int(np.isnan(deletions).sum())
        means = {"deletion": _mean(deletions), "insertion": _mean(insertions)}
        found[name] = {"empty": empty, **means}
    for method in () if is_noise else expected.methods:
        is_better = is_clearly_positive(gaps[method.name] - gaps[RANDOM])
        if is_better is not None:
            found[method.name]["better_than_random"] = is_better
    return found


def _removal(model: keras.Model, images: np.ndarray, maps: np.ndarray) -> list[np.ndarray]:
    """Return deletion and insertion, (N,) each, with NaN for empty maps."""
    return [
        np.where(is_empty(maps), np.nan, compute(model, images, maps))
        for compute in (deletion, insertion)
    ]


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
