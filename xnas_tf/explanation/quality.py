"""Computes quality metrics for an explanation's maps."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution import metrics
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.integrated_gradients import IntegratedGradients

MORE_IS_BETTER = {"insertion", "sensitivity_n", "sparseness"}
"""Metrics for which higher is better; for all others, lower is better."""
RANDOM = "random maps"
"""The name of random maps in tables."""
RANDOM_KEY = "random_maps"
"""The key of the metrics of random maps in ``explanation.json``."""
STAGES = 4
"""Number of groups of layers that are randomized one after the other."""
RADIUS = 0.02
"""Radius of the noise for max-sensitivity, as a fraction of the images' range."""
SHARE = 0.25
"""Share of the pixels that each set contains, for sensitivity-n."""


def quality_of(
    model: keras.Model,
    inputs: np.ndarray,
    method: AttributionMethod,
    maps: np.ndarray,
    targets: np.ndarray,
) -> dict[str, np.ndarray]:
    """Compute the ``xnas_tf.attribution.metrics`` that apply to a method, (N,) by name.

    ``inputs`` (N, H, W[, C]) are in the model's input range; ``maps`` (N, H, W) are the method's
    maps for the classes ``targets`` (N,). Metrics of empty maps are NaN: an empty map explains
    nothing, yet stability metrics would rate it as perfect.
    """
    subset, noise, weights = (np.random.default_rng(0) for _ in range(3))
    radius = RADIUS * float(np.ptp(inputs)) or RADIUS
    pixels = max(1, round(SHARE * maps[0].size))
    correlations = metrics.randomization(model, inputs, method, targets, rng=weights, stages=STAGES)
    found = {
        "deletion": metrics.deletion(model, inputs, maps, targets),
        "insertion": metrics.insertion(model, inputs, maps, targets),
        "sensitivity_n": metrics.sensitivity_n(
            model, inputs, maps, targets, n=pixels, rng=subset, output=method.output
        ),
        "max_sensitivity": metrics.max_sensitivity(
            model, inputs, method, targets, rng=noise, radius=radius
        ),
        "randomization": np.abs(correlations).mean(axis=0),
        "sparseness": metrics.sparseness(maps),
    }
    if isinstance(method, IntegratedGradients):
        errors = metrics.completeness_error(model, inputs, targets, method=method)
        found["completeness_error"] = errors.relative
    return {name: np.where(metrics.is_empty(maps), np.nan, each) for name, each in found.items()}


def random_quality(
    model: keras.Model, inputs: np.ndarray, targets: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute deletion and insertion of random maps, (N,) by name; see ``quality_of``."""
    maps = metrics.random_maps(inputs.shape[:3])
    return {
        "deletion": metrics.deletion(model, inputs, maps, targets),
        "insertion": metrics.insertion(model, inputs, maps, targets),
    }
