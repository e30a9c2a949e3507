"""The range of values that a Keras model expects, inferred from its first layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.keras_tools.compat import sublayers
from xnas_tf.keras_tools.inspection import all_layers, edited_calls, inlined_calls, is_functional
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.range_names import AUTO, DEFAULT_RANGE, RANGES, check_range, limits_of
from xnas_tf.keras_tools.settings import float32_layers

_PROBES = (0.0, 128.0, 255.0)
"""Values of the constant images on which the first layers are measured."""
_TOLERANCE = 0.02
"""Tolerance relative to a range, larger than errors of rounding and half precision."""
_MAX_SLOPE_0_255 = 1 / 8
"""Layers that only multiply by less than this factor expect 0 to 255. At 0.125, values from 0 to 1
would be 16 times too narrow for -1 to 1, and those from 0 to 255 would be 16 times too wide."""


Origin = Literal["given", "trained", "measured", "assumed"]
"""How a range was determined: by the user, because xnas-tf trained the model on it, from the
model's first layers or the type of its input, or not at all."""


@dataclass(frozen=True)
class InputRange:
    """The range of values that a model expects."""

    name: str  # ``LOW-HIGH``; see ``limits_of``
    reason: str  # how it was determined, as text
    origin: Origin

    @property
    def is_certain(self) -> bool:
        """Whether the range is certain, because xnas-tf trained the model on it."""
        return self.origin == "trained"

    @property
    def text(self) -> str:
        """The name and the reason as one line."""
        return f"input range {self.name}: {self.reason}"


def scaled(images: Any, name: str) -> tf.Tensor:
    """Convert uint8 images (B, H, W, C) to float32 values in a range."""
    if name == "0-255":  # dividing by 255 and multiplying again might not give whole numbers
        return tf.cast(images, tf.float32)
    return from_unit(to_model_input(images), name)


def from_unit(images: tf.Tensor, name: str) -> tf.Tensor:
    """Convert images (B, H, W, C) in [0, 1] to values in a range."""
    low, high = limits_of(name)
    return images if name == DEFAULT_RANGE else images * (high - low) + low


def from_unit_model(model: keras.Model, image_shape: Sequence[int], name: str) -> keras.Model:
    """Return a model for images (B, H, W, C) in [0, 1], given a model for another range."""
    if name == DEFAULT_RANGE:
        return model
    low, high = limits_of(name)
    with float32_layers():
        scaling = keras.layers.Rescaling(high - low, low)
        return keras.Sequential([keras.Input(image_shape), scaling, model], name=model.name)


def declare_range(model: keras.Model) -> keras.Model:
    """Record, in memory only, that a model was trained on ``DEFAULT_RANGE``, and return it."""
    object.__setattr__(model, "_xnas_tf_trained", True)  # without Keras' attribute tracking
    return model


def range_of(model: keras.Model, image_shape: Sequence[int], given: str = AUTO) -> InputRange:
    """Return the range of values that a model expects for images of shape (H, W, C).

    With ``auto``, models trained by a run expect 0 to 1. For other models, constant images are used
    to measure what happens before the first layer with weights (other than ``Normalization``).

    Raises:
        InputError: If ``given`` is not an input range.
    """
    if (name := check_range(given)) != AUTO:
        return InputRange(name, "as given", "given")
    if getattr(model, "_xnas_tf_trained", False):
        return InputRange(DEFAULT_RANGE, "as xnas-tf trained the model", "trained")
    if is_functional(model):
        dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
        if "float" not in dtype:
            return InputRange("0-255", f"the model's input is of type {dtype}", "measured")
    values, names = _probe(model, image_shape)
    scaling = _scaling_of(values)
    if scaling is None:
        return _default("the scaling in its first layers could not be measured")
    slopes, offsets = scaling
    if np.allclose(slopes, 1, atol=_TOLERANCE) and np.allclose(offsets, 0, atol=_TOLERANCE):
        return _default("no layer scales the model's input")
    found = _range_for(slopes, offsets, any(name.startswith("Normalization") for name in names))
    low, high = RANGES[found]
    ends = np.stack([slopes * low + offsets, slopes * high + offsets])
    first = f"{', '.join(names)} at its beginning" if names else "the first part of the model"
    scaled_to = f"{ends.min():.3g} to {ends.max():.3g}"
    reason = f"{first} turns {low:g} to {high:g} into {scaled_to}"
    return InputRange(found, reason, "measured")


