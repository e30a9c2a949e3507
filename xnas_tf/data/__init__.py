"""Data sets: loading by name, checks, and splitting into train, validation and test."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.bug import with_bug
from xnas_tf.data.checking import checked
from xnas_tf.data.class_names import first_classes
from xnas_tf.data.dataset import Batch, Dataset, Source, Split
from xnas_tf.data.decoding import resized, resized_masks
from xnas_tf.data.disk_images import DiskImages, selected
from xnas_tf.data.image_cache import Reading, load_image_files
from xnas_tf.data.image_list import SPLITS, ImageFiles
from xnas_tf.data.options import BugOptions
from xnas_tf.data.quality import Findings, digests_of, equal_images
from xnas_tf.data.splitting import split
from xnas_tf.data.value_scaling import Scaling, as_bytes, check_alike
from xnas_tf.errors import InputError, RunError, is_temporary, suggest
from xnas_tf.registry import Registry, describe
from xnas_tf.utils.argument_types import NUMBER, TEXT, WHOLE, check_types

__all__ = [
    "DATASETS",
    "Batch",
    "Dataset",
    "ImageFiles",
    "Source",
    "Split",
    "check_dataset_name",
    "dataset_forms",
    "form_of",
    "load_dataset",
    "path_in",
]

DATASETS = Registry(
    "data set",
    "xnas_tf.datasets",
    {
        "mnist5k": "xnas_tf.data.builtin:mnist5k",
        "digits": "xnas_tf.data.builtin:digits",
        "shapes": "xnas_tf.data.shapes:shapes",
        "folder": "xnas_tf.data.image_files:folder",
        "csv": "xnas_tf.data.image_table:table",
        "npz": "xnas_tf.data.builtin:npz",
        "idx": "xnas_tf.data.idx:idx",
        "quickdraw": "xnas_tf.data.quickdraw:quickdraw",
        "imagenet16_120": "xnas_tf.data.imagenet16_120:imagenet16_120",
        "tfrecord": "xnas_tf.data.tfrecords:tfrecord",
        "keras": "xnas_tf.data.builtin:keras_dataset",
        "tfds": "xnas_tf.data.tfrecords:tfds",
    },
)
_ARGUMENTS = {
    "folder": "PATH",
    "csv": "FILE",
    "npz": "FILE",
    "idx": "FOLDER",
    "quickdraw": "FOLDER",
    "imagenet16_120": "FOLDER",
    "tfrecord": "FILES",
    "keras": "NAME",
    "tfds": "NAME",
}
"""Argument after the colon in a name."""
_SIGNS = {"imagenet16_120": "val_data*", "idx": "*idx3-ubyte*", "quickdraw": "*.npy"}
"""Files that identify the data set in a folder; folders without them are image folders."""


@check_types(name=TEXT, validation=NUMBER, test=NUMBER, seed=WHOLE, group=TEXT, classes=WHOLE)
def load_dataset(  # noqa: PLR0913 - the keys of the section dataset
    name: str,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    group: str | None = None,
    max_corrupt: float = 0.1,
    classes: int | None = None,
    bug: BugOptions | Mapping[str, Any] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Load a data set and split it, stratified by class.

    Args:
        name: A name listed in docs/reference/data.md, such as ``mnist5k``, ``folder:PATH`` or
            ``npz:FILE``; a registered name; or ``package.module:function`` returning a ``Source``.
        validation: Share of the images for validation; ignored if a validation split is given. If
            a test split is given, a share of the other images.
        test: Share of the images for the test split; ignored if a test split is given. If a
            validation split is given, a share of the other images.
        seed: Seed of the split; independent of the search's seed, so that runs with
            different seeds use the same splits.
        size: Height and width of the images in pixels, or one number for both. If None, image
            files are resized to their usual size, and other images keep their size.
        channels: Number of channels, 1 or 3; None keeps the source's number.
        group: Regular expression that matches the group of an image in its file name.
        max_corrupt: Share of image files that may be left out because they cannot be decoded.
        classes: Number of classes to keep, beginning with the first; None keeps all.
        bug: Options for planting a bug in the training images; see ``BugOptions``.
        log: Called with a message before work that takes a while.

    Raises:
        InputError: If the data set does not exist or is not suitable for classification.
        RunError: If a disk failed in a function of the user's.
    """
    pixels = None if size is None else _height_and_width(size)
    if channels not in (None, 1, 3):
        raise InputError(f"`channels` {channels!r}; allowed: 1 or 3")
    source = _source(name)
    if isinstance(source, ImageFiles):
        reading = Reading(pixels, channels, group, max_corrupt, classes)
        source = load_image_files(source, reading, name, log)
    elif group:
        raise InputError(f"dataset.group: {name} has no image files; allowed only with image files")
    source, class_names = checked(source, name)
    if classes is not None and classes != len(class_names):
        class_names = first_classes(classes, class_names, name)
        source = _of_first_classes(source, classes)
    shares = {"validation": validation, "test": test}
    rows = split(source.labels, class_names, shares, seed, name, source.groups, source.parts)
    images, scaling = _as_bytes(source, rows, name)
    masks = None if source.masks is None else resized_masks(source.masks, pixels)
    everything = Split(resized(images, pixels, channels, name), source.labels, masks)
    parts = {part: everything.select(indices) for part, indices in rows.items()}
    dataset = Dataset(
        name,
        class_names,
        parts["train"],
        parts["validation"],
        parts["test"],
        mirrored=source.mirrored,
        findings=_findings(source, images, rows),
        how_split=_how_split(source),
        scaling=scaling,
        source_shape=None if isinstance(images, DiskImages) else images.shape[1:],
    )
    return with_bug(dataset, bug) if bug is not None else dataset


