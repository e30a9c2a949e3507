"""An explanation as files: figures, maps, metrics, TensorBoard images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.explanation.drawing import attribution_figure, overlay
from xnas_tf.interpretation.files import plain
from xnas_tf.utils.output_folder import atomic_folder
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import write_images

if TYPE_CHECKING:
    from xnas_tf.attribution.base import AttributionMethod
    from xnas_tf.explanation.explanation_data import ExplanationData

COLUMNS = 10
"""Images in a row of a figure."""


def save(explanation: ExplanationData, out: Path, title: str = "") -> Path:
    """Write an explanation into a new folder; see ``Explanation.save``."""
    with atomic_folder(out) as draft:
        _write(explanation, draft, title)
    return out


def _write(explanation: ExplanationData, folder: Path, title: str) -> None:
    pictures = []
    for number, start in enumerate(range(0, len(explanation.images), COLUMNS), start=1):
        rows = range(start, min(start + COLUMNS, len(explanation.images)))
        pictures.append(png(attribution_figure(explanation, title, rows), dpi=150))
        (folder / f"overview-{number}.png").write_bytes(pictures[-1])
    (folder / "overlays").mkdir()
    for method, key in _keys(explanation).items():
        for number, values in enumerate(explanation.maps[method]):
            name = f"{number:04d}-{key}.png"
            picture = overlay(explanation.images[number], values, method.signed)
            picture.save(folder / "overlays" / name)
    # NumPy's stub takes the arrays for the keyword ``allow_pickle``.
    np.savez_compressed(folder / "maps.npz", **_arrays(explanation))  # type: ignore[arg-type]
    text = json.dumps(facts(explanation), indent=2)
    (folder / "explanation.json").write_text(text, encoding="utf-8")
    write_images(folder / "tensorboard", "attributions", pictures)


def _keys(explanation: ExplanationData) -> dict[AttributionMethod, str]:
    """Return the methods' names in files, numbered if a method has several sets of options."""
    names = [method.name for method in explanation.maps]
    return {
        method: name if names.count(name) == 1 else f"{name}_{1 + names[:i].count(name)}"
        for i, (method, name) in enumerate(zip(explanation.maps, names, strict=True))
    }


def _arrays(explanation: ExplanationData) -> dict[str, np.ndarray]:
    labels = {} if explanation.labels is None else {"labels": explanation.labels}
    return {
        "images": explanation.images,
        "probabilities": explanation.probabilities,
        "targets": explanation.targets,
        **labels,
        **{key: explanation.maps[method] for method, key in _keys(explanation).items()},
    }


def facts(explanation: ExplanationData) -> dict[str, Any]:
    """Return predictions and the quality of the maps as JSON can hold them; NaN as None."""
    labels = explanation.labels
    images = [
        {
            "predicted": explanation.class_names[int(predicted)],
            "probability": plain(explanation.probabilities[i, predicted]),
            "explained": explanation.class_names[int(explanation.targets[i])],
            "label": None if labels is None else explanation.class_names[int(labels[i])],
        }
        for i, predicted in enumerate(explanation.predicted)
    ]
    methods = {
        key: {
            "options": method.model_dump(mode="json"),
            "quality": {
                name: {"mean": plain(np.mean(values)), "images": plain(values)}
                for name, values in explanation.quality.get(method, {}).items()
            },
        }
        for method, key in _keys(explanation).items()
    }
    accuracy = explanation.accuracy
    return {
        "input_range": explanation.input_range or None,
        "accuracy": accuracy and accuracy.as_dict(),
        "images": images,
        "methods": methods,
        "failures": explanation.failures,
    }
