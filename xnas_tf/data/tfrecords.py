"""Encoded images in TFRecord files, and those of TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.data.image_files import pattern_files
from xnas_tf.data.image_list import ImageFiles, ImageList, numbered, part_name, part_names
from xnas_tf.errors import InputError
from xnas_tf.registry import describe

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE = "image/encoded"
LABEL = "image/class/label"
TEXT = "image/class/text"
OPTIONAL = ("image/filename", "image/split", "image/group")
"""Keys of the features, as TensorFlow's own scripts write them; the last two are ours."""


def tfrecord(argument: str) -> ImageFiles:
    """TFRecord files, all that a path with wildcards stands for; ``.gz`` ones are unpacked.

    Each record is a ``tf.train.Example`` with the features ``image/encoded`` and
    ``image/class/label`` or ``image/class/text`` (or both), and if wanted ``image/filename``,
    ``image/split`` and ``image/group``.
    """
    name = f"data set tfrecord:{argument}"
    files = pattern_files(argument, name)
    root = str(files[0].parent.resolve())
    return ImageFiles(files, partial(_list_records, files, name), root)


def _list_records(files: Sequence[Path], name: str) -> ImageList:
    numbers, texts, found = [], [], {key: [] for key in OPTIONAL}
    names = []
    for file in files:
        for number, record in enumerate(_records(file, name)):
            if not record[IMAGE]:
                raise InputError(f"{name}: record {number} of {file} has no feature {IMAGE}")
            numbers.append(int(record[LABEL]))
            texts.append(record[TEXT].decode())
            for key in OPTIONAL:
                found[key].append(record[key].decode())
            names.append(f"{file.name}#{number}")
    if not names:
        raise InputError(f"{name}: no records in {len(files)} files")
    labels, class_names = _classes(numbers, texts, name)
    own = [filename or name for filename, name in zip(found["image/filename"], names, strict=True)]
    return ImageList(
        own if len(set(own)) == len(own) else names,
        labels,
        class_names,
        lambda: (record[IMAGE] for file in files for record in _records(file, name)),
        _if_any(found["image/group"]),
        part_names(found["image/split"], name) if any(found["image/split"]) else None,
    )


def _if_any(texts: list[str]) -> np.ndarray | None:
    return np.array(texts) if any(texts) else None


def _records(file: Path, name: str) -> Iterator[dict]:
    import tensorflow as tf

    texts = dict.fromkeys((IMAGE, TEXT, *OPTIONAL), tf.io.FixedLenFeature((), tf.string, ""))
    features = {**texts, LABEL: tf.io.FixedLenFeature((), tf.int64, -1)}
    kind = "GZIP" if file.suffix == ".gz" else ""
    records = tf.data.TFRecordDataset(str(file), kind)
    try:
        yield from records.map(_parser(features)).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise InputError(
            f"{name}: {file} is not a readable TFRecord file: {describe(error)}"
        ) from (error)


def _parser(features: dict) -> Callable[[tf.Tensor], dict]:
    import tensorflow as tf

    return lambda record: tf.io.parse_single_example(record, features)


def _classes(
    numbers: Sequence[int], texts: Sequence[str], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes by number where all records have one (they may begin at 1), else by text."""
    if min(numbers) < 0:
        if not all(texts):
            raise InputError(f"{name}: not every record has a feature {LABEL} or {TEXT}")
        return numbered(texts)
    labels, ordered = numbered(list(map(str, numbers)))
    called = dict(zip(labels.tolist(), texts, strict=True))
    return labels, tuple(called[place] or number for place, number in enumerate(ordered))


def tfds(argument: str) -> ImageFiles:
    """A data set of TensorFlow Datasets with ``image`` and ``label``, and with its own parts."""
    name = f"data set tfds:{argument}"
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(
            f"{name}: the package tensorflow-datasets is not installed: pip install -c "
            "requirements.txt 'tensorflow-datasets<5'"
        ) from error
    try:
        builder = tensorflow_datasets.builder(argument)
        builder.download_and_prepare()
    except Exception as error:  # of the network, of a name, of a format
        raise InputError(f"{name} could not be loaded: {describe(error)}") from error
    features = builder.info.features
    class_names = getattr(features.get("label"), "names", None)
    if class_names is None or "image" not in features:
        raise InputError(
            f"{name} has the features {', '.join(features)}; wanted: image, and label with classes"
        )
    files = sorted(file for file in Path(builder.data_dir).iterdir() if file.is_file())
    decoders = {"image": tensorflow_datasets.decode.SkipDecoding()}

    def records(part: str) -> Iterator[dict]:
        read = tensorflow_datasets.ReadConfig(interleave_cycle_length=1)
        made = builder.as_dataset(
            split=part, decoders=decoders, shuffle_files=False, read_config=read
        )
        return made.as_numpy_iterator()

    parts = [part for part in sorted(builder.info.splits) if part_name(part)]
    return ImageFiles(files, partial(_list_tfds, records, parts, class_names), argument)


def _list_tfds(
    records: Callable[[str], Iterator[dict]], parts: Sequence[str], class_names: Sequence[str]
) -> ImageList:
    labels = [np.array([record["label"] for record in records(part)]) for part in parts]
    owners = [part for part, each in zip(parts, labels, strict=True) for _ in each]
    return ImageList(
        [f"{part}#{n}" for part, each in zip(parts, labels, strict=True) for n in range(len(each))],
        np.concatenate(labels).astype(np.int32),
        tuple(class_names),
        lambda: (record["image"] for part in parts for record in records(part)),
        parts=part_names(owners, "tfds"),
    )
