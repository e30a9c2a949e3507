"""Expected true errors of networks, given errors that are measured on few images.

If an arm's true errors are higher than the control's, networks of both with the same *measured*
error still differ in their true errors, and so in all outcomes that depend on the error. Errors are
therefore replaced by their expected true values before networks are compared (regression
calibration; Carroll et al. 2006, Measurement Error in Nonlinear Models, chapter 4).
"""

from __future__ import annotations

import pandas as pd


def calibrated(rows: pd.DataFrame) -> pd.Series:
    """Return the expected true error of each network, (N,).

    The measured error is the mean of those on the validation and the test split. It is shrunk
    towards the mean of the arm and data set, by the share of its variance that is not noise. The
    noise is what differs between the two splits. An image that is hard for all networks is no
    noise, so less is found than for independent images. Its variance is assumed to be proportional
    to p(1 - p), where p is the mean error of the arm.

    Args:
        rows: A row for each network with ``data``, ``arm``, ``validation_error`` and
            ``test_error``.
    """
    measured = (rows.validation_error + rows.test_error) / 2
    groups = measured.groupby([rows.data, rows.arm])
    mean, variance = groups.transform("mean"), groups.transform("var")
    spread = mean * (1 - mean)
    of_splits = (rows.validation_error - rows.test_error).groupby(rows.data).transform("var") / 4
    noise = of_splits * spread / spread.groupby(rows.data).transform("mean")
    reliability = (1 - noise / variance).clip(lower=0).fillna(0)
    return mean + reliability * (measured - mean)
