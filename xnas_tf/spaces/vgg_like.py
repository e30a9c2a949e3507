"""VGG-like networks (Simonyan & Zisserman 2015, arXiv 1409.1556) as a HyperModel.

A network is a chain of blocks of convolutions with ReLU, followed by 2x2 pooling. Each block has
twice as many filters as the previous one, up to eight times as many as the first, like VGG's 64,
128, 256, 512, 512. The search chooses the number of blocks; the number, kernel size and width of
the convolutions in each block; the kind of pooling; whether batch normalisation follows each
convolution (Ioffe & Szegedy 2015); and the kind of classifier at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
from keras import layers

from xnas_tf.spaces.layers import BATCH_NORM_MOMENTUM
from xnas_tf.utils.image_size import size_text

CONVOLUTIONS = 3
"""Maximum number of convolutions in a block; VGG-16 has 2 or 3."""
KERNELS = (3, 5)
WIDTHS = (0.5, 1.0, 2.0)
"""Number of filters of a block relative to the default at its depth."""
WIDEST = 8
"""Maximum growth of the number of filters; VGG's last block is as wide as the one before it."""
POOLING = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}
UNITS = (64, 128, 256)
DROPOUT = (0.0, 0.25, 0.5)


class VGGLike(keras_tuner.HyperModel):
    """HyperModel with at most ``blocks`` blocks; the first has ``channels`` filters at width 1."""

    shows_all = True

    def __init__(
        self, input_shape: tuple[int, int, int], classes: int, channels: int = 16, blocks: int = 4
    ) -> None:
        super().__init__(name="vgg_like")
        self.image_shape = tuple(input_shape)
        self.classes = classes
        self.channels = channels
        self.blocks = blocks

    def genotype(self, values: Mapping[str, Any]) -> str:
        """Return text that names the blocks and their widths, the pooling and the classifier.

        For example ``2*conv3x3-width1|1*conv5x5-width0.5|max|batch_norm|dense128|dropout0.5``.
        The text omits the number of filters, so that the same architecture can be trained with
        more filters.
        """
        parts = [
            f"{values[f'convolutions_{block}']}*conv{kernel}x{kernel}-width{width:g}"
            for block in range(1, values["blocks"] + 1)
            for kernel, width in [(values[f"kernel_{block}"], values[f"width_{block}"])]
        ]
        parts += [values["pooling"], *["batch_norm"] * values["batch_norm"]]
        if values["head"] == "dense":
            parts += [f"dense{values['units']}", f"dropout{values['dropout']:g}"]
        return "|".join(parts)

    def infeasible(self, values: Mapping[str, Any]) -> str | None:
        """Return the pooling layer that has no pixels left to pool, or None if there is none."""
        height, width, _ = self.image_shape
        side = min(height, width)
        for pooled in range(values["blocks"]):
            if side < 2:
                return (
                    f"{values['blocks']} blocks pool {values['blocks']} times, but images of "
                    f"{size_text(height, width)} are one pixel high or wide after {pooled}"
                )
            side = -(-side // 2)
        return None

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the uncompiled Keras model, which ends in a softmax."""
        blocks = hp.Int("blocks", 1, self.blocks, default=min(2, self.blocks))
        pooling = POOLING[hp.Choice("pooling", list(POOLING))]
        batch_norm = hp.Boolean("batch_norm", default=True)
        x = inputs = keras.Input(self.image_shape, name="image")
        for block in range(1, self.blocks + 1):
            with hp.conditional_scope("blocks", list(range(block, self.blocks + 1))):
                count = hp.Int(f"convolutions_{block}", 1, CONVOLUTIONS)
                kernel = hp.Choice(f"kernel_{block}", list(KERNELS), ordered=True)
                width = hp.Choice(f"width_{block}", list(WIDTHS), ordered=True, default=1.0)
            if block <= blocks:
                depth = min(2 ** (block - 1), WIDEST)
                filters = max(1, round(self.channels * depth * width))
                for index in range(1, count + 1):
                    x = _convolve(x, filters, kernel, batch_norm, f"block{block}_conv{index}")
                x = pooling(2, padding="same", name=f"block{block}_pool")(x)
        x = self._classify(hp, x)
        x = layers.Dense(self.classes, name="logits")(x)
        return keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="vgg_like")

    def _classify(self, hp: keras_tuner.HyperParameters, x: Any) -> Any:
        head = hp.Choice("head", ["average", "dense"])
        with hp.conditional_scope("head", ["dense"]):
            units = hp.Choice("units", list(UNITS), ordered=True)
            dropout = hp.Choice("dropout", list(DROPOUT), ordered=True)
        if head == "average":
            return layers.GlobalAveragePooling2D(name="average")(x)
        x = layers.Flatten(name="flat")(x)
        x = layers.Dense(units, name="dense")(x)
        x = layers.Activation("relu", name="dense_relu")(x)
        return layers.Dropout(dropout, name="dropout")(x) if dropout else x


def _convolve(x: Any, filters: int, kernel: int, batch_norm: bool, name: str) -> Any:
    """Apply a convolution, optional batch normalisation, and ReLU."""
    x = layers.Conv2D(
        filters,
        kernel,
        padding="same",
        use_bias=not batch_norm,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    if batch_norm:
        x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)
