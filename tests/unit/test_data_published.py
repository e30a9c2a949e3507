"""ImageNet-16-120, Quick, Draw! and IDX files: what is read, and what is refused."""

import builtins
import gzip
import os
import pickle
from functools import partial

import numpy as np
import pytest

from tests.published import (
    BATCHES,
    batch,
    batch_labels,
    dump_npz,
    dump_pickle,
    dump_python2,
    image16,
    write_batches,
    write_drawings,
    write_idx,
    write_mnist,
)
from xnas_tf.data import imagenet16_120, load_dataset, quickdraw
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.data.restricted_pickle import Refused, read_pickle
from xnas_tf.errors import InputError

pytestmark = pytest.mark.usefixtures("cache")


def refused(name, message):
    with pytest.raises(InputError, match=message):
        load_dataset(name)


def test_the_form_of_a_folder_is_suggested(tmp_path):
    contents = {"idx": write_mnist, "quickdraw": partial(write_drawings, counts={"ant": 1})}
    contents["imagenet16_120"] = partial(write_batches, dump=dump_npz, contents=GOOD)
    for form, write in contents.items():
        write(tmp_path / form)
        refused(str(tmp_path / form), f"did you mean {form}:{tmp_path / form}?")
    (tmp_path / "model.keras").touch()  # of no form, although a name may begin with keras:
    refused(str(tmp_path / "model.keras"), "unknown data set '.*model.keras' .allowed: csv:FILE")


# --- ImageNet-16-120


@pytest.mark.parametrize("dump", [partial(dump_pickle, protocol=5), dump_python2, dump_npz])
def test_batches_give_the_images_of_the_first_120_classes(tmp_path, dump):
    data = load_dataset(f"imagenet16_120:{write_batches(tmp_path / 'batches', dump)}")
    assert data.mirrored and isinstance(data.train.images, DiskImages)
    assert data.image_shape == (16, 16, 3) and data.classes == 120
    expected = {"test": set(), "": set()}
    for number, name in enumerate(BATCHES):
        for row, label in enumerate(batch_labels(number)):
            if label <= 120:
                part = "test" if name == "val_data" else ""
                expected[part].add((label - 1, image16(number, row).tobytes()))
    found = {
        part: {
            (int(label), image.tobytes())
            for image, label in zip(np.asarray(split.images), split.labels, strict=True)
        }
        for part, split in data.parts.items()
    }
    assert found["test"] == expected["test"]
    assert found["train"] | found["validation"] == expected[""]
    assert (len(data.train), len(data.validation), len(data.test)) == (1920, 480, 240)


def test_differences_from_the_published_files_are_noted(tmp_path, monkeypatch):
    folder = write_batches(tmp_path / "batches")
    by_checksum, by_count = load_dataset(f"imagenet16_120:{folder}").notes
    assert by_checksum.startswith("files whose MD5 checksums differ") and "batch_10" in by_checksum
    assert by_count.startswith("the files for training and validation have 2,400 and 240 images")
    monkeypatch.setattr(
        imagenet16_120, "MD5", {each: imagenet16_120._md5(folder / each) for each in BATCHES}
    )
    monkeypatch.setattr(imagenet16_120, "_COUNTS", {"train": 2400, "test": 240})
    os.utime(folder / "val_data")
    assert load_dataset(f"imagenet16_120:{folder}").notes == []


def test_classes_have_names_and_wordnet_ids():
    names = imagenet16_120.class_names_by_id()
    assert len(set(names.values())) == len(names) == 120
    assert list(names.items())[0] == ("n02119789", "kit_fox") and names["n02397096"] == "warthog"


def test_missing_files_are_named_with_what_to_download(tmp_path):
    folder = write_batches(tmp_path / "batches", contents=GOOD)
    (folder / "train_data_batch_7").unlink()
    (folder / "val_data").unlink()
    refused(
        f"imagenet16_120:{folder}",
        "no train_data_batch_7, val_data, with or without .npz. Download .*image-net.org",
    )
    refused(f"imagenet16_120:{tmp_path}/batch", "no such folder .did you mean 'batches'.*Download")
    refused("imagenet16_120", "allowed: imagenet16_120:FOLDER")


