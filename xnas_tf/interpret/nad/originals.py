"""What the layers return without masks, of images that are shown again and again."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from xnas_tf.data.rows import Rows
from xnas_tf.heartbeat import beat
from xnas_tf.interpret.nad.network import BATCH, MaskedNetwork

MEMORY = 2**30
"""Bytes that are kept, at most; of the C=16, N=1 cell network's layers 2,700 images of 28x28."""


class Originals:
    """The originals of images: computed once and kept if they fit, else whenever asked for.

    Weights are frozen, so that they are the same in each epoch; without keeping them a third
    of a step's arithmetic goes into them.

    Args:
        network: The network.
        images: Images (N, H, W, C), uint8.
        rows: Those that will be asked for, sorted.
    """

    def __init__(
        self, network: MaskedNetwork, images: np.ndarray | Rows, rows: np.ndarray
    ) -> None:
        self._network = network
        self._rows = rows
        self._kept: list[tf.Tensor] = []
        if len(rows) and len(rows) * self._bytes(images[rows[:1]]) <= MEMORY:
            starts = range(0, len(rows), BATCH)
            parts = [self._found(images[rows[start : start + BATCH]]) for start in starts]
            self._kept = [tf.concat(layer, 0) for layer in zip(*parts, strict=True)]

    def of(self, rows: np.ndarray, images: tf.Tensor) -> list[tf.Tensor]:
        """For each layer (M, H, W, channels).

        Args:
            rows: (M,); none for an image that is not one of those.
            images: The images themselves, (M, H, W, C), uint8.
        """
        if not self._kept or not len(rows):
            return self._network.originals(images)
        places = tf.constant(np.searchsorted(self._rows, rows))
        return [tf.gather(layer, places) for layer in self._kept]

    def _found(self, images: np.ndarray) -> list[tf.Tensor]:
        beat()
        return self._network.originals(tf.constant(images))

    def _bytes(self, image: np.ndarray) -> int:
        return sum(4 * int(tf.size(layer)) for layer in self._found(image))
