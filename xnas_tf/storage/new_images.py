"""Checks that image files can be converted as the images of a run's data set were converted."""

from __future__ import annotations

from xnas_tf.data.value_scaling import Scaling
from xnas_tf.errors import InputError


def check_files_fit(channels: int, value_range: tuple[float, float], run: str) -> None:
    """Check that image files may be read for a model of ``run``; see ``Run.value_range``.

    Raises:
        InputError: If it is unknown which values of the arrays those of image files stand for, or
            the images have neither 1 nor 3 channels.
    """
    low, high = value_range
    if not Scaling(low, high).is_usual:
        raise InputError(
            f"`images` are files, but {run} searched arrays with values from {low:.6g} to "
            f"{high:.6g}; allowed: arrays with values on this scale"
        )
    if channels not in (1, 3):
        raise InputError(
            f"`images` are files, but the images of {run} have {channels} channels; allowed: "
            "arrays of such images"
        )
