"""Encoded images from TFRecord files and TensorFlow Datasets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.image_files import where
from xnas_tf.data.image_list import ImageFiles, ImageList, encode_labels, split_name, split_names
from xnas_tf.data.imagenet16_120 import class_names_by_id
from xnas_tf.data.quality import Findings, join_names
from xnas_tf.errors import InputError
from xnas_tf.registry import describe
from xnas_tf.utils.number_format import counted

IMAGE = "image/encoded"
LABEL = "image/class/label"
TEXT = "image/class/text"
OPTIONAL = ("image/filename", "image/split", "image/group")
"""Keys of optional features, as in TensorFlow's own scripts except for the last two."""
_NAME = re.compile(r"\w+(/[\w.-]+)?(:[\d*]+(\.[\d*]+){2})?")
"""A name in TensorFlow Datasets, with a configuration and a version. A namespace would download
code, and arguments, such as ``data_dir``, could lead to files that import any module."""


def tfrecord(argument: str) -> ImageFiles:
    """Find the TFRecord files that match a path with wildcards; ``.gz`` files are decompressed.

    Each record is a ``tf.train.Example`` with the features ``image/encoded`` and
    ``image/class/label`` or ``image/class/text`` (or both), and optionally ``image/filename``,
    ``image/split`` and ``image/group``.
    """
    name = f"data set tfrecord:{argument}"
    path = Path(os.path.expanduser(argument))
    files = _matching(path.parent, path.name or "*")
    if not files:
        raise InputError(f"{name}: there is no such file{where(path)}")
    root = str(files[0].parent.resolve())
    return ImageFiles(files, partial(_list_records, files, name), root)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files that match a name or a pattern, in which brackets may be literal."""
    if (folder / pattern).is_file():
        return [folder / pattern]
    for each in (pattern, pattern.replace("[", "[[]")):
        if files := sorted(file for file in folder.glob(each) if file.is_file()):
            return files
    return []


def _list_records(files: Sequence[Path], name: str) -> ImageList:
    records = {}
    for file in files:
        for number, record in enumerate(_records(file, name)):
            if not record.pop(IMAGE):
                raise InputError(f"{name}: record {number} of {file} has no feature {IMAGE}")
            records[f"{file.name}#{number}"] = record
    if not records:
        raise InputError(f"{name}: no records in {counted(len(files), 'file')}")
    texts, filenames, splits, groups = (
        [record[key].decode("utf-8", "backslashreplace") for record in records.values()]
        for key in (TEXT, *OPTIONAL)
    )
    labels, class_names = _classes([int(each[LABEL]) for each in records.values()], texts, name)
    names = [own or number for own, number in zip(filenames, records, strict=True)]
    return ImageList(
        names if len(set(names)) == len(names) else list(records),
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
    parse = partial(tf.io.parse_single_example, features=features)
    try:
        yield from records.map(parse).as_numpy_iterator()
    except tf.errors.OpError as error:
        raise InputError(
            f"{name}: {file} is not a readable TFRecord file: {describe(error)}"
        ) from error


def _classes(
    numbers: Sequence[int], texts: Sequence[str], name: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels and class names: by number if all records have one, otherwise by text.

    Numbers may begin at 1. One number may have different texts in files that were written with
    different numberings, which is an error.
    """
    if min(numbers) < 0:
        if not all(texts):
            raise InputError(f"{name}: not every record has a feature {LABEL} or {TEXT}")
        return encode_labels(texts)
    labels, ordered = encode_labels(list(map(str, numbers)))
    text_of: dict[int, str] = {}
    for label, text in zip(labels.tolist(), texts, strict=True):
        if text and (other := text_of.setdefault(label, text)) != text:
            raise InputError(
                f"{name}: {LABEL} {ordered[label]} is called {other!r} and {text!r} in "
                f"{TEXT}; allowed: one text for each number, the same in all files"
            )
    names = [text_of.get(label, number) for label, number in enumerate(ordered)]
    return labels, tuple(
        f"{name} ({number})" if names.count(name) > 1 else name
        for name, number in zip(names, ordered, strict=True)
    )


def tfds(argument: str) -> ImageFiles:
    """Load a TensorFlow Datasets data set that has ``image`` and ``label`` features.

    Splits that are not for training, validation or test, such as ``extra``, are left out. Classes
    given by WordNet ID, as in ``imagenet_resized``, get their names if they belong to
    ImageNet-16-120.
    """
    name = f"data set tfds:{argument}"
    if not _NAME.fullmatch(argument):
        raise InputError(f"{name}: allowed: tfds:NAME, tfds:NAME/CONFIG, and :X.Y.Z after either")
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
    label = features["label"] if "label" in features else None  # noqa: SIM401 - it is not a mapping
    class_names = getattr(label, "names", None)
    if class_names is None or "image" not in features:
        raise InputError(
            f"{name} has the features {', '.join(features)}; wanted: image, and label with classes"
        )
    readable = class_names_by_id()
    class_names = [readable.get(each, each) for each in class_names]
    files = sorted(file for file in Path(builder.data_dir).iterdir() if file.is_file())
    in_order = partial(
        builder.as_dataset,
        decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
        shuffle_files=False,
        read_config=tensorflow_datasets.ReadConfig(interleave_cycle_length=1),
    )

    def records(part: str) -> Iterator[dict[str, Any]]:
        return in_order(split=part).as_numpy_iterator()

    splits = sorted(builder.info.splits)
    return ImageFiles(files, partial(_list_tfds, records, splits, class_names), argument)


def _list_tfds(
    records: Callable[[str], Iterator[dict[str, Any]]],
    splits: Sequence[str],
    class_names: Sequence[str],
) -> ImageList:
    parts = [split for split in splits if split_name(split)]
    unused = join_names(split for split in splits if split not in parts)
    rows = [(part, n, each["label"]) for part in parts for n, each in enumerate(records(part))]
    return ImageList(
        [f"{part}#{number}" for part, number, _ in rows],
        np.array([label for *_, label in rows], np.int32),
        tuple(class_names),
        lambda: (record["image"] for part in parts for record in records(part)),
        parts=split_names((part for part, *_ in rows), "tfds"),
        findings=Findings(remarks=(f"splits that are left out: {unused}",) if unused else ()),
    )
