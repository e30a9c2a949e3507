"""Completeness of integrated gradients."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.metrics.scores import Scores, baselines_of, checked_images
from xnas_tf.attribution.metrics.statistics import Errors, share_of_larger
from xnas_tf.attribution.outputs import Outputs
from xnas_tf.attribution.targets import Targets


def completeness_error(
    model: keras.Model,
    images: np.ndarray,
    targets: Targets = "predicted",
    *,
    method: IntegratedGradients | None = None,
) -> Errors:
    """How far integrated gradients miss the change of the score that they share out.

    |sum of the map - (score(image) - score(baseline))|, which is 0 for the exact integral
    (Sundararajan et al. 2017, arXiv 1703.01365, proposition 1); what is left is the error of
    the Riemann sum. The relative error is a share of the larger of the sum and the change,
    in [0, 2]; 0 where neither is anything else.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), floats in the model's range.
        targets: See ``Targets``, without ``"all"``.
        method: With its steps, baseline and output; the defaults if not given.

    Raises:
        InputError: If the images or targets don't fit the model.
    """
    images, method = checked_images(images), method or IntegratedGradients()
    scores = Scores(model, images, targets, Outputs(output=method.output))
    baselines = baselines_of(method.baseline, images, method.seed)
    changes = scores.unchanged - scores(1, lambda rows: baselines[rows, None])[:, 0]
    sums = method(model, images, scores.targets).sum(axis=(1, 2), dtype=np.float64)
    errors = np.abs(sums - changes)
    return Errors(errors, share_of_larger(errors, np.abs(sums), np.abs(changes)))
