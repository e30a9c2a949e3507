"""Data sets: loading by name, checks, and the split into train, validation and test."""

from __future__ import annotations

import numpy as np

from xnas_tf.data.dataset import Dataset, Part, Source, check_images, check_labels
from xnas_tf.errors import InputError, suggest
from xnas_tf.registry import Registry

__all__ = ["DATASETS", "Dataset", "Part", "Source", "load_dataset"]

DATASETS = Registry(
    "data set",
    "xnas_tf.datasets",
    {
        "mnist5k": "xnas_tf.data.sources:mnist5k",
        "digits": "xnas_tf.data.sources:digits",
        "npz": "xnas_tf.data.sources:npz",
        "keras": "xnas_tf.data.sources:keras_dataset",
    },
)


def load_dataset(name: str, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> Dataset:
    """Loads a data set and splits it, stratified by class.

    Args:
        name: ``mnist5k``, ``digits``, ``npz:PATH``, ``keras:NAME``, a registered name, or
            ``package.module:function`` returning a ``Source``.
        validation: Share of all images for validation.
        test: Share of all images for test; not used where a test part is published.
        seed: Seed of the split; independent of the search's seed, so that runs with
            several seeds see the same parts.

    Raises:
        InputError: If there is no such data set, or it isn't fit for classification.
    """
    source = _source(name)
    images = check_images(source.images, name)
    labels = check_labels(source.labels, len(images), source.class_names, name)
    everything = Part(images, labels)
    names = source.class_names or tuple(str(i) for i in range(labels.max() + 1))
    if source.test is None:
        rest, test_part = _split(everything, test, seed, name, "test")
        validation = validation / (1 - test)
    else:
        rest, test_part = everything, _published_test(source, names, images.shape, name)
    train, validation_part = _split(rest, validation, seed + 1, name, "validation")
    return Dataset(name, names, train, validation_part, test_part, source.mirrored)


def _source(name: str) -> Source:
    scheme, _, argument = name.partition(":")
    if scheme in DATASETS.names():
        if argument and scheme in ("mnist5k", "digits"):
            raise InputError(f"data set {name!r}: {scheme} takes no argument")
        return DATASETS.get(scheme)(argument)
    if not argument:
        names = [*DATASETS.names(), "npz:PATH", "keras:NAME"]
        raise InputError(f"unknown data set {suggest(name, set(names) - {'npz', 'keras'})}")
    source = DATASETS.get(name)()
    if not isinstance(source, Source):
        raise InputError(f"data set {name}: the function returned no xnas_tf.data.Source")
    return source


def _published_test(source: Source, names, shape, name: str) -> Part:
    images = check_images(source.test[0], f"{name} (test)")
    if images.shape[1:] != shape[1:]:
        raise InputError(
            f"data set {name}: test images are {images.shape[1:]}, the others {shape[1:]}"
        )
    return Part(images, check_labels(source.test[1], len(images), names, f"{name} (test)"))


def _split(part: Part, share: float, seed: int, name: str, what: str) -> tuple[Part, Part]:
    """Splits off ``share`` of the images, the same share of every class."""
    from sklearn.model_selection import train_test_split

    try:
        kept, taken = train_test_split(
            np.arange(len(part)), test_size=share, random_state=seed, stratify=part.labels
        )
    except ValueError as error:
        raise InputError(
            f"data set {name}: {len(part)} images are too few to split off a {what} part of "
            f"{share:.0%} with every class in it: {error}"
        ) from error
    return part.take(np.sort(kept)), part.take(np.sort(taken))
