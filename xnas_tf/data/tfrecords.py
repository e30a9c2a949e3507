"""Encoded images in TFRecord files and from TensorFlow Datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.data.image_files import match_files
from xnas_tf.data.image_list import ImageFiles, ImageList, encode_labels, split_name, split_names
from xnas_tf.errors import InputError
from xnas_tf.registry import describe

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE = "image/encoded"
LABEL = "image/class/label"
TEXT = "image/class/text"
OPTIONAL = ("image/filename", "image/split", "image/group")
"""Keys of optional features. Those of TensorFlow's own scripts, except for the last two."""


def tfrecord(argument: str) -> ImageFiles:
    """Find the TFRecord files that match a path with wildcards; ``.gz`` files are decompressed.

    Each record is a ``tf.train.Example`` with the features ``image/encoded`` and
    ``image/class/label`` or ``image/class/text`` (or both), and optionally ``image/filename``,
    ``image/split`` and ``image/group``.

    Raises:
        InputError: If there is no such file.
    """
    name = f"data set tfrecord:{argument}"
    files = match_files(argument, name)
    root = str(files[0].parent.resolve())
    return ImageFiles(files, partial(_list_records, files, name), root)


def _list_records(files: Sequence[Path], name: str) -> ImageList:
    numbers: list[int] = []
    texts: list[str] = []
    names: list[str] = []
    optional: dict[str, list[str]] = {key: [] for key in OPTIONAL}
    for file in files:
        for number, record in enumerate(_records(file, name)):
            if not record[IMAGE]:
                raise InputError(f"{name}: record {number} of {file} has no feature {IMAGE}")
            numbers.append(int(record[LABEL]))
            texts.append(record[TEXT].decode())
            for key in OPTIONAL:
                optional[key].append(record[key].decode())
            names.append(f"{file.name}#{number}")
    if not names:
        raise InputError(f"{name}: no records in {len(files)} files")
    labels, class_names = _classes(numbers, texts, name)
    filenames, splits, groups = (optional[key] for key in OPTIONAL)
    own = [filename or number for filename, number in zip(filenames, names, strict=True)]
    return ImageList(
        own if len(set(own)) == len(own) else names,
        labels,
        class_names,
        lambda: (record[IMAGE] for file in files for record in _records(file, name)),
        np.array(groups) if any(groups) else None,
        split_names(splits, name) if any(splits) else None,
    )


def _records(file: Path, name: str) -> Iterator[dict[str, Any]]:
    import tensorflow as tf  # noqa: PLC0415 - heavy

    texts = dict.fromkeys((IMAGE, TEXT, *OPTIONAL), tf.io.FixedLenFeature((), tf.string, ""))
    features = {**texts, LABEL: tf.io.FixedLenFeature((), tf.int64, -1)}
    compression = "GZIP" if file.suffix == ".gz" else ""
    records = tf.data.TFRecordDataset(str(file), compression)

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        return tf.io.parse_single_example(record, features)

    try:
        yield from records.map(parse).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise InputError(
            f"{name}: {file} is not a readable TFRecord file: {describe(error)}"
        ) from error


def _classes(
    numbers: Sequence[int], texts: Sequence[str], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels and class names: by number if all records have one, else by text.

    Numbers may begin at 1.
    """
    if min(numbers) < 0:
        if not all(texts):
            raise InputError(f"{name}: not every record has a feature {LABEL} or {TEXT}")
        return encode_labels(texts)
    labels, ordered = encode_labels(list(map(str, numbers)))
    names = dict(zip(labels.tolist(), texts, strict=True))
    return labels, tuple(names[label] or number for label, number in enumerate(ordered))


def tfds(argument: str) -> ImageFiles:
    """Load a data set of TensorFlow Datasets with ``image`` and ``label``, and its splits.

    Raises:
        InputError: If TensorFlow Datasets is not installed, or the data set cannot be loaded or
            is not suitable.
    """
    name = f"data set tfds:{argument}"
    try:
        import tensorflow_datasets  # noqa: PLC0415 - optional
    except ImportError as error:
        raise InputError(
            f"{name}: the package tensorflow-datasets is not installed: pip install -c "
            "requirements.txt 'tensorflow-datasets<5'"
        ) from error
    try:
        builder = tensorflow_datasets.builder(argument)
        builder.download_and_prepare()
    except Exception as error:  # the network, the name or the format may be at fault
        raise InputError(f"{name} could not be loaded: {describe(error)}") from error
    features = builder.info.features
    class_names = getattr(features.get("label"), "names", None)
    if class_names is None or "image" not in features:
        raise InputError(
            f"{name} has the features {', '.join(features)}; wanted: image, and label with classes"
        )
    files = sorted(file for file in Path(builder.data_dir).iterdir() if file.is_file())
    decoders = {"image": tensorflow_datasets.decode.SkipDecoding()}

    def records(part: str) -> Iterator[dict[str, Any]]:
        in_order = tensorflow_datasets.ReadConfig(interleave_cycle_length=1)
        dataset = builder.as_dataset(
            split=part, decoders=decoders, shuffle_files=False, read_config=in_order
        )
        return dataset.as_numpy_iterator()

    parts = [part for part in sorted(builder.info.splits) if split_name(part)]
    return ImageFiles(files, partial(_list_tfds, records, parts, class_names), argument)


def _list_tfds(
    records: Callable[[str], Iterator[dict[str, Any]]],
    parts: Sequence[str],
    class_names: Sequence[str],
) -> ImageList:
    labels = [np.array([record["label"] for record in records(part)]) for part in parts]
    owners = [part for part, each in zip(parts, labels, strict=True) for _ in each]
    return ImageList(
        [f"{part}#{n}" for part, each in zip(parts, labels, strict=True) for n in range(len(each))],
        np.concatenate(labels).astype(np.int32),
        tuple(class_names),
        lambda: (record["image"] for part in parts for record in records(part)),
        parts=split_names(owners, "tfds"),
    )
