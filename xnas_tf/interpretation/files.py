"""Results as files: PNGs, TensorBoard images and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import write_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_pictures(folder: Path, tag: str, figures: Mapping[str, Figure]) -> None:
    """Write figures as PNGs, and as TensorBoard images with tags ``TAG/NAME``."""
    for name, figure in figures.items():
        picture = png(figure, dpi=150)
        (folder / f"{name}.png").write_bytes(picture)
        write_images(folder / "tensorboard", f"{tag}/{name}", [picture])


def write_facts(file: Path, facts: Mapping[str, Any]) -> None:
    """Write values as JSON, which has no NaN."""
    file.write_text(json.dumps(facts, indent=2, allow_nan=False), encoding="utf-8")


def plain(values: Any) -> Any:
    """Return a number, or an array as nested lists, for JSON; None replaces NaN and infinity."""
    array = np.asarray(values, np.float64)
    if array.ndim:
        return [plain(row) for row in array]
    return float(array) if np.isfinite(array) else None
