"""Chooses the channels of an image that pictures show, by one rule for all pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def shown_channels(images: np.ndarray) -> np.ndarray:
    """Return the channels of images (…, H, W, C) to show.

    These are the first three as red, green and blue, (…, H, W, 3), or, if there are fewer, the
    first one in grey, (…, H, W).
    """
    return images[..., :3] if images.shape[-1] >= 3 else images[..., 0]


def shown_channels_text(channels: int) -> str:
    """Say which channels ``shown_channels`` keeps, counted from 0; empty if it keeps all."""
    if channels in (1, 3):
        return ""
    if channels == 2:
        return "channel 0 of 2 in grey"
    return f"channels 0, 1 and 2 of {channels} as red, green and blue"


def shown_channels_sentence(shape: Sequence[int]) -> str:
    """Say which channels pictures of an array (N, H, W[, C]) show; empty if they show all."""
    text = shown_channels_text(shape[-1]) if len(shape) == 4 else ""
    return f"Pictures of images show {text}." if text else ""
