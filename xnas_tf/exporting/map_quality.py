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
    random = _removal(model, images, random_maps(images.shape[:3]))
    found = {}
    for name, values in maps.items():
        measured = _removal(model, images, values)
        found[name] = _means(measured)
        is_better = is_clearly_positive(_gap(measured) - _gap(random))
        if is_better is not None and not is_noise:
            found[name]["better_than_random"] = is_better
    return {**found, RANDOM: _means(random)}


def _removal(model: keras.Model, images: np.ndarray, maps: np.ndarray) -> dict[str, np.ndarray]:
    """Return deletion and insertion, (N,), with NaN for empty maps."""
    metrics = {"deletion": deletion, "insertion": insertion}
    return {
        name: np.where(is_empty(maps), np.nan, compute(model, images, maps))
        for name, compute in metrics.items()
    }


def _gap(measured: dict[str, np.ndarray]) -> np.ndarray:
    return measured["insertion"] - measured["deletion"]


def _means(measured: dict[str, np.ndarray]) -> dict[str, float | None]:
    is_known = {name: values[np.isfinite(values)] for name, values in measured.items()}
    means = {name: float(v.mean()) if len(v) else None for name, v in is_known.items()}
    return {"empty": int(np.isnan(measured["deletion"]).sum()), **means}
