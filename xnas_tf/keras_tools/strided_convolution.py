"""Convolutions of 1x1 with strides, whose gradient oneDNN's kernels get wrong for few channels.

Measured with TensorFlow 2.18 and 2.21 on a processor with AVX2, ``TF_ENABLE_ONEDNN_OPTS=1``: the
gradient of the kernel is off by up to its own size where the input has 5 channels or fewer (3 in
some shapes), and memory beside it is overwritten. docs/dependencies.md says which other operations
were compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import keras


def compute_at_positions(model: keras.Model) -> keras.Model:
    """Lets such layers pick the positions first, and then convolve them without strides.

    The layers, their outputs and what is saved stay the same.

    Args:
        model: A model of any kind; changed in place.

    Returns:
        The model.
    """
    for layer in _layers(model):
        if type(layer) is keras.layers.Conv2D and _is_strided_1x1(layer):
            layer.convolution_op = partial(_at_positions, layer)  # which Keras lets one replace
    return model


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        yield layer


def _is_strided_1x1(layer: keras.layers.Conv2D) -> bool:
    return set(layer.kernel_size) == {1} and max(layer.strides) > 1


def _at_positions(layer: keras.layers.Conv2D, inputs, kernel):
    high, wide = layer.strides
    if layer.data_format == "channels_last":
        inputs = inputs[:, ::high, ::wide]
    else:
        inputs = inputs[:, :, ::high, ::wide]
    return keras.ops.conv(inputs, kernel, data_format=layer.data_format)
