"""Images and labels in memory, stored as a data set that a run can name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.dataset import check_images
from xnas_tf.errors import InputError
from xnas_tf.storage.run_directory import write_atomically

Arrays = tuple[Any, Any]
"""Images and labels."""


def stored(
    run_dir: Path,
    data: Arrays,
    validation: Arrays | None = None,
    test: Arrays | None = None,
    class_names: Sequence[str] | None = None,
) -> str:
    """Store arrays beside a run, so that its data can be loaded again; return the data set's name.

    The file is named after the run directory and a digest of the content.

    Raises:
        InputError: If they are not arrays of images and labels.
    """
    images, labels = checked_arrays("x", "y", *data)
    arrays = {"x": images, "y": labels}
    if validation is not None:
        more_images, more_labels = _checked_pair("validation_data", validation)
        if images.shape[1:] != more_images.shape[1:]:
            raise InputError(
                f"validation_data: images of shape {more_images.shape[1:]}; those of x are "
                f"{images.shape[1:]}"
            )
        arrays = {
            "x": np.concatenate([images, more_images]),
            "y": np.concatenate([labels, more_labels]),
            "parts": np.repeat(["", "validation"], [len(labels), len(more_labels)]),
        }
    if test is not None:
        arrays["x_test"], arrays["y_test"] = _checked_pair("test_data", test)
    if class_names is not None:
        arrays["class_names"] = np.array([*map(str, class_names)])
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # no key is allow_pickle
    digest = hashlib.blake2b(digest_size=4)
    for key, array in arrays.items():
        digest.update(f"{key} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    path = run_dir.with_name(f"{run_dir.name}-{digest.hexdigest()}.npz")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, file.getvalue())
    return f"npz:{path}"


def checked_arrays(x_name: str, y_name: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check images and labels in the forms that ``Tuner.search`` takes.

    Returns:
        Images (N, H, W, C) with their values unchanged, and class numbers (N,).

    Raises:
        InputError: If they are not arrays of images and labels, called ``x_name`` and ``y_name``.
    """
    if y is None or not hasattr(x, "__array__") and not isinstance(x, Sequence):
        raise InputError(
            f"{x_name} is a {type(x).__name__}, {y_name} a {type(y).__name__}; allowed: arrays of "
            "images and labels, or the name of a data set such as 'folder:pets' as x"
        )
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise InputError(f"{y_name}: rows of {labels.shape[1]} numbers that are not one-hot")
        labels = labels.argmax(axis=1)
    images = np.asarray(check_images(x, x_name))
    labels = labels.reshape(-1)
    if len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{y_name}: {len(labels)} labels of type {labels.dtype} for {len(images)} images; "
            "allowed: a whole number for each"
        )
    return images, labels


def _checked_pair(name: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputError(f"{name} is a {type(pair).__name__}; allowed: (images, labels)")
    return checked_arrays(name, name, *pair)