GOOD = batch(3, batch_labels(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": GOOD["data"][:, :-1]}, r"data are uint8 \(243, 767\); wanted: uint8 \(N, 768\)"),
        ({"data": GOOD["data"].astype(float)}, r"data are float64 .*; wanted: uint8 \(N, 768\)"),
        ({"data": GOOD["data"][:0], "labels": []}, "has no images"),
        ({"data": GOOD["data"].reshape(243, 3, 256)}, r"data are uint8 \(243, 3, 256\)"),
        ({"labels": GOOD["labels"][1:]}, r"labels are int64 \(242,\); wanted: 243 integers"),
        ({"labels": [0.5] * 243}, "labels are float64"),
        ({"labels": [0, *GOOD["labels"][1:]]}, "label 0 is out of range; wanted: 1 to 1000"),
        ({"labels": [1001, *GOOD["labels"][1:]]}, "label 1001 is out of range"),
    ],
)
@pytest.mark.parametrize("dump", [dump_pickle, dump_npz])
def test_an_unfit_file_is_named(tmp_path, dump, change, message):
    folder = write_batches(tmp_path / "data", dump, GOOD)
    dump(folder / "train_data_batch_4", {**GOOD, **change})
    refused(f"imagenet16_120:{folder}", f"train_data_batch_4.*{message}")


def test_a_file_without_labels_and_files_without_a_class_are_named(tmp_path):
    without = batch(0, [each for each in range(1, 121) if each != 9])
    folder = write_batches(tmp_path / "data", contents=without)
    refused(f"imagenet16_120:{folder}", "no image of class 9, ibex")
    dump_pickle(folder / "val_data", {"data": GOOD["data"], "fine": 1})
    refused(f"imagenet16_120:{folder}", "val_data has data, fine; wanted: data and labels")
    dump_pickle(folder / "val_data", [1])
    refused(f"imagenet16_120:{folder}", "val_data has <class 'list'>; wanted: data and labels")


@pytest.mark.parametrize(("dump", "end"), [(dump_pickle, ""), (dump_npz, ".npz")])
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_named(tmp_path, dump, end, share):
    (tmp_path / "data").mkdir()
    for name in BATCHES:
        dump(tmp_path / "data" / name, GOOD)
    file = tmp_path / "data" / f"train_data_batch_2{end}"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(
        f"imagenet16_120:{tmp_path / 'data'}",
        f"{file.name} is truncated or cannot be read: .* again",
    )


