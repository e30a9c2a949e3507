"""Keeps layers' unmasked outputs in memory, because every epoch needs the same outputs."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.interpretation.nad.gated_network import BATCH, MaskedNetwork
from xnas_tf.utils.heartbeat import report_progress

MEMORY = 2 * 2**30
"""Maximum number of bytes. It is enough for a C=16, N=1 cell network on 5,500 images of 28x28
pixels."""


def kept_originals(
    network: MaskedNetwork, images: np.ndarray | DiskImages, rows: np.ndarray
) -> list[tf.Tensor]:
    """Compute each layer's outputs for the images at ``rows``, if they fit in ``MEMORY``.

    Recomputing these outputs would account for a third of each step's convolutions.
    """
    values = sum(math.prod(tap.shape) for tap in network.taps)
    if not len(rows) or 4 * values * len(rows) > MEMORY:
        return []
    batches: list[list[tf.Tensor]] = [[] for _ in network.taps]
    for start in range(0, len(rows), BATCH):
        batch = tf.constant(images[rows[start : start + BATCH]])
        for outputs, layer in zip(batches, network.originals(batch), strict=True):
            outputs.append(layer)
        report_progress()
    # Free each layer's batches once concatenated, so that only one layer is held twice.
    return [tf.concat(batches.pop(0), 0) for _ in network.taps]
