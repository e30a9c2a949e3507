"""Activations of a network as a representation of its input."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from xnas_tf.errors import RunError

LAYERS = (keras.layers.Activation, keras.layers.ReLU) + tuple(
    getattr(keras.layers, name)
    for name in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
)
"""Convolution and activation layers, as the XNAS paper takes them."""


def activations(model: keras.Model) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Images -> outputs of all convolution and activation layers, the final softmax aside.

    Raises:
        RunError: If the model has no such layer.
    """
    outputs = [layer.output for layer in model.layers[:-1] if isinstance(layer, LAYERS)]
    if not outputs:
        raise RunError("the model has no convolution or activation layers to compare")
    view = keras.Model(model.inputs, outputs)
    # Keras gives back the tensor itself where there is only one.
    return lambda images: tf.nest.flatten(view(images, training=False))