def _height_and_width(size: Any) -> tuple[int, int]:
    sides = [size, size] if isinstance(size, Integral) else size
    if not (
        isinstance(sides, Sequence)
        and len(sides) == 2
        and all(isinstance(side, Integral) and int(side) > 0 for side in sides)
    ):
        raise InputError(f"`size` {size!r}; allowed: pixels, or [height, width] in pixels")
    return int(sides[0]), int(sides[1])


def check_dataset_name(name: str) -> None:
    """Without loading a data set, check the form of its name and that its file or folder exists."""
    scheme, argument = _checked_form(name)
    path = Path(os.path.expanduser(argument))
    if _ARGUMENTS.get(scheme) in ("PATH", "FILE") and not path.exists():
        raise InputError(f"data set {name}: {path.absolute()} does not exist")


def _checked_form(name: str) -> tuple[str, str]:
    """Return the registered name, which is empty for a function, and the argument."""
    scheme, _, argument = name.partition(":")
    if scheme not in DATASETS.names():
        if not argument:
            path_form = form_of(Path(os.path.expanduser(name)))
            nearest = f"{name!r}: did you mean {path_form}:{name}?"
            text = nearest if path_form else suggest(name, dataset_forms())
            raise InputError(f"unknown data set {text}")
        return "", ""
    if argument and scheme in ("mnist5k", "digits", "shapes"):
        raise InputError(f"data set {name!r}: {scheme} takes no argument")
    if not argument and scheme in _ARGUMENTS:
        raise InputError(f"data set {name!r}: allowed: {scheme}:{_ARGUMENTS[scheme]}")
    return scheme, argument


def _source(name: str) -> Source | ImageFiles:
    scheme, argument = _checked_form(name)
    if scheme:
        return DATASETS.get(scheme)(argument)
    try:
        source = DATASETS.get(name)()
    except InputError:
        raise
    except Exception as error:  # a user's function may raise anything
        kind = RunError if is_temporary(error) else InputError
        raise kind(f"data set {name}: the function failed: {describe(error)}") from error
    if not isinstance(source, Source | ImageFiles):
        given = type(source).__name__
        raise InputError(
            f"data set {name}: the function returned a {given}; allowed: an xnas_tf.data.Source, "
            "as in Source(images, labels)"
        )
    return source


def form_of(path: Path) -> str:
    """Return the form of the data set at a path, such as ``folder``; empty if there is none."""
    if path.is_dir():
        return next((form for form, files in _SIGNS.items() if any(path.glob(files))), "folder")
    is_form = _ARGUMENTS.get(path.suffix[1:]) in ("FILE", "FILES")
    return path.suffix[1:] if is_form and path.is_file() else ""


def path_in(name: str) -> str | None:
    """Return the path in a data set's name; None if there is none."""
    scheme, _, argument = name.partition(":")
    return argument if _ARGUMENTS.get(scheme, "NAME") != "NAME" else None


def dataset_forms() -> list[str]:
    """Return the registered names with their arguments, such as ``folder:PATH``."""
    names = DATASETS.names()
    return [f"{name}:{_ARGUMENTS[name]}" if name in _ARGUMENTS else name for name in names]


def _of_first_classes(source: Source, count: int) -> Source:
    rows = np.flatnonzero(source.labels < count)
    arrays = {name: getattr(source, name) for name in ("labels", "parts", "groups", "masks")}
    return replace(
        source,
        images=selected(source.images, rows),
        names=[source.names[row] for row in rows.tolist()] if len(source.names) else (),
        **{name: each[rows] for name, each in arrays.items() if each is not None},
    )


def _as_bytes(
    source: Source, rows: dict[str, np.ndarray], name: str
) -> tuple[np.ndarray | DiskImages, Scaling]:
    images = source.images
    if isinstance(images, DiskImages):  # image files, which are decoded to uint8
        return images, Scaling(highest=source.findings.highest)
    remarks = check_alike({part: images[rows[part]] for part in SPLITS}, name)
    levels, scaling = as_bytes(images)
    return levels, replace(scaling, remarks=remarks)


def _findings(
    source: Source, images: np.ndarray | DiskImages, rows: dict[str, np.ndarray]
) -> Findings:
    """Return the source's findings, groups of one image, and images in several splits or classes.

    Images without names are identified by their index, as in ``train[12]``.
    """
    digests = images.digests if isinstance(images, DiskImages) else digests_of(images)
    splits = np.zeros(len(source.labels), np.int32)
    indexed = [""] * len(splits)
    for number, (part, each) in enumerate(rows.items()):
        splits[each] = number
        for position, row in enumerate(each.tolist()):
            indexed[row] = f"{part}[{position}]"
    origins = np.stack([splits, source.labels], axis=1)
    names = source.names if len(source.names) else indexed
    identical, repeated = equal_images(digests, origins, names)
    remarks, groups = [*source.findings.remarks], source.groups
    if groups is not None and np.unique(named := groups[groups != ""]).size == named.size:
        remarks.append(
            "groups: no two images have the same group, so the splits keep nothing together"
        )
    return replace(source.findings, identical=identical, repeated=repeated, remarks=tuple(remarks))


def _how_split(source: Source) -> str:
    parts = set() if source.parts is None else set(source.parts.tolist())
    if "" not in parts and not parts.issuperset(SPLITS):  # the others are drawn from train
        parts.discard("train")
    given = ", ".join(part for part in SPLITS if part in parts)
    words = [f"{given} as given", "by class"] if given else ["by class"]
    return "; ".join(words if source.groups is None else [*words, "groups stay whole"])
