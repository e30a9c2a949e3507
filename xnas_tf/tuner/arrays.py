"""Stores arrays, or a ``tf.data.Dataset``, as a data set that a run can refer to by name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.checking import check_images
from xnas_tf.data.labels import as_text, clean_label, encode, one_per_image
from xnas_tf.data.quality import digests_of, join_names
from xnas_tf.errors import InputError, suggest
from xnas_tf.storage.run_directory import CONFIG, run_config, write_atomically

Arrays = Any
"""Images and labels, or a ``tf.data.Dataset`` of pairs of an image and a label."""
_IMAGE = 3
"""Number of axes of an image with channels."""


@dataclass(frozen=True)
class Stored:
    """Arrays that were stored as a data set."""

    name: str
    class_of: dict[Any, str]  # the class name of each label
    is_new: bool  # whether the file did not exist before

    @contextmanager
    def removed_if_refused(self, run_dir: Path) -> Iterator[None]:
        """Remove a new file if the context raises an ``InputError`` before the run begins."""
        try:
            yield
        except InputError:
            has_begun = (run_dir / CONFIG).is_file() and run_config(
                run_dir
            ).dataset.name == self.name
            if self.is_new and not has_begun:
                Path(self.name.removeprefix("npz:")).unlink(missing_ok=True)
            raise

    def weights(self, given: Any) -> dict[str, float]:
        """Convert class weights by label, as in Keras, to class weights by class name."""
        if not isinstance(given, Mapping):
            raise InputError(
                f"`class_weight` is of type {type(given).__name__}; allowed: a mapping of labels "
                "to weights, such as {0: 1.0, 1: 5.0}"
            )
        found = {}
        for label, weight in given.items():
            key = clean_label(label) if isinstance(label, str) else label
            if key not in self.class_of:
                raise InputError(
                    f"`class_weight`: no image has the label {suggest(key, self.class_of)}"
                )
            found[self.class_of[key]] = weight
        return found


def stored(
    run_dir: Path,
    data: tuple[Any, Any],
    validation: Arrays | None = None,
    test: Arrays | None = None,
    class_names: Sequence[str] | None = None,
) -> Stored:
    """Store arrays next to a run, so that the run's data can be loaded again.

    The file is named after the run directory and a digest of the content.
    """
    x, y = data
    if is_dataset(x) and y is not None:
        raise InputError("`y`: leave it out, because the tf.data.Dataset `x` contains the labels")
    class_names = getattr(x, "class_names", None) if class_names is None else class_names
    images, labels = (
        _checked_pair("`x`", x) if is_dataset(x) else checked_arrays("`x`", "`y`", x, y)
    )
    arrays = {"x": images, "y": labels}
    for argument, key, pair in (
        ("`validation_data`", "val", validation),
        ("`test_data`", "test", test),
    ):
        if pair is None:
            continue
        _check_classes(argument, x, pair)
        more, _ = arrays[f"x_{key}"], arrays[f"y_{key}"] = _checked_pair(argument, pair)
        if images.shape[1:] != more.shape[1:]:
            raise InputError(
                f"{argument}: images of shape {more.shape[1:]}; those of `x` are {images.shape[1:]}"
            )
    if class_names is not None:
        arrays["class_names"] = np.array([*map(as_text, class_names)])
    class_of = _class_of(arrays)
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # no key is allow_pickle
    digest = hashlib.blake2b(digest_size=4)
    for key, array in arrays.items():
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    path = run_dir.with_name(f"{run_dir.name}-{digest.hexdigest()}.npz")
    is_new = not path.is_file()
    if is_new:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, file.getvalue())
    return Stored(f"npz:{path}", class_of, is_new)


def _check_classes(argument: str, x: Any, pair: Any) -> None:
    """Check that labels mean the same classes in two ``tf.data.Dataset`` that name their classes.

    ``image_dataset_from_directory`` numbers the folders that it finds. If a class has no folder,
    the classes after it have other numbers than in ``x``.
    """
    names, others = (list(getattr(each, "class_names", None) or ()) for each in (x, pair))
    if any(name != other for name, other in zip(names, others, strict=False)):
        raise InputError(
            f"{argument} has the classes {join_names(others)}, but those of `x` are "
            f"{join_names(names)}, so its labels mean other classes; allowed: the same classes in "
            "the same order, such as image_dataset_from_directory(…, class_names=x.class_names)"
        )


def _class_of(arrays: Mapping[str, np.ndarray]) -> dict[Any, str]:
    """Return the class name of each label in the stored data set."""
    labels = {
        key: one_per_image(arrays[f"y{key}"], len(arrays[f"x{key}"]), "`y`")[0]
        for key in ("", "_val", "_test")
        if f"y{key}" in arrays
    }
    encoded = encode(labels, arrays.get("class_names"), "`y`")
    found: dict[Any, str] = {}
    for key, given in labels.items():
        _, first = np.unique(given, return_index=True)
        for label, number in zip(given[first].tolist(), encoded.numbers[key][first], strict=True):
            name = clean_label(label) if isinstance(label, str) else label
            found[name] = encoded.class_names[number]
    return found


def checked_arrays(x_name: str, y_name: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check images and labels given in the forms that ``Tuner.search`` accepts.

    Images (N, H, W, C) and labels (N,) are returned with their values unchanged, except that
    one-hot labels become class numbers. Errors call them ``x_name`` and ``y_name``.
    """
    if y is None or not hasattr(x, "__array__") and not isinstance(x, Sequence):
        raise InputError(
            f"{x_name} is of type {type(x).__name__}, {y_name} of type {type(y).__name__}; "
            "allowed: arrays of images and of labels, a tf.data.Dataset of both, or the name of a "
            "data set such as 'folder:pets' as `x`"
        )
    images = np.asarray(check_images(x, x_name))
    labels, unused = one_per_image(y, len(images), y_name)
    return images, np.asarray(y) if unused else labels  # the data set reports unused columns


