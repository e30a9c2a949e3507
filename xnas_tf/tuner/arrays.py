"""Images and labels in memory, stored as a data set that a run can name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.dataset import check_images
from xnas_tf.data.labels import as_text, encode, one_per_image
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
    """Store arrays next to a run, so that its data can be loaded again; return the data set's name.

    The file is named after the run directory and a digest of the content.

    Raises:
        InputError: If they are not arrays of images and labels.
    """
    images, labels = checked_arrays("x", "y", *data)
    arrays = {"x": images, "y": labels}
    for argument, key, pair in (
        ("validation_data", "val", validation),
        ("test_data", "test", test),
    ):
        if pair is None:
            continue
        more, _ = arrays[f"x_{key}"], arrays[f"y_{key}"] = _checked_pair(argument, pair)
        if images.shape[1:] != more.shape[1:]:
            raise InputError(
                f"{argument}: images of shape {more.shape[1:]}; those of x are {images.shape[1:]}"
            )
    if class_names is not None:
        arrays["class_names"] = np.array([*map(as_text, class_names)])
    given = {
        key: one_per_image(arrays[f"y{key}"], len(arrays[f"x{key}"]), "y")[0]
        for key in ("", "_val", "_test")
        if f"y{key}" in arrays
    }
    encode(given, arrays.get("class_names"), "y")
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
        Images (N, H, W, C) and labels (N,) with their values unchanged; one-hot labels become
        class numbers.

    Raises:
        InputError: If they are not arrays of images and labels, called ``x_name`` and ``y_name``.
    """
    if y is None or not hasattr(x, "__array__") and not isinstance(x, Sequence):
        raise InputError(
            f"{x_name} is a {type(x).__name__}, {y_name} a {type(y).__name__}; allowed: arrays of "
            "images and labels, or the name of a data set such as 'folder:pets' as x"
        )
    images = np.asarray(check_images(x, x_name))
    labels, unused = one_per_image(y, len(images), y_name)
    return images, np.asarray(y) if unused else labels  # a data set says what is unused


def _checked_pair(name: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputError(f"{name} is a {type(pair).__name__}; allowed: (images, labels)")
    return checked_arrays(name, name, *pair)