class Calls:
    """Calls something when it is read from a pickle."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "wanted",
    [
        lambda path: Calls(os.system, f"touch {path}"),
        lambda path: Calls(builtins.open, path, "w"),
        lambda path: Calls(eval, f"open({path!r}, 'w')"),
        lambda path: Calls(np.save, path, 1),
        lambda path: Calls(getattr, "os", "system"),
        lambda path: np.array([Calls(builtins.open, path, "w")], object),
        lambda path: np.array([{}, 1], object),
        lambda path: np.zeros(3, [("a", "u1"), ("b", "O")]),
        lambda path: Calls(pickle.loads, pickle.dumps(Calls(builtins.open, path, "w"))),
    ],
)
def test_a_pickle_of_anything_else_is_refused_and_runs_nothing(tmp_path, wanted):
    folder = write_batches(tmp_path / "batches", contents=GOOD)
    victim = tmp_path / "victim"
    dump_pickle(folder / "train_data_batch_5", {**GOOD, "more": wanted(str(victim))})
    refused(f"imagenet16_120:{folder}", "train_data_batch_5 is not the published file: it asks for")
    assert not victim.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_in_plain_containers_are_read_of_every_protocol(tmp_path, protocol):
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (3, 4), np.uint8),
        np.asfortranarray(rng.random((2, 3))),
        np.arange(4, dtype=">i2"),
        np.array([True, False]),
        np.float32(0.25),
        np.zeros((0, 5), np.int64),
    ]
    content = {"arrays": arrays, "plain": [1, 2.5, "ä", b"\xff", (None, True), {"a": []}]}
    file = tmp_path / "arrays"
    dump_pickle(file, content, protocol)
    found = read_pickle(file)
    assert found["plain"] == content["plain"]
    for given, read in zip(arrays, found["arrays"], strict=True):
        assert given.dtype.newbyteorder("=") == read.dtype.newbyteorder("=")
        assert given.shape == read.shape and np.array_equal(given, read)


def test_a_pickled_type_cannot_be_turned_into_one_of_objects(tmp_path):
    """The state of a type may name fields of objects, whose values would be taken as addresses."""

    class Type:
        def __reduce__(self):
            fields = {"a": (np.dtype("u1"), 0)}
            return np.dtype, ("u1", False, True), (3, "|", None, ("a",), fields, 8, 1, 0)

    dump_pickle(tmp_path / "type", Type())
    with pytest.raises(Refused, match="an array of several fields"):
        read_pickle(tmp_path / "type")


# --- Quick, Draw!


def test_drawings_of_both_names_are_read_up_to_a_number(tmp_path, monkeypatch):
    monkeypatch.setattr(quickdraw, "MOST", 30)
    folder = write_drawings(tmp_path, {"bee": 20, "The Eiffel Tower": 50})
    write_drawings(folder, {"ant": 40}, "full_numpy_bitmap_{}.npy")
    data = load_dataset(f"quickdraw:{folder}")
    assert data.class_names == ("The Eiffel Tower", "ant", "bee")
    assert sum(data.counts.values()).tolist() == [30, 30, 20]
    assert data.image_shape == (28, 28, 1) and not data.mirrored
    assert "of 110 drawings, at most the first 30 of each class are used" in data.notes
    first = np.load(folder / "bee.npy").reshape(-1, 28, 28, 1)
    kept = np.concatenate([np.asarray(s.images)[s.labels == 2] for s in data.parts.values()])
    assert sorted(map(bytes, kept)) == sorted(map(bytes, first))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: np.save(file, np.zeros((9, 783), np.uint8)), r"uint8 \(9, 783\); wanted: u"),
        (lambda file: np.save(file, np.zeros((9, 784))), "float64"),
        (lambda file: np.save(file, np.zeros((0, 784), np.uint8)), r"\(0, 784\)"),
        (lambda file: np.save(file, np.uint8(3)), r"uint8 \(\)"),
        (lambda file: np.save(file, np.array([{}])), "is truncated or cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "is truncated or cannot be read"),
        (lambda file: file.write_bytes(b""), "is truncated or cannot be read"),
        (
            lambda file: file.with_name("full_numpy_bitmap_bee.npy").touch(),
            "bee.npy and full_numpy_bitmap_bee.npy are for the same class",
        ),
    ],
)
def test_an_unfit_file_of_drawings_is_named(tmp_path, spoil, message):
    folder = write_drawings(tmp_path / "drawings", {"ant": 20, "bee": 20})
    spoil(folder / "bee.npy")
    refused(f"quickdraw:{folder}", f"bee.npy .*{message}" if "same" not in message else message)


def test_a_folder_without_drawings_is_refused(tmp_path):
    refused(f"quickdraw:{tmp_path}/none", "there is no such folder")
    refused(f"quickdraw:{tmp_path}", "it has no .npy files; wanted: .*storage/browser/quickdraw")


# --- IDX files


@pytest.mark.parametrize(
    ("path", "end", "prefix", "names", "mirrored"),
    [
        ("mnist", "", "", "0 1", False),
        ("mnist", ".gz", "", "0 1", False),
        ("FashionMNIST/raw", ".gz", "", "T-shirt trouser", True),
        ("fashion-mnist", "", "", "T-shirt trouser", True),
        ("fashion/mnist", "", "", "0 1", False),
        ("emnist", ".gz", "emnist-balanced-", "0 1", False),
    ],
)
def test_idx_files_keep_their_test_split(tmp_path, path, end, prefix, names, mirrored):
    test = "test" if prefix else "t10k"
    data = load_dataset(f"idx:{write_mnist(tmp_path / path, end, prefix, test)}")
    assert data.class_names[:2] == tuple(names.split()) and data.mirrored == mirrored
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 12, 20)
    for split in data.parts.values():
        images = np.asarray(split.images)[..., 0]
        place = (9, 2) if prefix else (2, 9)  # EMNIST is published transposed
        assert (images[(slice(None), *place)] == 255).all()
        images[(slice(None), *place)] = 90
        assert (images.min(axis=(1, 2)) == split.labels).all()


def test_files_of_one_name_in_different_folders_are_different_data(tmp_path, monkeypatch):
    digests = set()
    for first in (0, 1):
        folder = write_mnist(tmp_path / str(first) / "mnist", first=first)
        for file in folder.iterdir():
            os.utime(file, (1, 1))  # as in a reproducible archive
        monkeypatch.chdir(folder.parent)
        digests.add(load_dataset("idx:mnist").digest)
    assert len(digests) == 2


def test_of_several_data_sets_in_a_folder_one_is_named(tmp_path):
    for kind, first in {"emnist-letters-": 1, "emnist-digits-": 0}.items():
        write_mnist(tmp_path, ".gz", kind, "test", first=first)
    refused(f"idx:{tmp_path}", f"several data sets; allowed: idx:{tmp_path}/emnist-digits, idx:")
    assert load_dataset(f"idx:{tmp_path}/emnist-letters").class_names[0] == "1"
    refused(f"idx:{tmp_path}/emnist-leters", "did you mean .*emnist-letters'")


def test_an_uncompressed_file_comes_first_and_a_test_split_may_lack(tmp_path):
    folder = write_mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"broken")
    for kind in ("images-idx3", "labels-idx1"):
        (folder / f"t10k-{kind}-ubyte").unlink()
    (folder / "train-labels-idx1-ubyte").rename(folder / "train-labels.idx1-ubyte")
    data = load_dataset(f"idx:{folder}")
    assert [len(split) for split in data.parts.values()] == [36, 12, 12]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.unlink(), "no train-images-idx3-ubyte, with or without .gz"),
        (lambda f: f.write_bytes(b""), "train-images-idx3-ubyte is truncated or cannot be read"),
        (
            lambda f: f.write_bytes(f.read_bytes()[:99]),
            "it has 99 bytes; wanted: 47,056, for shape",
        ),
        (lambda f: f.write_bytes(f.read_bytes() + b"1"), "it has 47,057 bytes; wanted: 47,056"),
        (lambda f: f.write_bytes(b"GIF89a"), "is not an IDX file of images: it begins with"),
        (lambda f: write_idx(f, np.zeros(60)), "is not an IDX file of images"),
        (lambda f: write_idx(f, np.zeros((59, 28, 28))), "has 59 images, .* 60 labels"),
        (lambda f: write_idx(f, np.zeros((60, 9, 9))), r"are \(28, 28\), the others \(9, 9\)"),
        (
            lambda f: f.rename(f"{f}.gz").write_bytes(gzip.compress(b"0" * 99)[:-9]),
            "train-images-idx3-ubyte.gz is truncated or cannot be read",
        ),
    ],
)
def test_an_unfit_idx_file_is_named(tmp_path, spoil, message):
    folder = write_mnist(tmp_path / "mnist")
    spoil(folder / "train-images-idx3-ubyte")
    refused(f"idx:{folder}", message)


def test_a_folder_without_idx_files_is_refused(tmp_path):
    refused(f"idx:{tmp_path}", "has no IDX files; wanted: train-images-idx3-ubyte and")
    refused(f"idx:{tmp_path}/none/raw", "there is no such folder")
