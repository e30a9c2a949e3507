"""Whether what was written says the same as the model it was written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.errors import InputError, XnasError
from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.preprocessing import to_model_input

COARSE = 1e-2
"""Allowed at least of models that compute in bfloat16 or float16: any rewriting of their graph
rounds elsewhere. 0.002 was seen."""


@dataclass(frozen=True)
class Reference:
    """What a model says of some images, in this process.

    Attributes:
        images: uint8, (N, H, W, C).
        outputs: ``probabilities`` (N, classes), and maps (N, H, W) of the predicted class by
            method.
        methods: The attribution methods that apply to the model.
        inapplicable: Why others do not, by name.
        is_coarse: Whether the model computes in less than single precision.
    """

    images: np.ndarray
    outputs: Outputs
    methods: Sequence[AttributionMethod]
    inapplicable: dict[str, str]
    is_coarse: bool

    def tolerance(self, kind: ExportFormat) -> float:
        """How far outputs in a format may be from these."""
        return max(kind.tolerance, COARSE) if self.is_coarse else kind.tolerance


def reference(
    model: keras.Model, images: np.ndarray, methods: Sequence[AttributionMethod]
) -> Reference:
    """Runs a model on images, (N, H, W, C) uint8, and explains what it predicts."""
    inputs = to_model_input(images).numpy()
    probabilities = probabilities_of(model, inputs)
    maps, inapplicable = {}, {}
    for method in methods:
        try:
            maps[method] = method(model, inputs, probabilities.argmax(axis=1))
        except InputError as error:
            inapplicable[method.name] = str(error)
    named = {method.name: values for method, values in maps.items()}
    outputs = {"probabilities": probabilities, **named}
    is_coarse = any(each.compute_dtype in ("bfloat16", "float16") for each in all_layers(model))
    return Reference(images, outputs, [*maps], inapplicable, is_coarse)


def differences(kind: ExportFormat, path: Path, expected: Reference) -> dict[str, float]:
    """How far what was written is from the model, by output: see ``difference``.

    Raises:
        XnasError: If it is too far, or has other outputs.
    """
    result = {}
    for name, values in kind.outputs(path, expected.images).items():
        wanted = expected.outputs.get(name)
        if wanted is None or wanted.shape != values.shape:
            shape = None if wanted is None else wanted.shape
            raise XnasError(f"its output {name!r} has shape {values.shape}, the model's {shape}")
        result[name] = difference(values, wanted)
        if not result[name] <= expected.tolerance(kind):  # NaN is too far as well
            raise XnasError(
                f"its {name} of {len(values)} images differ from the model's by "
                f"{result[name]:.2g}; allowed: {expected.tolerance(kind):.0e}"
            )
    return result


def difference(values: np.ndarray, wanted: np.ndarray) -> float:
    """How far outputs are from those wanted.

    Of probabilities (N, classes) it is the largest difference. Of maps (N, H, W) it is the mean
    one, of the image where that is largest, as a share of the largest value of all maps: on
    other hardware the last digit may differ, which can put a ReLU on the other side of 0, and
    then a few pixels differ by a thousandth.
    """
    far = np.abs(values - wanted)
    if values.ndim == 2:
        return float(far.max())
    return float(far.mean(axis=(1, 2)).max() / (np.abs(wanted).max() or 1))
