"""Which values a Keras model takes: 0 to 1, 0 to 255 or -1 to 1, told from its first layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.errors import InputError, suggest
from xnas_tf.keras_tools.inspection import all_layers, edited_calls, inlined_calls, is_functional
from xnas_tf.keras_tools.preprocessing import to_model_input

AUTO = "auto"
OURS = "0-1"
"""What all models of a search are trained on."""
RANGES = {OURS: (0.0, 1.0), "-1-1": (-1.0, 1.0), "0-255": (0.0, 255.0)}
"""The narrowest first."""
CHOICES = (AUTO, "0-1", "0-255", "-1-1")
_PROBES = (0.0, 128.0, 255.0)
"""Constant images that are shown to a model."""
_CLOSE = 0.02
"""Rounding and half-precision numbers make less of a difference, relative to a range."""
_SCALED = 1 / 8
"""A slope below which layers that only multiply take 0 to 255: at 0.125 both 0 to 1 and 0 to
255 are 16 times too narrow or too wide for values from -1 to 1."""


@dataclass(frozen=True)
class InputRange:
    """The values that a model takes.

    Attributes:
        name: One of ``RANGES``.
        reason: How it is known, for people.
    """

    name: str
    reason: str

    @property
    def text(self) -> str:
        """Both, as one line."""
        return f"input range {self.name}: {self.reason}"


def scaled(images: Any, name: str) -> tf.Tensor:
    """uint8 images (B, H, W, C) as float32 values in a range of ``RANGES``."""
    if name == "0-255":  # by 255 and back might not give whole numbers in an optimised graph
        return tf.cast(images, tf.float32)
    return from_unit(to_model_input(images), name)


def from_unit(images: tf.Tensor, name: str) -> tf.Tensor:
    """Images (B, H, W, C) in [0, 1] as values in a range of ``RANGES``."""
    low, high = RANGES[name]
    return images if name == OURS else images * (high - low) + low


def check_range(given: str, allowed: Sequence[str] = CHOICES) -> str:
    """Returns ``given``; an ``InputError`` if it is no input range, which names the nearest."""
    if given not in allowed:
        raise InputError(f"--input-range: no range is called {suggest(given, allowed)}")
    return given


def declare_range(model: keras.Model, name: str = OURS) -> keras.Model:
    """Notes in a model, for as long as it is in memory, what it was trained on."""
    object.__setattr__(model, "_xnas_tf_input_range", name)  # past Keras' tracking
    return model


def range_of(model: keras.Model, image_shape: Sequence[int], given: str = AUTO) -> InputRange:
    """The values that a model takes.

    With ``auto`` models that a run trained take 0 to 1, whatever their layers are; of others the
    first layers tell: whatever they do to an image before the first layer with weights (other
    than ``Normalization``) is measured on constant images, in nested models, Keras Applications
    and functions too.

    Args:
        model: A Keras image classifier.
        image_shape: (H, W, C) of the images it will be shown.
        given: ``auto``, or the range itself.

    Raises:
        InputError: If there is no such range.
    """
    if check_range(given) != AUTO:
        return InputRange(given, "as given")
    if known := getattr(model, "_xnas_tf_input_range", ""):
        return InputRange(known, "as xnas-tf trained the model")
    kind = _input_type(model)
    if kind and not np.issubdtype(np.dtype(kind), np.floating):
        return InputRange("0-255", f"the model's input is of type {kind}")
    slopes, offsets, names = _first_steps(model, image_shape)
    if slopes is None or offsets is None:
        return _default("its first layers could not be followed")
    if np.allclose(slopes, 1, atol=_CLOSE) and np.allclose(offsets, 0, atol=_CLOSE):
        return _default("no layer scales the model's input")
    found = _fitting(slopes, offsets, any(name.startswith("Normalization") for name in names))
    low, high = RANGES[found]
    ends = np.stack([slopes * low + offsets, slopes * high + offsets])
    first = f"{', '.join(names)} at its beginning" if names else "what the model does first"
    made = f"{ends.min():.3g} to {ends.max():.3g}"
    return InputRange(found, f"{first} makes {made} of {low:g} to {high:g}")


def _default(why: str) -> InputRange:
    return InputRange(OURS, f"{why}; --input-range 0-255 or -1-1 if it was trained on these")


def _input_type(model: keras.Model) -> str | None:
    """The type of a model's input where its graph says it; ``bfloat16`` counts as a float."""
    if not is_functional(model):
        return None
    kind = keras.backend.standardize_dtype(tf.nest.flatten(model.inputs)[0].dtype)
    return "float32" if "float" in kind else kind


