"""Small files in the forms in which data sets are published."""

import gzip
import pickle
import struct
import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

BATCHES = (*(f"train_data_batch_{number}" for number in range(1, 11)), "val_data")


@cache
def image16(number, row):
    """The image (16, 16, 3) in a row of a file."""
    return np.random.default_rng([number, row]).integers(0, 256, (16, 16, 3), np.uint8)


def batch(number, labels):
    """The content of a file of 16x16 images; see image16."""
    images = np.stack([image16(number, row) for row in range(len(labels))])
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return {"data": planes, "labels": list(labels), "mean": planes.mean(axis=0)}


def batch_labels(number):
    """Labels from 1: each of the first 120 twice, and some others, in an order of its own."""
    labels = [*range(1, 121), *range(1, 121), 121, 500, 1000]
    return np.random.default_rng(number).permutation(labels).tolist()


def dump_pickle(file, content, protocol=2):
    file.write_bytes(pickle.dumps(content, protocol=protocol))


class _Python2(pickle._Pickler):
    """Writes bytes and texts as Python 2 wrote its strings."""

    def save_string(self, value):
        content = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_string, str: save_string}


def dump_python2(file, content):
    with file.open("wb") as stream:
        _Python2(stream, 2).dump(content)
    file.write_bytes(file.read_bytes().replace(b"numpy._core", b"numpy.core"))


def dump_npz(file, content):
    np.savez(file.with_name(f"{file.name}.npz"), **content)


def write_batches(folder, dump=dump_pickle, contents=None):
    """The eleven files of 16x16 images; each image can be told by its file and row.

    If other contents are given, they are those of every file.
    """
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        dump(folder / name, contents or batch(number, batch_labels(number)))
    return folder


def write_idx(file, array):
    """An array of uint8 as IDX file, compressed if the name says so."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)


def write_mnist(folder, end="", prefix="", test="t10k", counts=(60, 20), first=0):
    """Four IDX files of MNIST's kind: labels in turn, and values from the label up, at random.

    One pixel, in row 2 and column 9, is brightest.
    """
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in zip(("train", test), counts, strict=True):
        labels = np.arange(count) % 10 + first
        images = labels[:, None, None] + rng.integers(0, 99, (count, 28, 28), np.uint8)
        images[:, 2, 9] = 255
        write_idx(folder / f"{prefix}{part}-images-idx3-ubyte{end}", images)
        write_idx(folder / f"{prefix}{part}-labels-idx1-ubyte{end}", labels)
    return folder


def write_records(path, examples):
    """A TFRecord file of examples, each given as numbers and bytes by key."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            features = {key: _feature(value) for key, value in example.items()}
            message = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(message.SerializeToString())


def _feature(value):
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


class Features:
    """Features by name, with no more methods than ``tensorflow_datasets``' FeaturesDict has."""

    def __init__(self, **features):
        self._features = features

    def __contains__(self, name):
        return name in self._features

    def __getitem__(self, name):
        return self._features[name]

    def __iter__(self):
        return iter(self._features)


def fake_tfds(patch, folder, splits, **features):
    """Replace TensorFlow Datasets, which was tried by hand: no test machine needs so large a one.

    ``splits`` are the records of each split of its only data set, which is in ``folder``.
    """
    builder = SimpleNamespace(
        info=SimpleNamespace(features=Features(**features), splits=splits),
        data_dir=folder,
        download_and_prepare=lambda: None,
        as_dataset=lambda split, **_: SimpleNamespace(
            as_numpy_iterator=lambda: iter(splits[split])
        ),
    )
    fake = SimpleNamespace(
        builder=lambda name: builder,
        decode=SimpleNamespace(SkipDecoding=object),
        ReadConfig=lambda **_: None,
    )
    patch.setitem(sys.modules, "tensorflow_datasets", fake)


def write_drawings(folder, counts, form="{}.npy"):
    """A file of 28x28 drawings for each class, each filled with its number at random places."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items(), 1):
        np.save(folder / form.format(name), rng.integers(0, 2, (count, 784), np.uint8) * number)
    return folder
