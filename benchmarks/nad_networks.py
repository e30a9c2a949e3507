"""Builds four small networks that differ in how layers are connected, for nad_controls.py."""

from __future__ import annotations

from collections.abc import Callable

import keras
from common import CONVOLUTIONS, cell_network
from keras import layers

STAGES = (16, 24, 32)
"""Number of channels of each stage; height and width are halved between two stages."""
GROWTH = 12
"""Number of channels that each layer of the dense network adds."""
Shape = tuple[int, int, int]


def _block(x, channels: int, size: int = 3, stride: int = 1, activation: str = "relu"):
    """Apply a convolution with normalisation and activation."""
    x = layers.Conv2D(channels, size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return layers.Activation(activation)(x) if activation != "linear" else x


def _classified(inputs, x) -> keras.Model:
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def chain(shape: Shape) -> keras.Model:
    """Build a small VGG, in which one layer follows the other."""
    x = inputs = keras.Input(shape)
    for stage, channels in enumerate(STAGES):
        x = layers.MaxPooling2D()(x) if stage else x
        x = _block(_block(x, channels), channels)
    return _classified(inputs, x)


def residual(shape: Shape) -> keras.Model:
    """Build a small ResNet, in which each block is added to its input."""
    inputs = keras.Input(shape)
    x = _block(inputs, STAGES[0])
    for stage, channels in enumerate(STAGES):
        stride = 2 if stage else 1
        shortcut = _block(x, channels, 1, stride, "linear") if stage else x
        inner = _block(_block(x, channels, stride=stride), channels, activation="linear")
        x = layers.ReLU()(layers.Add()([inner, shortcut]))
    return _classified(inputs, x)


def dense(shape: Shape) -> keras.Model:
    """Build a small DenseNet, in which each layer takes all earlier ones of its stage as input."""
    inputs = keras.Input(shape)
    x = _block(inputs, STAGES[0])
    for stage, channels in enumerate(STAGES):
        x = layers.MaxPooling2D()(_block(x, channels, 1)) if stage else x
        for _ in range(2):
            x = layers.Concatenate()([x, _block(x, GROWTH)])
    return _classified(inputs, x)


def cell(shape: Shape) -> keras.Model:
    """Build a network of NAS-Bench-201 cells, with C=8 and N=1."""
    return cell_network(CONVOLUTIONS, shape, 8)


NETWORKS: dict[str, Callable[[Shape], keras.Model]] = {
    "chain": chain,
    "residual": residual,
    "dense": dense,
    "cell": cell,
}
