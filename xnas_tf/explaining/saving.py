"""An explanation as files: pictures, maps, figures, TensorBoard images."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.errors import InputError
from xnas_tf.report.attributions import attribution_figure, overlay
from xnas_tf.report.figures import png

if TYPE_CHECKING:
    from xnas_tf.attribution.base import AttributionMethod
    from xnas_tf.explaining.explanation import Explanation

COLUMNS = 10
"""Images side by side in one picture."""


def save(explanation: Explanation, out: Path, title: str = "") -> Path:
    """Writes next to the place and renames, so that a kill leaves no half explanation."""
    if out.exists():
        raise InputError(f"{out} is there already and was not touched; name another with --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".explain-", dir=out.parent))
        try:
            _write(explanation, draft, title)
            draft.chmod(out.parent.stat().st_mode)
            draft.rename(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise InputError(f"the explanation cannot be written to {out}: {error}") from error
    return out


def _write(explanation: Explanation, folder: Path, title: str) -> None:
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
    np.savez_compressed(folder / "maps.npz", **_arrays(explanation))
    text = json.dumps(facts(explanation), indent=2)
    (folder / "explanation.json").write_text(text, encoding="utf-8")
    _write_tensorboard(pictures, folder / "tensorboard")


def _write_tensorboard(pictures: list[bytes], folder: Path) -> None:
    from xnas_tf.report.tensorboard import write_images

    write_images(folder, "attributions", pictures)


def _keys(explanation: Explanation) -> dict[AttributionMethod, str]:
    """Names of the methods in files; numbered where one was taken with several options."""
    names = [method.name for method in explanation.maps]
    return {
        method: name if names.count(name) == 1 else f"{name}_{1 + names[:i].count(name)}"
        for i, (method, name) in enumerate(zip(explanation.maps, names, strict=True))
    }


def _arrays(explanation: Explanation) -> dict[str, np.ndarray]:
    labels = {} if explanation.labels is None else {"labels": explanation.labels}
    return {
        "images": explanation.images,
        "probabilities": explanation.probabilities,
        "targets": explanation.targets,
        **labels,
        **{key: explanation.maps[method] for method, key in _keys(explanation).items()},
    }


def facts(explanation: Explanation) -> dict[str, Any]:
    """What was explained and how good the explanations are, for programs."""
    labels = explanation.labels
    images = [
        {
            "predicted": explanation.class_names[int(predicted)],
            "probability": round(float(explanation.probabilities[i, predicted]), 6),
            "explained": explanation.class_names[int(explanation.targets[i])],
            "label": None if labels is None else explanation.class_names[int(labels[i])],
        }
        for i, predicted in enumerate(explanation.predicted)
    ]
    methods = {
        key: {
            "options": method.model_dump(mode="json"),
            "quality": {
                name: {"mean": float(np.mean(values)), "images": [float(v) for v in values]}
                for name, values in explanation.quality.get(method, {}).items()
            },
        }
        for method, key in _keys(explanation).items()
    }
    return {"images": images, "methods": methods, "failures": explanation.failures}
