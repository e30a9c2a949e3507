"""Data sets: loading by name, checks, and the split into train, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from xnas_tf.data.dataset import Dataset, Source, Split, check_images, check_labels
from xnas_tf.data.disk_images import Rows
from xnas_tf.data.image_cache import Reading, stored
from xnas_tf.data.image_list import ImageFiles
from xnas_tf.data.quality import identical
from xnas_tf.data.splitting import split
from xnas_tf.data.value_scaling import Scaling, as_bytes, check_alike
from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import Registry

__all__ = [
    "DATASETS",
    "Dataset",
    "ImageFiles",
    "Part",
    "Source",
    "dataset_forms",
    "load_dataset",
]

DATASETS = Registry(
    "data set",
    "xnas_tf.datasets",
    {
        "mnist5k": "xnas_tf.data.builtin:mnist5k",
        "digits": "xnas_tf.data.builtin:digits",
        "folder": "xnas_tf.data.image_files:folder",
        "csv": "xnas_tf.data.image_files:table",
        "npz": "xnas_tf.data.builtin:npz",
        "tfrecord": "xnas_tf.data.tfrecords:tfrecord",
        "keras": "xnas_tf.data.builtin:keras_dataset",
        "tfds": "xnas_tf.data.tfrecords:tfds",
    },
)
_ARGUMENTS = {
    "folder": "PATH",
    "csv": "FILE",
    "npz": "FILE",
    "tfrecord": "FILES",
    "keras": "NAME",
    "tfds": "NAME",
}


def load_dataset(
    name: str,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    group: str | None = None,
    max_corrupt: float = 0.1,
    tell: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Loads a data set and splits it, stratified by class.

    Args:
        name: ``mnist5k``, ``digits``, ``folder:PATH``, ``csv:FILE``, ``npz:FILE``,
            ``tfrecord:FILES``, ``keras:NAME``, ``tfds:NAME``, a registered name, or
            ``package.module:function`` returning a ``Source``.
        validation: Share of all images for validation.
        test: Share of all images for test; not used where a test part is published.
        seed: Seed of the split; independent of the search's seed, so that runs with
            several seeds see the same parts.
        size: Height and width of the images in pixels, one number for both; if None that of
            the source, of image files the usual one.
        channels: 1 or 3; those of the source if None.
        group: Regular expression that finds in the name of an image file what it belongs with.
        max_corrupt: Share of image files that may be left out because they cannot be decoded.
        tell: Is told of work that takes a while.

    Raises:
        InputError: If there is no such data set, or it isn't fit for classification.
    """
    sizes = (size, size) if isinstance(size, int) else size and tuple(size)
    source = _source(name)
    if isinstance(source, ImageFiles):
        source = stored(source, Reading(sizes, channels, group, max_corrupt), name, tell)
    elif group:
        raise InputError(f"dataset.group: {name} has no image files; allowed: with those alone")
    given = [check_images(source.images, name)]
    given += [check_images(source.test[0], f"{name} (test)")] if source.test else []
    labels = check_labels(source.labels, len(given[0]), source.class_names, name)
    names = source.class_names or tuple(str(i) for i in range(labels.max() + 1))
    shares = {"validation": validation} | ({"test": test} if source.test is None else {})
    rows = split(labels, names, shares, seed, name, source.groups, source.parts)
    stored_images, scaling = _as_bytes(given, rows, name)
    images, *published = [_fitted(each, sizes, channels, name) for each in stored_images]
    everything = Split(images, labels)
    parts = {part: everything.select(rows[part]) for part in rows}
    if source.test is not None:
        parts["test"] = _published_test(published[0], source.test[1], names, images.shape, name)
    return Dataset(
        name,
        names,
        **parts,
        mirrored=source.mirrored,
        findings=_findings(source, images, labels, rows),
        how_split=_how(source),
        scaling=scaling,
    )


def _how(source: Source) -> str:
    """What decides on the parts."""
    given = sorted({"test"} if source.test else set(() if source.parts is None else source.parts))
    words = [f"{', '.join(filter(None, given))} as given"] * any(given)
    whole = [] if source.groups is None else ["groups stay whole"]
    return "; ".join([*words, "by class", *whole])


def _source(name: str) -> Source | ImageFiles:
    scheme, _, argument = name.partition(":")
    if scheme in DATASETS.names():
        if argument and scheme in ("mnist5k", "digits"):
            raise InputError(f"data set {name!r}: {scheme} takes no argument")
        if not argument and scheme in _ARGUMENTS:
            raise InputError(f"data set {name!r}: allowed: {scheme}:{_ARGUMENTS[scheme]}")
        return DATASETS.get(scheme)(argument)
    if not argument:
        raise InputError(f"unknown data set {_suggested(name)}")
    source = DATASETS.get(name)()
    if not isinstance(source, Source | ImageFiles):
        raise InputError(f"data set {name}: the function returned no xnas_tf.data.Source")
    return source


def _suggested(name: str) -> str:
    path = Path(name).expanduser()
    scheme = "folder" if path.is_dir() else path.suffix[1:] if path.is_file() else ""
    if scheme in _ARGUMENTS:
        return f"{name!r}: did you mean {scheme}:{name}?"
    return suggest(name, dataset_forms())


def dataset_forms() -> list[str]:
    """The registered names with what each takes: ``digits``, ``folder:PATH``, …"""
    names = DATASETS.names()
    return [f"{name}:{_ARGUMENTS[name]}" if name in _ARGUMENTS else name for name in names]


def _as_bytes(
    given: Sequence[np.ndarray | Rows], rows: dict[str, np.ndarray], name: str
) -> tuple[Sequence[np.ndarray | Rows], Scaling]:
    """All images, the published test part's too, as uint8; those of files are so already."""
    if any(isinstance(images, Rows) for images in given):
        return given, Scaling()
    order = sorted(rows, key=("train", "validation", "test").index)
    parts = {part: given[0][rows[part]] for part in order}
    if len(given) > 1:
        parts["test"] = given[1]
    check_alike(parts, name)
    return as_bytes(given)


def _fitted(
    images: np.ndarray | Rows, size: tuple[int, int] | None, channels: int | None, name: str
) -> np.ndarray | Rows:
    """Images in the size and channels wanted; those of files have them by now."""
    _, *own, depth = images.shape
    if isinstance(images, Rows) or (size in (None, tuple(own)) and channels in (None, depth)):
        return images
    if depth not in (1, 3):
        raise InputError(f"data set {name}: size and channels need 1 or 3 channels; it has {depth}")
    from PIL import Image

    from xnas_tf.data.decoding import fitted

    plain = images[..., 0] if depth == 1 else images
    return np.stack([fitted(Image.fromarray(each), size, channels or depth) for each in plain])


def _published_test(images, labels, names, shape, name: str) -> Split:
    if images.shape[1:] != shape[1:]:
        raise InputError(
            f"data set {name}: test images are {images.shape[1:]}, the others {shape[1:]}"
        )
    return Split(images, check_labels(labels, len(images), names, f"{name} (test)"))


def _findings(source: Source, images, labels: np.ndarray, rows: dict[str, np.ndarray]):
    """Those of the source, and twins in several parts or classes."""
    if not isinstance(images, Rows):
        return source.findings
    part = np.zeros(len(labels), np.int32)
    for number, each in enumerate(rows.values()):
        part[each] = number
    owners = np.stack([part, labels], axis=1)
    return replace(source.findings, identical=identical(images.digests, owners, source.names))
