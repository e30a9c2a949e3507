"""Completeness of integrated gradients."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.metrics.scores import Scores, baselines_of, checked_images
from xnas_tf.attribution.metrics.statistics import Errors, relative_to_larger
from xnas_tf.attribution.outputs import Outputs
from xnas_tf.attribution.targets import Targets


def completeness_error(
    model: keras.Model,
    images: np.ndarray,
    targets: Targets = "predicted",
    *,
    method: IntegratedGradients | None = None,
) -> Errors:
    """Compute the difference between the sum of integrated gradients and the score's change.

    |sum of the map - (score(image) - score(baseline))| is 0 for the exact integral
    (Sundararajan et al. 2017, arXiv 1703.01365, proposition 1); what remains is the error of
    the Riemann sum. The relative error is divided by the larger of the sum and the change. It is
    in [0, 2], and 0 where both are 0.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), floats in the model's range.
        targets: See ``Targets``; not ``"all"``.
        method: Integrated gradients with their options; the default options if None.

    Raises:
        InputError: If the images or targets don't fit the model.
    """
    images, method = checked_images(images), method or IntegratedGradients()
    scores = Scores(model, images, targets, Outputs(output=method.output))
    baselines = baselines_of(method.baseline, images, method.seed)
    changes = scores.unchanged - scores(1, lambda rows: baselines[rows, None])[:, 0]
    sums = method(model, images, scores.targets).sum(axis=(1, 2), dtype=np.float64)
    errors = np.abs(sums - changes)
    return Errors(errors, relative_to_larger(errors, np.abs(sums), np.abs(changes)))
