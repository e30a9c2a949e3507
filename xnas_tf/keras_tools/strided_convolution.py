"""Strided 1x1 convolutions, for which oneDNN computes wrong gradients if there are few channels.

These errors were measured with TensorFlow 2.18 and 2.21 on a CPU with AVX2 and
``TF_ENABLE_ONEDNN_OPTS=1``. If the input has 5 channels or fewer (3 for some shapes), the error of
the kernel's gradient is as large as the gradient itself, and memory next to the gradient is
overwritten. See docs/contributing/dependencies.md for the other operations that were compared.
"""

from __future__ import annotations

from functools import partial

import keras

from xnas_tf.keras_tools.inspection import all_layers


def avoid_strided_1x1(model: keras.Model) -> keras.Model:
    """Make strided 1x1 convolutions first select the positions, then convolve without strides.

    The layers, their outputs and the saved files remain the same. The model can be of any kind; it
    is changed in place and returned.
    """
    for layer in all_layers(model):
        is_plain = type(layer) is keras.layers.Conv2D
        if is_plain and layer.kernel_size == (1, 1) and layer.strides != (1, 1):
            layer.convolution_op = partial(_convolve_at_positions, layer)  # a hook of Keras
    return model


def _convolve_at_positions(
    layer: keras.layers.Conv2D, inputs: keras.KerasTensor, kernel: keras.Variable
) -> keras.KerasTensor:
    vertical, horizontal = layer.strides
    if layer.data_format == "channels_last":
        inputs = inputs[:, ::vertical, ::horizontal]
    else:
        inputs = inputs[:, :, ::vertical, ::horizontal]
    return keras.ops.conv(inputs, kernel, data_format=layer.data_format)
