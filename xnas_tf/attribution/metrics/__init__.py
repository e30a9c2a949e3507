"""Metrics of the quality of attribution maps, one value per image.

Call a metric with a model, images as floats in the model's range, and either maps (N, H, W) or
the method that computes them:

    maps = IntegratedGradients()(model, images)
    deletion(model, images, maps)                                     # (N,), lower is better
    max_sensitivity(model, images, GradCAM(), rng=np.random.default_rng(0))

Metrics propagate NaN from models and maps, and never introduce it.
"""

from xnas_tf.attribution.metrics.completeness import completeness_error
from xnas_tf.attribution.metrics.faithfulness import infidelity, sensitivity_n
from xnas_tf.attribution.metrics.localization import attribution_mass, pointing_game
from xnas_tf.attribution.metrics.randomization import RandomizationCheck, randomization
from xnas_tf.attribution.metrics.removal import (
    deletion,
    deletion_curves,
    insertion,
    insertion_curves,
)
from xnas_tf.attribution.metrics.sparseness import sparseness
from xnas_tf.attribution.metrics.stability import max_sensitivity
from xnas_tf.attribution.metrics.statistics import Errors

__all__ = [
    "Errors",
    "RandomizationCheck",
    "attribution_mass",
    "completeness_error",
    "deletion",
    "deletion_curves",
    "infidelity",
    "insertion",
    "insertion_curves",
    "max_sensitivity",
    "pointing_game",
    "randomization",
    "sensitivity_n",
    "sparseness",
]
