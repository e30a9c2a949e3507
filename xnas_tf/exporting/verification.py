"""Compares exported files with the original model, and its maps with random maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from xnas_tf.attribution import attribution_method
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.metrics import deletion, insertion, is_empty, random_maps
from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.data.dataset import Batch
from xnas_tf.errors import InputError, XnasError
from xnas_tf.explanation import DEFAULT_METHODS
from xnas_tf.explanation.quality import RANDOM
from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.training.predictor import Predictor
from xnas_tf.utils.intervals import accuracy_interval, is_clearly_positive

COARSE = 1e-2
"""Minimum tolerance for models that compute in bfloat16 or float16, because any change to their
graph changes the rounding. Differences of 0.002 have been observed."""
ALLOWED_LOSS = 0.01
"""Accuracy that a quantized model may lose without a warning: one percentage point."""


def compare(kind: ExportFormat, path: Path, model: keras.Model, images: Batch) -> dict[str, Any]:
    """Measure a quantized file's accuracy, and its agreement with the model, on test images.

    Returns:
        The number of ``images``; and as ``[low, share, high]`` with Wilson's interval, the accuracy
        of the model and of the file, and the share of images with the same predicted class.
    """
    wanted = Predictor(model, len(images))(images.images).argmax(axis=1)
    found = kind.outputs(path, images.images)["probabilities"].argmax(axis=1)
    pairs = {
        "model_accuracy": (wanted, images.labels),
        "accuracy": (found, images.labels),
        "agreement": (found, wanted),
    }
    shares = {n: accuracy_interval(int(np.sum(a == b)), len(a)) for n, (a, b) in pairs.items()}
    return {"images": len(images), **shares}


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


def reference(model: keras.Model, images: np.ndarray) -> Reference:
    """Run a model on uint8 images (N, H, W, C), and explain its predictions."""
    inputs = to_model_input(images).numpy()
    probabilities = probabilities_of(model, inputs)
    outputs, applicable, inapplicable = {"probabilities": probabilities}, [], {}
    for method in [attribution_method(name)() for name in DEFAULT_METHODS]:
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

    For probabilities (N, classes), this is the largest absolute difference. For maps (N, H, W), it
    is the largest mean absolute difference of an image, divided by the largest value in all maps,
    because a rounding difference can move a ReLU's input across 0, so that a few pixels change by a
    thousandth.
    """
    distance = np.abs(values - wanted)
    if values.ndim == 2:
        return float(distance.max())
    return float(distance.mean(axis=(1, 2)).max() / (np.abs(wanted).max() or 1))


def map_quality(
    model: keras.Model, expected: Reference, is_noise: bool = False
) -> dict[str, dict[str, float | None]]:
    """Compute mean deletion and insertion for each attribution method and for ``RANDOM`` maps.

    ``better_than_random`` is true if the difference between insertion and deletion is clearly
    larger than for random maps of the same images; it is missing if there are too few images to
    tell, or if they are noise (``is_noise``), which says nothing about real images. All-zero maps
    are left out and counted as ``empty``; if all maps are empty, the means are None.
    """
    images = to_model_input(expected.images).numpy()
    maps = {method.name: expected.outputs[method.name] for method in expected.methods}
    if not maps:
        return {}
    maps[RANDOM] = random_maps(images.shape[:3])
    found: dict[str, dict[str, float | None]] = {}
    gaps = {}
    for name, values in maps.items():
        empty = is_empty(values)
        deletions, insertions = (
            np.where(empty, np.nan, compute(model, images, values))
            for compute in (deletion, insertion)
        )
        gaps[name] = insertions - deletions
        means = {"deletion": _mean(deletions), "insertion": _mean(insertions)}
        found[name] = {"empty": int(np.isnan(deletions).sum()), **means}
    for method in () if is_noise else expected.methods:
        is_better = is_clearly_positive(gaps[method.name] - gaps[RANDOM])
        if is_better is not None:
            found[method.name]["better_than_random"] = is_better
    return found


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
