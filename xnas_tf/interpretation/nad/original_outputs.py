"""What the layers return without masks, of images that are shown again and again."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import Rows
from xnas_tf.interpretation.nad.gated_network import BATCH, MaskedNetwork
from xnas_tf.utils.heartbeat import beat

MEMORY = 2 * 2**30
"""Bytes that are kept, at most: the layers of a C=16, N=1 cell network on 5,500 28x28 images."""


class Originals:
    """The originals of images: found once and kept if they fit into memory, else found anew
    whenever they are asked for.

    The weights are frozen, so each epoch has the same ones; finding them anew is a third of a
    step's convolutions.

    Args:
        network: The network.
        images: Images (N, H, W, C), uint8.
        rows: Those that will be asked for, sorted.
    """

    def __init__(self, network: MaskedNetwork, images: np.ndarray | Rows, rows: np.ndarray) -> None:
        self._network = network
        self._rows = rows
        self._kept: list[tf.Tensor] = []
        if len(rows) and len(rows) * self._bytes(images[rows[:1]]) <= MEMORY:
            self._kept = self._all(images)

    def of(self, rows: np.ndarray, images: tf.Tensor) -> list[tf.Tensor]:
        """For each layer (M, H, W, channels).

        Args:
            rows: (M,); none where the images are not among those.
            images: The images themselves, (M, H, W, C), uint8.
        """
        if not self._kept or not len(rows):
            return self._network.originals(images)
        places = tf.constant(np.searchsorted(self._rows, rows))
        return [tf.gather(layer, places) for layer in self._kept]

    def _all(self, images: np.ndarray | Rows) -> list[tf.Tensor]:
        parts: list[list[tf.Tensor]] = [[] for _ in self._network.taps]
        for start in range(0, len(self._rows), BATCH):
            shown = tf.constant(images[self._rows[start : start + BATCH]])
            for part, layer in zip(parts, self._network.originals(shown), strict=True):
                part.append(layer)
            beat()
        # One layer after the other, so that no more than one is there twice.
        return [tf.concat(parts.pop(0), 0) for _ in self._network.taps]

    def _bytes(self, image: np.ndarray) -> int:
        return sum(4 * int(tf.size(layer)) for layer in self._network.originals(tf.constant(image)))
