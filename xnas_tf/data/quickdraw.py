"""Loads Quick, Draw! drawings from Google's NumPy bitmap files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from xnas_tf.data.image_files import where
from xnas_tf.data.image_list import ImageFiles, ImageList, row_names
from xnas_tf.data.quality import Findings
from xnas_tf.errors import InputError

MOST = 5_000
"""Number of drawings to use from the beginning of each file. Files have 100,000 or more;
MNIST and CIFAR-10 have 6,000 and 5,000 training images of each class."""
_PREFIX = "full_numpy_bitmap_"
_SIDE = 28


def quickdraw(argument: str) -> ImageFiles:
    """Find the files ``CLASS.npy`` or ``full_numpy_bitmap_CLASS.npy`` in a folder.

    Each file contains a uint8 array (N, 784), whose first 5,000 rows are used.
    """
    name, folder = f"data set quickdraw:{argument}", Path(os.path.expanduser(argument))
    if not folder.is_dir():
        raise InputError(f"{name}: there is no such folder{where(folder)}")
    visible = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    found: dict[str, Path] = {}
    for file in (each for each in visible if each.suffix == ".npy"):
        other = found.setdefault(file.stem.removeprefix(_PREFIX), file)
        if other is not file:
            raise InputError(f"{name}: {other.name} and {file.name} are for the same class")
    if not found:
        raise InputError(
            f"{name}: it has no .npy files; wanted: one for each class, such as cat.npy, from "
            "https://console.cloud.google.com/storage/browser/quickdraw_dataset/full/numpy_bitmap"
        )
    classes = dict(sorted(found.items()))
    listing = partial(_list_drawings, classes, len(visible) - len(found), name)
    return ImageFiles(list(classes.values()), listing, f"quickdraw {folder.resolve()}")


def _list_drawings(classes: Mapping[str, Path], ignored: int, name: str) -> ImageList:
    stored = [_open(file, name) for file in classes.values()]
    used = [rows[:MOST].reshape(-1, _SIDE, _SIDE) for rows in stored]
    counts, total = list(map(len, used)), sum(map(len, stored))
    remark = f"of {total:,} drawings, at most the first {MOST:,} of each class are used"
    remarks = (remark,) if total > sum(counts) else ()
    return ImageList(
        row_names((file.name for file in classes.values()), map(range, counts)),
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        tuple(classes),
        lambda: chain.from_iterable(used),
        findings=Findings(ignored=ignored, remarks=remarks),
    )


def _open(file: Path, name: str) -> np.ndarray:
    """Return the drawings of a file, (N, 784), memory-mapped."""
    try:
        rows = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{name}: {file.name} is truncated or cannot be read: {error}") from error
    if rows.dtype != np.uint8 or rows.shape[1:] != (_SIDE**2,) or not rows.size:
        raise InputError(
            f"{name}: {file.name} has {rows.dtype} {rows.shape}; wanted: uint8 (N, {_SIDE**2})"
        )
    return rows
