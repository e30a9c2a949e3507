"""How good the maps of an explanation are, in figures."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution import metrics as quality
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.integrated_gradients import IntegratedGradients

MORE_IS_BETTER = {"insertion", "sensitivity_n", "sparseness"}
"""Of the other figures, less is better."""
STAGES = 4
"""Groups of layers randomised one after the other."""
RADIUS = 0.02
"""Of the noise for max-sensitivity, as a share of the images' range."""
SHARE = 0.25
"""Of the pixels, removed at a time for sensitivity-n."""


def quality_of(
    model: keras.Model,
    inputs: np.ndarray,
    method: AttributionMethod,
    maps: np.ndarray,
    targets: np.ndarray,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The measures of ``xnas_tf.attribution.metrics`` that apply, (N,) each, by name.

    Args:
        model: The model.
        inputs: Images (N, H, W[, C]), floats in the model's range.
        method: The method explained with.
        maps: Its maps, (N, H, W).
        targets: The classes explained, (N,).
        seed: Of what is drawn at random.
    """
    given = (model, inputs, maps, targets)
    radius = RADIUS * float(np.ptp(inputs)) or RADIUS
    pixels = max(1, round(SHARE * maps[0].size))
    cascade = quality.randomization(
        model, inputs, method, targets, rng=np.random.default_rng(seed), stages=STAGES
    )
    found = {
        "deletion": quality.deletion(*given),
        "insertion": quality.insertion(*given),
        "sensitivity_n": quality.sensitivity_n(
            *given, n=pixels, rng=np.random.default_rng(seed), output=method.output
        ),
        "max_sensitivity": quality.max_sensitivity(
            model, inputs, method, targets, rng=np.random.default_rng(seed), radius=radius
        ),
        "randomization": np.abs(cascade.correlations).mean(axis=0),
        "sparseness": quality.sparseness(maps),
    }
    if isinstance(method, IntegratedGradients):
        errors = quality.completeness_error(model, inputs, targets, method=method)
        found["completeness_error"] = errors.relative
    return found