def _checked_pair(name: str, pair: Any) -> tuple[np.ndarray, np.ndarray]:
    if is_dataset(pair):
        return sorted_by_content(*checked_arrays(name, name, *elements(pair, name)))
    if not isinstance(pair, Sequence) or len(pair) != 2:
        raise InputError(
            f"{name} is of type {type(pair).__name__}; allowed: (images, labels), or a "
            "tf.data.Dataset of both"
        )
    return checked_arrays(name, name, *pair)


def is_dataset(data: Any) -> bool:
    """Return whether an object is a ``tf.data.Dataset``, without importing TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def elements(dataset: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a ``tf.data.Dataset`` of pairs, which may be batched.

    Raises:
        InputError: If the elements are not pairs, the data set is infinite or empty, or the images
            differ in shape.
    """
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 2 and all(hasattr(s, "shape") for s in spec)):
        raise InputError(f"{name} has elements {spec}; allowed: pairs (image, label)")
    if int(dataset.cardinality()) == -1:
        raise InputError(f"{name} is infinite; allowed: one pass over the images, without repeat()")
    join = np.concatenate if _is_batched(spec[0].shape, spec[1].shape, name) else np.stack
    pairs = [*dataset.as_numpy_iterator()]
    if not pairs:
        raise InputError(f"{name} is empty")
    try:
        images, labels = (join(each) for each in zip(*pairs, strict=True))
    except ValueError as error:
        raise InputError(f"{name}: images differ in shape: {error}") from error
    return images, labels


def sorted_by_content(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels, which may be shuffled, in an order that depends on content only."""
    digests = digests_of(images)
    keys = [(digests[row].tobytes(), str(label)) for row, label in enumerate(labels.tolist())]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return images[order], labels[order]


def _is_batched(image: Any, label: Any, name: str) -> bool:
    """Return whether elements of these shapes are batches: (B, H, W[, C]) and (B,) or (B, K)."""
    if image.rank is not None and label.rank is not None:
        if image.rank != _IMAGE or label.rank == 0:
            return bool(image.rank > _IMAGE)
        if label.rank > 1 or image[0] is None:
            return True
        if image[0] != label[0]:  # an image (H, W, C) with a one-hot label
            return False
    raise InputError(
        f"{name} has elements of shapes {image} and {label}, which may be an image and a label or "
        "batches of them; allowed: batches (B, H, W, C) and (B,)"
    )
