"""Expected true errors of networks, given errors that are measured on few images.

If an arm's true errors are higher than the control's, networks of both with the same *measured*
error still differ in their true errors, and so in all outcomes that depend on the error. Errors are
therefore replaced by their expected true values before networks are compared (regression
calibration; Carroll et al. 2006, Measurement Error in Nonlinear Models, chapter 4).
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

IMAGES = {"digits": 720, "mnist5k": 2000, "shapes": 2000, "cifar10": 2200}
"""Number of validation and test images, on which errors are measured."""


def calibrated(rows: pd.DataFrame, images: Mapping[str, int]) -> pd.Series:
    """Return the expected true error of each network, (N,).

    Errors are shrunk towards the mean of their arm and data set, by the share of their variance
    that is not due to the choice of images. Both trainings of a network are measured on the same
    images, so the second one is not counted as further images.

    Args:
        rows: A row for each network with ``data``, ``arm`` and ``error``.
        images: Number of images on which errors are measured, by data set.
    """
    groups = rows.groupby(["data", "arm"]).error
    mean, variance = groups.transform("mean"), groups.transform("var")
    noise = mean * (1 - mean) / rows.data.map(images)
    reliability = (1 - noise / variance).clip(lower=0).fillna(0)
    return mean + reliability * (rows.error - mean)
