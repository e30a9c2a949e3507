"""Compares exported files with the original model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.data.dataset import Batch
from xnas_tf.errors import InputError, XnasError
from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.training.predictor import Predictor
from xnas_tf.utils.intervals import accuracy_interval

COARSE = 1e-2
"""Minimum tolerance for models that compute in bfloat16 or float16, because any change to their
graph changes the rounding. Differences of 0.002 have been observed."""
ALLOWED_LOSS = 0.01
"""Accuracy that a quantized model may lose without a warning: one percentage point."""


@dataclass(frozen=True)
class Comparison:
    """How a quantized model compares with the original model on the same test images.

    Attributes:
        images: Number of test images.
        model_accuracy: Accuracy of the original model with Wilson's interval, ``[low, accuracy,
            high]``.
        accuracy: Accuracy of the quantized model with Wilson's interval.
        agreement: Share of images for which both models predict the same class, with Wilson's
            interval.
    """

    images: int
    model_accuracy: list[float]
    accuracy: list[float]
    agreement: list[float]

    @property
    def loss(self) -> float:
        """The accuracy lost through quantization."""
        return self.model_accuracy[1] - self.accuracy[1]


def compare(kind: ExportFormat, path: Path, model: keras.Model, images: Batch) -> Comparison:
    """Measure the accuracy of an exported file and its agreement with the model."""
    wanted = Predictor(model, len(images))(images.images).argmax(axis=1)
    found = kind.outputs(path, images.images)["probabilities"].argmax(axis=1)
    shares = [
        accuracy_interval(float(np.sum(a == b)), len(images)) or []
        for a, b in ((wanted, images.labels), (found, images.labels), (found, wanted))
    ]
    return Comparison(len(images), *shares)


@dataclass(frozen=True)
class Reference:
    """A model's outputs in this process, with which exported files are compared.

    Attributes:
        images: uint8 images, (N, H, W, C).
        outputs: See ``Outputs``; the maps explain the predicted class.
        methods: The attribution methods that apply to the model.
        inapplicable: Reasons why other methods do not apply, by method name.
        is_coarse: Whether the model computes with less precision than float32.
    """

    images: np.ndarray
    outputs: Outputs
    methods: Sequence[AttributionMethod]
    inapplicable: dict[str, str]
    is_coarse: bool

    def tolerance(self, kind: ExportFormat) -> float:
        """Return the largest allowed difference between a format's outputs and the model's."""
        return max(kind.tolerance, COARSE) if self.is_coarse else kind.tolerance


def reference(
    model: keras.Model, images: np.ndarray, methods: Sequence[AttributionMethod]
) -> Reference:
    """Run a model on uint8 images (N, H, W, C), and explain its predictions."""
    inputs = to_model_input(images).numpy()
    probabilities = probabilities_of(model, inputs)
    outputs, applicable, inapplicable = {"probabilities": probabilities}, [], {}
    for method in methods:
        try:
            outputs[method.name] = method(model, inputs, probabilities.argmax(axis=1))
            applicable.append(method)
        except InputError as error:
            inapplicable[method.name] = str(error)
    is_coarse = any(each.compute_dtype in ("bfloat16", "float16") for each in all_layers(model))
    return Reference(images, outputs, applicable, inapplicable, is_coarse)


def differences(kind: ExportFormat, path: Path, expected: Reference) -> dict[str, float]:
    """Compare an exported file with the model, and return the ``difference`` of each output.

    Raises:
        XnasError: If a difference is too large, or an output's name or shape does not match the
            model's.
    """
    found, allowed = {}, expected.tolerance(kind)
    for name, values in kind.outputs(path, expected.images).items():
        wanted = expected.outputs.get(name)
        if wanted is None or wanted.shape != values.shape:
            shape = None if wanted is None else wanted.shape
            raise XnasError(f"its output {name!r} has shape {values.shape}, the model's {shape}")
        found[name] = difference(values, wanted)
        if not found[name] <= allowed:  # true for NaN as well
            raise XnasError(
                f"its {name} for {len(values)} images differ from the model's by "
                f"{found[name]:.2g}; allowed: {allowed:.0e}"
            )
    return found


def difference(values: np.ndarray, wanted: np.ndarray) -> float:
    """Return how much outputs differ from the expected ones.

    For probabilities (N, classes), the result is the largest absolute difference. For maps (N, H,
    W), the result is the largest mean absolute difference of any image, divided by the largest
    value in all maps. On other hardware, a value's last digit may differ. A rounding difference can
    move a ReLU's input across 0, so that a few pixels change by a thousandth.
    """
    distance = np.abs(values - wanted)
    if values.ndim == 2:
        return float(distance.max())
    return float(distance.mean(axis=(1, 2)).max() / (np.abs(wanted).max() or 1))
