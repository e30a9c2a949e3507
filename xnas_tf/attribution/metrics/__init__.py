"""Metrics that measure the quality of attribution maps, with one value per image.

Call a metric with a Keras classifier, images (N, H, W[, C]) as floats in the model's range, and
either maps (N, H, W) or the method that computes them: an ``AttributionMethod``, or a function with
the same arguments. ``targets`` accepts any value of ``Targets`` except ``"all"``. ``baseline``
chooses the values that replace pixels, ``output`` is the output that the maps explain, and ``rng``
is the generator for random samples:

    maps = IntegratedGradients()(model, images)
    deletion(model, images, maps)                                     # (N,), lower is better
    max_sensitivity(model, images, GradCAM(), rng=np.random.default_rng(0))

Metrics propagate NaN values from models and maps but never introduce any. Metrics raise
``InputError`` if images, maps, targets or options are invalid or don't match. An empty map, which
is 0 everywhere, explains nothing but is perfectly stable. To leave empty maps out of means, use
``is_empty``; to give them a value instead, set ``empty``.
"""

from xnas_tf.attribution.metrics.faithfulness import (
    completeness_error,
    deletion,
    infidelity,
    insertion,
    sensitivity_n,
)
from xnas_tf.attribution.metrics.maps import (
    attribution_mass,
    is_empty,
    is_flat,
    pointing_game,
    random_maps,
    sparseness,
)
from xnas_tf.attribution.metrics.stability import max_sensitivity, randomization
from xnas_tf.attribution.metrics.statistics import Errors

__all__ = [
    "Errors",
    "attribution_mass",
    "completeness_error",
    "deletion",
    "infidelity",
    "insertion",
    "is_empty",
    "is_flat",
    "max_sensitivity",
    "pointing_game",
    "random_maps",
    "randomization",
    "sensitivity_n",
    "sparseness",
]
