"""Writes results as PNGs, TensorBoard images and JSON files."""

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


def write_pictures(folder: Path, tag: str, figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Write figures as PNGs and as TensorBoard images tagged ``TAG/NAME``; return the PNGs."""
    pictures = {name: png(figure, dpi=150) for name, figure in figures.items()}
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(picture)
        write_images(folder / "tensorboard", f"{tag}/{name}", [picture])
    return pictures


def write_facts(file: Path, facts: Mapping[str, Any]) -> None:
    """Write NaN-free values as JSON, including numbers from NumPy, such as a seed."""
    text = json.dumps(facts, indent=2, allow_nan=False, default=np.generic.item)
    file.write_text(text, encoding="utf-8")


def plain(values: Any) -> Any:
    """Convert a number or an array to JSON values, with None instead of NaN and infinity."""
    array = np.asarray(values, np.float64)
    if array.ndim:
        return [plain(row) for row in array]
    return float(array) if np.isfinite(array) else None
