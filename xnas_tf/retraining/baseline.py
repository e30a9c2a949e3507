"""The hand-designed network with which retrained candidates are compared.

The baseline is the residual network of He et al. (2016, arXiv 1512.03385, section 4.2) for
CIFAR-10. The network consists of a convolution, three stages of n residual blocks with C, 2C and 4C
channels, global average pooling and a linear classifier, and has 6n + 2 layers with weights. The
published networks have C = 16. Shortcuts that change the shape are 1x1 convolutions (option B in
the paper), which need no custom layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.layers import batch_norm, convolution

Shape = tuple[int, int, int]
STAGES = 3
HE_CHANNELS = 16
HE_BLOCKS = (1, 3, 5, 7, 9)
"""Numbers of blocks per stage: the minimum, and those of ResNet-20, -32, -44 and -56."""


@dataclass(frozen=True)
class ResNet:
    """A residual network: the blocks in each of three stages, and the first stage's channels."""

    blocks: int
    channels: int

    @property
    def key(self) -> str:
        """Name in file names."""
        return f"resnet-{6 * self.blocks + 2}-channels-{self.channels}"

    @property
    def title(self) -> str:
        """Name shown to users."""
        return f"ResNet-{6 * self.blocks + 2}, {self.channels} channels"

    def parameters(self, image_shape: Shape, classes: int) -> int:
        """Count the trainable parameters without building the network."""
        width = self.channels
        total = 9 * image_shape[2] * width + 2 * width
        for stage in range(STAGES):
            before, width = width, self.channels * 2**stage
            total += 9 * before * width + 9 * width * width + 4 * width
            total += (self.blocks - 1) * (18 * width * width + 4 * width)
            if stage:
                total += before * width + 2 * width
        return total + (width + 1) * classes

    def build(self, image_shape: Shape, classes: int) -> keras.Model:
        """Build the uncompiled Keras model for images (H, W, C), which ends in a softmax."""
        inputs = keras.Input(image_shape, name="image")
        x = _conv_norm(inputs, self.channels, 3, "stem")
        x = layers.Activation("relu", name="stem_relu")(x)
        for stage in range(STAGES):
            for block in range(self.blocks):
                strides = 2 if stage and not block else 1
                name = f"stage{stage + 1}_block{block + 1}"
                x = _block(x, self.channels * 2**stage, name, strides)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(classes, name="logits")(x)
        return keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="resnet")


def resnet_of_size(parameters: int, image_shape: Shape, classes: int) -> ResNet:
    """Return the residual network whose size is closest to a given number of parameters.

    The depth is that of the deepest published network that, with 16 channels, does not exceed the
    given number of trainable parameters. The number of channels is then chosen for that depth.
    """
    fitting = [
        blocks
        for blocks in HE_BLOCKS
        if ResNet(blocks, HE_CHANNELS).parameters(image_shape, classes) <= parameters
    ]
    blocks, channels = max(fitting, default=1), 1
    while ResNet(blocks, channels + 1).parameters(image_shape, classes) <= parameters:
        channels += 1
    return min(
        (ResNet(blocks, channels), ResNet(blocks, channels + 1)),
        key=lambda network: abs(network.parameters(image_shape, classes) - parameters),
    )


class BaselineSpace(Space):
    """Space that builds residual networks for an evaluator, as a search space builds candidates."""

    variables = ()
    size = 1.0
    has_fit = False

    def __init__(self, image_shape: Shape, classes: int) -> None:
        self._image_shape = image_shape
        self._classes = classes

    def genotype(self, values: Mapping[str, Any]) -> str:
        """See ``Space.genotype``."""
        return ResNet(**values).key

    def own_identity(self, values: Mapping[str, Any]) -> str | None:
        """See ``SearchSpace.own_identity``."""
        return None

    def build(self, values: Mapping[str, Any]) -> keras.Model:
        """Build the ``ResNet`` with the given attributes."""
        return ResNet(**values).build(self._image_shape, self._classes)


def _conv_norm(
    x: keras.KerasTensor, channels: int, kernel: int, name: str, strides: int = 1
) -> keras.KerasTensor:
    return batch_norm(convolution(x, channels, kernel, f"{name}_conv", strides), f"{name}_norm")


def _block(x: keras.KerasTensor, channels: int, name: str, strides: int) -> keras.KerasTensor:
    shortcut = x
    if strides > 1:
        # Take every second position, then apply a 1x1 convolution. This is equivalent to a strided
        # convolution, but oneDNN computes its gradient wrongly for few channels
        # (keras_tools/strided_convolution.py).
        positions = layers.MaxPooling2D(1, strides, "same", name=f"{name}_shortcut_positions")
        shortcut = _conv_norm(positions(x), channels, 1, f"{name}_shortcut")
    x = _conv_norm(x, channels, 3, f"{name}_a", strides)
    x = layers.Activation("relu", name=f"{name}_a_relu")(x)
    x = _conv_norm(x, channels, 3, f"{name}_b")
    x = layers.Add(name=f"{name}_sum")([x, shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(x)
