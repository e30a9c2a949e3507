"""The layers' outputs without masks, kept in memory for images that are used repeatedly."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.interpretation.nad.gated_network import BATCH, MaskedNetwork
from xnas_tf.utils.heartbeat import report_progress

MEMORY = 2 * 2**30
"""Largest number of bytes kept: those of a C=16, N=1 cell network on 5,500 images of 28x28."""


class OriginalOutputs:
    """The layers' outputs without masks: computed once if they fit into memory, else each time.

    They are the same in each epoch, as the weights are frozen. Computing them takes a third of a
    step's convolutions.

    Args:
        network: The network.
        images: Images (N, H, W, C), uint8.
        rows: The indices of those that ``of`` will be called with, sorted.
    """

    def __init__(
        self, network: MaskedNetwork, images: np.ndarray | DiskImages, rows: np.ndarray
    ) -> None:
        self._network = network
        self._rows = rows
        self._kept: list[tf.Tensor] = []
        if len(rows) and len(rows) * self._bytes(images[rows[:1]]) <= MEMORY:
            self._kept = self._compute_all(images)

    def of(self, rows: np.ndarray, images: tf.Tensor) -> list[tf.Tensor]:
        """Return the outputs of each layer, (M, H, W, channels).

        Args:
            rows: The indices of the images, (M,); empty for images that are not among ``rows``.
            images: The images themselves, (M, H, W, C), uint8.
        """
        if not self._kept or not len(rows):
            return self._network.originals(images)
        places = tf.constant(np.searchsorted(self._rows, rows))
        return [tf.gather(layer, places) for layer in self._kept]

    def _compute_all(self, images: np.ndarray | DiskImages) -> list[tf.Tensor]:
        batches: list[list[tf.Tensor]] = [[] for _ in self._network.taps]
        for start in range(0, len(self._rows), BATCH):
            batch = tf.constant(images[self._rows[start : start + BATCH]])
            for outputs, layer in zip(batches, self._network.originals(batch), strict=True):
                outputs.append(layer)
            report_progress()
        # Each layer's batches are freed after their concatenation, to hold only one layer twice.
        return [tf.concat(batches.pop(0), 0) for _ in self._network.taps]

    def _bytes(self, image: np.ndarray) -> int:
        return sum(4 * int(tf.size(layer)) for layer in self._network.originals(tf.constant(image)))