def _first_steps(
    model: keras.Model, image_shape: Sequence[int]
) -> tuple[np.ndarray | None, np.ndarray | None, list[str]]:
    """What reaches the first layer with weights, as slope and offset of each of its channels
    over the images' values, and the names of the scaling layers before; None where that is not
    a straight line, or where there is no such layer."""
    reached, names = _reaching(model, image_shape)
    if reached is None or not np.isfinite(reached).all():
        return None, None, []
    offsets = reached[0]
    slopes = (reached[2] - offsets) / _PROBES[2]
    bend = np.abs(offsets + _PROBES[1] * slopes - reached[1])
    moves = np.abs(slopes) * _PROBES[2] > 1e-6  # not those of padding
    if not moves.any() or (bend > _CLOSE * _PROBES[2] * np.abs(slopes))[moves].any():
        return None, None, []
    return slopes[moves], offsets[moves], names


def _reaching(
    model: keras.Model, image_shape: Sequence[int]
) -> tuple[np.ndarray | None, list[str]]:
    """The centre of each constant image, (3, channels), as the first layer with weights gets it."""
    reached: list[np.ndarray] = []
    names: list[str] = []
    holders = {  # what is inside them is seen by itself
        layer for layer in all_layers(model) if any(layer._flatten_layers(include_self=False))
    }

    def note(layer: keras.layers.Layer, inputs: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        if reached or layer in holders:
            return outputs
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            names.append(f"{type(layer).__name__} {layer.name!r}")
        elif _has_weights(layer) and inputs and inputs[0].shape[0] == len(_PROBES):
            values = np.asarray(tf.cast(inputs[0], tf.float32))
            centre = tuple(size // 2 for size in values.shape[1:-1])
            reached.append(values[(slice(None), *centre)])
        return outputs

    probes = np.asarray(_PROBES, np.float32).reshape(-1, 1, 1, 1) * np.ones(
        (1, *image_shape), np.float32
    )
    try:
        with inlined_calls(model):
            model(probes, training=False)  # Keras calls each layer twice when it builds them
            with edited_calls(model, note):
                model(probes, training=False)
    except Exception:  # whatever a user's layers raise is said where the images are shown
        return None, []
    return (reached[0] if reached else None), list(dict.fromkeys(names))


def _has_weights(layer: keras.layers.Layer) -> bool:
    """Whether a layer has numbers of its own, other than the states of random generators."""
    return any("float" in keras.backend.standardize_dtype(v.dtype) for v in layer.variables)


def _fitting(slopes: np.ndarray, offsets: np.ndarray, is_normalized: bool) -> str:
    """The range that layers ``slope * value + offset`` were made for.

    First the range that they map to 0 to 1 or to -1 to 1. Then, as data in [a, b] with the mean
    m has a variance of at most (b - m)(m - a) (Bhatia, Davis 2000), the narrowest range that
    could have the mean and the variance for which they give mean 0 and variance 1. Else the
    size of the slope decides.
    """
    for name in ("0-255", OURS, "-1-1"):
        low, high = (slopes * end + offsets for end in RANGES[name])
        if any(
            np.abs(low - to).max() <= _CLOSE and np.abs(high - 1).max() <= _CLOSE for to in (0, -1)
        ):
            return name
    means, variances = -offsets / slopes, slopes**-2.0
    if is_normalized or np.abs(offsets).max() > _CLOSE:
        for name, (low, high) in RANGES.items():
            if (variances <= (1 + _CLOSE) * (high - means) * (means - low)).all():
                return name
    return "0-255" if np.abs(slopes).max() < _SCALED else OURS
