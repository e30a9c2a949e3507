"""What was found, as files: pictures, TensorBoard images and numbers for JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_pictures(folder: Path, tag: str, drawn: Mapping[str, Any]) -> None:
    """Writes matplotlib figures as PNGs and as TensorBoard images.

    Args:
        folder: The folder.
        tag: What TensorBoard shows them under.
        drawn: Figures by name.
    """
    from xnas_tf.utils.pictures import png
    from xnas_tf.utils.tensorboard import write_images

    for name, figure in drawn.items():
        picture = png(figure, dpi=150)
        (folder / f"{name}.png").write_bytes(picture)
        write_images(folder / "tensorboard", f"{tag}/{name}", [picture])


def write_facts(file: Path, facts: Mapping[str, Any]) -> None:
    """Writes figures as JSON, which knows no NaN."""
    file.write_text(json.dumps(facts, indent=2, allow_nan=False), encoding="utf-8")


def plain(values: Any) -> Any:
    """Numbers for JSON: null stands for what is not defined."""
    array = np.asarray(values, np.float64)
    if array.ndim:
        return [plain(each) for each in array]
    return float(array) if np.isfinite(array) else None
