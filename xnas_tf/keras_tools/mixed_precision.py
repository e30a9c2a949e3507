"""Traces training steps so that they compute in bfloat16.

The model remains a float32 model: its variables, predictions, explanations and saved files are
unaffected. Unlike float16, bfloat16 covers the range of float32, so no loss scaling is needed and
no step is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.compat import sublayers
from xnas_tf.keras_tools.inspection import all_layers, ending_of


@contextmanager
def mixed_precision(model: keras.Model) -> Iterator[None]:
    """Let a functional or sequential model's float32 layers compute in bfloat16 in the context.

    The output layer stays in float32, because a loss needs exact probabilities.
    """
    policy = keras.DTypePolicy("mixed_bfloat16")
    last = ending_of(model).layer
    exact = [last, *sublayers(last)] if isinstance(last, keras.layers.Layer) else []
    changed = [
        (layer, layer.dtype_policy)
        for layer in all_layers(model)
        if layer not in exact
        and layer.activity_regularizer is None  # its loss is added to others in float32
        and layer.dtype_policy.name == "float32"
    ]
    for layer, _ in changed:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer, before in changed:
            layer.dtype_policy = before


def check_devices() -> None:
    """Raise an ``InputError`` if there is a GPU that cannot compute in bfloat16."""
    for gpu in tf.config.list_physical_devices("GPU"):
        found = tf.config.experimental.get_device_details(gpu).get("compute_capability", (8, 0))
        if found < (8, 0):
            version = ".".join(map(str, found))
            raise InputError(
                f"training.mixed_precision: {gpu.name} has compute capability {version}; "
                "bfloat16 requires 8.0 or higher"
            )
