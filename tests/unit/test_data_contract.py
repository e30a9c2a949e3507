"""One contract for every registered data set, on small files of its form."""

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.pictures import make_folder
from tests.published import fake_tfds, write_batches, write_drawings, write_mnist, write_records
from xnas_tf.data import DATASETS, load_dataset
from xnas_tf.errors import InputError

pytestmark = pytest.mark.usefixtures("cache")

COUNTS = {"ant": 20, "bee": 20, "cat": 20}


def make_table(root):
    files = sorted(make_folder(root, COUNTS).rglob("*.*"))
    with (root / "labels.csv").open("w", newline="") as file:
        rows = [(each.relative_to(root), each.parent.name) for each in files]
        csv.writer(file).writerows([("path", "label"), *rows])
    return f":{root / 'labels.csv'}"


def make_npz(path, **test):
    rng = np.random.default_rng(0)
    np.savez(
        path,
        x_train=rng.integers(0, 256, (60, 6, 6, 3), np.uint8),
        y_train=np.arange(60) % 3,
        class_names=list(COUNTS),
        **test,
    )
    return f":{path}"


def make_keras(root, patch):
    patch.setenv("KERAS_HOME", str(root))
    (root / "datasets").mkdir(parents=True)
    images = np.zeros((60, 28, 28), np.uint8)
    labels = np.arange(60) % 10
    arrays = {"x_train": images, "y_train": labels, "x_test": images + 1, "y_test": labels}
    np.savez(root / "datasets" / "mnist.npz", **arrays)
    return ":mnist"


def encoded(root):
    files = sorted(make_folder(root, COUNTS).rglob("*.*"))
    return [(file.read_bytes(), list(COUNTS).index(file.parent.name)) for file in files]


def make_records(root):
    records = [
        {"image/encoded": content, "image/class/label": label + 1}
        for content, label in encoded(root)
    ]
    write_records(f"{root}.tfrecord", records)
    return f":{root}.tfrecord"


def make_tfds(root, patch, names=tuple(COUNTS)):
    records = [{"image": content, "label": label} for content, label in encoded(root)]
    label = SimpleNamespace(names=list(names))
    fake_tfds(patch, root, {"train": records}, image=None, label=label)
    return ":pets"


def test_tfds_gives_wordnet_ids_their_names(tmp_path, monkeypatch):
    name = make_tfds(tmp_path / "data", monkeypatch, ["n02119789", "n02100735", "n00000000"])
    data = load_dataset(f"tfds{name}/16x16:1.0.*")
    assert data.class_names == ("kit_fox", "English_setter", "n00000000")


@pytest.mark.parametrize("name", ["hub:pets", "pets/a=1,data_dir=given", "pets/16x16/data_dir=x"])
def test_tfds_neither_downloads_code_nor_reads_other_folders(name, monkeypatch):
    """A run from somebody else may name the data set, and their files could name any class."""
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", SimpleNamespace(builder=pytest.fail))
    with pytest.raises(InputError, match="allowed: tfds:NAME, tfds:NAME/CONFIG, and :X.Y.Z"):
        load_dataset(f"tfds:{name}")


MAKERS = {
    "mnist5k": lambda root, patch: "",
    "digits": lambda root, patch: "",
    "shapes": lambda root, patch: "",
    "folder": lambda root, patch: f":{make_folder(root, COUNTS)}",
    "csv": lambda root, patch: make_table(root),
    "npz": lambda root, patch: make_npz(root.with_suffix(".npz")),
    "idx": lambda root, patch: f":{write_mnist(root, '.gz')}",
    "quickdraw": lambda root, patch: f":{write_drawings(root, COUNTS)}",
    "imagenet16_120": lambda root, patch: f":{write_batches(root)}",
    "tfrecord": lambda root, patch: make_records(root),
    "keras": make_keras,
    "tfds": make_tfds,
}
PUBLISHED_TEST = ("idx", "imagenet16_120", "keras")
"""Names of data sets whose files have a test split."""


@pytest.fixture(params=DATASETS.names())
def name(request, tmp_path, monkeypatch):
    return request.param + MAKERS[request.param](tmp_path / "data", monkeypatch)


def test_every_data_set_is_under_contract():
    assert set(MAKERS) == set(DATASETS.names())


def test_splits_are_by_class_and_loaded_again_are_the_same(name):
    data = load_dataset(name, validation=0.25)
    assert load_dataset(name, validation=0.25).digest == data.digest
    assert data.image_shape == data.validation.images.shape[1:] == data.test.images.shape[1:]
    rest = len(data.train) + len(data.validation)
    rest += 0 if name.startswith(PUBLISHED_TEST) else len(data.test)
    assert abs(len(data.validation) - 0.25 * rest) <= 1
    for part, split in data.parts.items():
        images = np.asarray(split.take(slice(0, 4)).images)
        assert images.dtype == np.uint8 and images.shape == (4, *data.image_shape)
        assert split.labels.dtype == np.int32 and len(split.images) == len(split)
        counts = data.counts[part]
        assert counts.min() > 0 and counts.max() <= max(1.2 * counts.min(), counts.min() + 1)
    assert len(set(data.class_names)) == data.classes


def test_the_first_classes_are_those_of_all(name):
    everything, some = load_dataset(name), load_dataset(name, classes=2)
    assert some.class_names == everything.class_names[:2]
    assert some.findings.remarks == everything.findings.remarks
    whole, kept = (
        sorted(
            (int(label), image.tobytes())
            for split in data.parts.values()
            for image, label in zip(np.asarray(split.images), split.labels, strict=True)
        )
        for data in (everything, some)
    )
    assert kept == [each for each in whole if each[0] < 2] and len(kept) > 10
    many = everything.classes + 1
    with pytest.raises(InputError, match=f"dataset.classes: {many} given, .* 2 to {many - 1}"):
        load_dataset(name, classes=many)


def test_all_classes_may_be_asked_for_and_one_may_not():
    assert load_dataset("digits", classes=10).digest == load_dataset("digits").digest
    for count in (1, 0):
        with pytest.raises(InputError, match=f"dataset.classes: {count} given"):
            load_dataset("digits", classes=count)
