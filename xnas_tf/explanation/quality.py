"""Quality metrics of the maps of an explanation."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution import metrics as quality
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.integrated_gradients import IntegratedGradients

MORE_IS_BETTER = {"insertion", "sensitivity_n", "sparseness"}
"""Of the other metrics, less is better."""
STAGES = 4
"""Number of groups of layers that are randomised one after the other."""
RADIUS = 0.02
"""Radius of the noise for max-sensitivity, as a share of the images' range."""
SHARE = 0.25
"""Share of the pixels that are removed at a time for sensitivity-n."""


def quality_of(
    model: keras.Model,
    inputs: np.ndarray,
    method: AttributionMethod,
    maps: np.ndarray,
    targets: np.ndarray,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Compute the metrics of ``xnas_tf.attribution.metrics`` that apply to a method.

    Args:
        model: The model.
        inputs: Images (N, H, W[, C]), floats in the model's input range.
        method: The attribution method.
        maps: Its maps, (N, H, W).
        targets: The classes explained, (N,).
        seed: Seed of the random samples.

    Returns:
        The values, (N,), of each metric by name.
    """
    explained = (model, inputs, maps, targets)
    radius = RADIUS * float(np.ptp(inputs)) or RADIUS
    pixels = max(1, round(SHARE * maps[0].size))
    correlations = quality.randomization(
        model, inputs, method, targets, rng=np.random.default_rng(seed), stages=STAGES
    )
    found = {
        "deletion": quality.deletion(*explained),
        "insertion": quality.insertion(*explained),
        "sensitivity_n": quality.sensitivity_n(
            *explained, n=pixels, rng=np.random.default_rng(seed), output=method.output
        ),
        "max_sensitivity": quality.max_sensitivity(
            model, inputs, method, targets, rng=np.random.default_rng(seed), radius=radius
        ),
        "randomization": np.abs(correlations).mean(axis=0),
        "sparseness": quality.sparseness(maps),
    }
    if isinstance(method, IntegratedGradients):
        errors = quality.completeness_error(model, inputs, targets, method=method)
        found["completeness_error"] = errors.relative
    return found