def _default(why: str) -> InputRange:
    advice = "set `input_range` if it was trained on another, such as 0-255, -1-1 or 0-16"
    return InputRange(DEFAULT_RANGE, f"assumed, because {why}; {advice}", "assumed")


def _scaling_of(values: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Return slopes and offsets (channels,) of ``_probe``'s values, or None if not linear."""
    if values is None or not np.isfinite(values).all():
        return None
    offsets = values[0]
    slopes = (values[2] - offsets) / _PROBES[2]
    deviation = np.abs(offsets + _PROBES[1] * slopes - values[1])
    varies = np.abs(slopes) * _PROBES[2] > 1e-6  # false for channels of padding
    is_bent = deviation > _TOLERANCE * _PROBES[2] * np.abs(slopes)
    if not varies.any() or is_bent[varies].any():
        return None
    return slopes[varies], offsets[varies]


def _probe(model: keras.Model, image_shape: Sequence[int]) -> tuple[np.ndarray | None, list[str]]:
    """Return the values that constant images have at the centre of the first layer with weights.

    Returns:
        An array (3, channels), or None if no such layer is reached; and the names of the preceding
        scaling layers.
    """
    reached: list[np.ndarray] = []
    names: list[str] = []
    # The layers inside these are observed instead.
    containers = {layer for layer in all_layers(model) if sublayers(layer)}

    def record(layer: keras.layers.Layer, inputs: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        if reached or layer in containers:
            return outputs
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            names.append(f"{type(layer).__name__} {layer.name!r}")
        elif _has_weights(layer) and inputs and inputs[0].shape[0] == len(_PROBES):
            values = np.asarray(tf.cast(inputs[0], tf.float32))
            centre = tuple(size // 2 for size in values.shape[1:-1])
            reached.append(values[(slice(None), *centre)])
        return outputs

    probes = np.stack([np.full(image_shape, value, np.float32) for value in _PROBES])
    try:
        with inlined_calls(model):
            model(probes, training=False)  # Keras calls each layer twice when it builds them
            with edited_calls(model, record):
                model(probes, training=False)
    except Exception:  # noqa: BLE001 - of a user's layers; raised again when the model gets the real images
        return None, []
    return (reached[0] if reached else None), list(dict.fromkeys(names))


def _has_weights(layer: keras.layers.Layer) -> bool:
    """Return whether a layer has variables other than random generators' states."""
    return any("float" in keras.backend.standardize_dtype(v.dtype) for v in layer.variables)


def _range_for(slopes: np.ndarray, offsets: np.ndarray, is_normalized: bool) -> str:
    """Infer the input range of layers that compute ``slope * value + offset``.

    The first choice is a range that the layers map to [0, 1] or [-1, 1]. The second is the
    narrowest range whose data the layers could normalise to mean 0 and variance 1. Data in [a, b]
    with mean m has a variance of at most (b - m)(m - a) (Bhatia & Davis 2000). Otherwise, the slope
    decides.
    """
    for name in ("0-255", DEFAULT_RANGE, "-1-1"):
        low, high = (slopes * end + offsets for end in RANGES[name])
        for lowest in (0, -1):
            errors = np.abs(low - lowest).max(), np.abs(high - 1).max()
            if all(error <= _TOLERANCE for error in errors):
                return name
    means, variances = -offsets / slopes, slopes**-2.0
    if is_normalized or np.abs(offsets).max() > _TOLERANCE:
        for name, (least, most) in RANGES.items():
            if (variances <= (1 + _TOLERANCE) * (most - means) * (means - least)).all():
                return name
    return "0-255" if np.abs(slopes).max() < _MAX_SLOPE_0_255 else DEFAULT_RANGE
