"""Computing in bfloat16 while a training step is traced.

The model stays a float32 one: its variables, what is predicted, explained and saved know
nothing of it. bfloat16 has float32's range, so that no loss has to be scaled and no step left
out, as float16 needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import all_layers, ending_of


@contextmanager
def mixed_precision(model: keras.Model) -> Iterator[None]:
    """Inside, the float32 layers of a functional or sequential model compute in bfloat16, but
    for the one that makes its output: a loss needs exact probabilities."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    last = ending_of(model).layer
    exact = last._flatten_layers() if isinstance(last, keras.layers.Layer) else []
    changed = [
        (layer, layer.dtype_policy)
        for layer in all_layers(model)
        if layer not in exact and layer.dtype_policy.name == "float32"
    ]
    for layer, _ in changed:
        object.__setattr__(layer, "_dtype_policy", policy)
    try:
        yield
    finally:
        for layer, before in changed:
            object.__setattr__(layer, "_dtype_policy", before)


def check_devices() -> None:
    """Checks that the GPUs, if there are any, compute in bfloat16.

    Raises:
        InputError: If one doesn't.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        found = tf.config.experimental.get_device_details(gpu).get("compute_capability", (8, 0))
        if found < (8, 0):
            version = ".".join(map(str, found))
            raise InputError(
                f"training.mixed_precision: {gpu.name} has compute capability {version}; "
                "bfloat16 needs 8.0 or more"
            )
