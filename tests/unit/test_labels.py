"""Labels of any kind become class numbers, the same in all splits, and it is said how."""

import errno
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnas_tf.data import DATASETS, Source, load_dataset
from xnas_tf.data.checking import checked
from xnas_tf.data.labels import encode, one_per_image
from xnas_tf.errors import InputError, RunError

Y = np.array([0, 1, 2, 0, 1, 2])


def encoded(labels, names=None, **more):
    splits = {"": labels, **more}
    found = {part: one_per_image(own, len(own), "mine") for part, own in splits.items()}
    result = encode({part: own for part, (own, _) in found.items()}, names, "mine")
    return result._replace(remarks=[*found[""][1], *result.remarks])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64])
def test_class_numbers_are_unchanged_without_a_word(dtype):
    for labels in (Y.astype(dtype), Y[:, None].astype(dtype), np.eye(3, dtype=dtype)[Y]):
        found = encoded(labels)
        assert found.numbers[""].tolist() == Y.tolist() and found.numbers[""].dtype == np.int32
        assert found.class_names == ("0", "1", "2") and not found.remarks


@pytest.mark.parametrize(
    ("labels", "names", "remark"),
    [
        (Y + 1, ("1", "2", "3"), "labels 1, 2, 3 are the classes 0 to 2"),
        (Y * 4 + 3, ("3", "7", "11"), "labels 3, 7, 11 are the classes 0 to 2"),
        (Y.astype(float), ("0", "1", "2"), "labels are floats, taken as whole numbers"),
        (np.array(["a", "b", "é"])[Y], ("a", "b", "é"), "labels a, b, é are the classes 0 to 2"),
        (np.array(["9", "010", "10 "])[Y], ("9", "010", "10"), "labels 9, 010, 10 are"),
        (np.array([b"a", b"b", b"c"])[Y], ("a", "b", "c"), "labels a, b, c are"),
        (np.array([b"\xe9", b"a", b"b"])[Y], (r"\xe9", "a", "b"), r"labels \xe9, a, b are"),
        (np.array(["a", "b", "c"], object)[Y], ("a", "b", "c"), "labels a, b, c are"),
        (np.eye(4)[Y], ("0", "1", "2"), "one-hot columns without an image, left out: 3"),
    ],
)
def test_other_labels_are_mapped_in_their_order(labels, names, remark):
    found = encoded(labels)
    assert found.numbers[""].tolist() == Y.tolist() and found.class_names == names
    assert found.remarks[0].startswith(remark)


@pytest.mark.parametrize("labels", [[False, True, True], [-1, 1, 1], [b"n", b"y", b"y"]])
def test_labels_of_two_classes(labels):
    found = encoded(np.array(labels))
    assert found.numbers[""].tolist() == [0, 1, 1] and len(found.remarks) == 1


def test_class_names_give_the_order():
    found = encoded(np.array(["cat", "dog", "cat"]), ["dog", "cat"])
    assert found.numbers[""].tolist() == [1, 0, 1] and found.class_names == ("dog", "cat")
    spaced = encoded(np.array(["cat ", "dog", "cat "]), ["dog", "cat "])
    assert spaced.numbers[""].tolist() == [1, 0, 1] and spaced.class_names == ("dog", "cat")
    one_based = encoded(np.array([1, 2, 1]), ["dog", "cat"])
    assert one_based.numbers[""].tolist() == [0, 1, 0]
    assert one_based.remarks == ["labels 1 to 2 are the classes dog to cat"]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=9, unique=True),
    st.data(),
)
def test_all_splits_are_mapped_alike(values, data):
    train = np.array(values)
    test = np.array(data.draw(st.lists(st.sampled_from(values), min_size=1)))
    found = encoded(train, test=test)
    names = np.array(found.class_names)
    assert names[found.numbers[""]].tolist() == train.astype(str).tolist()
    assert names[found.numbers["test"]].tolist() == test.astype(str).tolist()
    assert (np.diff(names.astype(int)) > 0).all()


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        (Y - 1, None, "label -1 is out of range; allowed: numbers from 0"),
        (Y + 2, ["a", "b", "c"], "label 4 is out of range; allowed: 0 to 2 .3 class names"),
        (Y / 2, None, "label 0.5 of image 1 is not a whole number"),
        (Y * np.nan, None, "label nan of image 0 is not a whole number"),
        (Y * 1e300, None, "is not a whole number"),
        (Y * 1j, None, "labels are of type complex128; allowed: whole numbers, texts"),
        (np.ones((6, 3)), None, "rows of 3 labels that are not one-hot"),
        (np.array(["a", "", "b", "a", "b", "a"]), None, "label of image 1 is empty"),
        (np.array(["cat", "dgo"]), ["cat", "dog"], "did you mean 'dog'"),
        (np.array(["a", "b"]), ["a", "b", "a "], "2 classes are named 'a'"),
        (Y, [], "class_names are empty"),
        (Y, ["a", "b", "b"], "2 classes are named 'b'"),
        (np.ma.masked_equal(Y, 1), None, "labels have masked values"),
        (Y * 0, None, "all images are of one class"),
    ],
)
def test_what_cannot_be_mapped_is_refused(labels, names, message):
    with pytest.raises(InputError, match=f"^mine: .*{message}"):
        encoded(labels, names)


def test_texts_beside_numbers_are_refused():
    with pytest.raises(InputError, match="text in one split but not in another: train int64"):
        encoded(Y, test=np.array(["0", "1"]))


def test_a_data_set_says_how_labels_are_mapped(tmp_path):
    images, labels = np.full((80, 4, 4), 100, np.uint8), np.arange(40) % 2
    images += np.arange(80, dtype=np.uint8)[:, None, None]
    pairs = {"x": images[:40], "y": labels + 1.0, "x_test": images[40:], "y_test": labels + 1}
    np.savez(tmp_path / "a.npz", **pairs)
    data = load_dataset(f"npz:{tmp_path / 'a.npz'}")
    assert data.class_names == ("1", "2") and set(data.test.labels) == {0, 1}
    assert data.notes == [
        "labels are floats, taken as whole numbers",
        "labels 1, 2 are the classes 0 to 1",
    ]


def test_images_with_names_may_have_published_splits():
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
    labels = np.arange(40) % 2
    names = [f"scan {number}" for number in range(40)]
    source = Source(images, labels, test=(images[:6], labels[:6]), names=names)
    found, _ = checked(source, "mine")
    assert found.names == [*names, *(f"test[{row}]" for row in range(6))]
    with pytest.raises(InputError, match="mine: 39 names for 40 images"):
        checked(replace(source, names=names[1:]), "mine")


def test_identical_images_of_a_published_split_are_named(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
    labels = np.arange(40) % 2
    names = [f"scan {number}" for number in range(40)]
    source = Source(images, labels, test=(images[:1], labels[:1]), names=names)
    monkeypatch.setattr(DATASETS, "get", lambda _: lambda: source)
    assert load_dataset("mine:load").findings.identical == (("scan 0", "test[0]"),)


def test_classes_that_a_split_lacks_or_that_are_alike_are_named(tmp_path):
    images, labels = np.zeros((40, 4, 4), np.uint8) + 200, np.arange(40) % 2
    names = np.array(["Cat", "cat ", "dog"])
    np.savez(
        tmp_path / "a.npz",
        x=images,
        y=labels,
        x_test=images[::2],
        y_test=labels[::2],
        class_names=names,
    )
    notes = load_dataset(f"npz:{tmp_path / 'a.npz'}").notes
    assert "no images in test of the classes cat " in notes
    assert "classes without images: dog" in notes
    assert "classes whose names differ only in case or spaces: Cat, cat " in notes


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 4), np.uint8)
LABELS = np.arange(40) % 2


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"test": IMAGES}, r".test. is a ndarray; allowed: .images, labels."),
        ({"validation": (IMAGES,)}, r".validation. is a tuple; allowed: .images, labels."),
        ({"parts": np.array(["trian"] * 40)}, "unknown split 'trian' .did you mean 'train'"),
        ({"groups": np.arange(3)}, "groups of shape .3,. for 40 images"),
        ({"images": np.ma.masked_equal(IMAGES, IMAGES[0, 0, 0])}, "images have masked values"),
        ({"images": [IMAGES[0], IMAGES[0, 1:]]}, "images differ in shape"),
        ({"labels": [0, [1, 2]]}, "labels are not one per image"),
    ],
)
def test_what_is_wrong_with_a_source_is_named(source, message):
    with pytest.raises(InputError, match=f"^data set mine.*{message}"):
        checked(Source(**{"images": IMAGES, "labels": LABELS, **source}), "mine")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda: np.load("/nowhere/images.npy"),
            "failed: FileNotFoundError: .*/nowhere/images.npy",
        ),
        (lambda path: path, "failed: TypeError: .* missing 1 required positional argument: 'path'"),
        (lambda: (IMAGES, LABELS), "returned a tuple; allowed: an xnas_tf.data.Source"),
    ],
)
def test_a_function_that_gives_no_source_is_wrong_input(monkeypatch, function, message):
    """So an export, for which the images may be missing, goes on without them."""
    monkeypatch.setattr(DATASETS, "get", lambda _: function)
    with pytest.raises(InputError, match=f"^data set mine:load: the function {message}"):
        load_dataset("mine:load")


def test_a_disk_that_fails_is_not_wrong_input(monkeypatch):
    def load():
        raise OSError(errno.ESTALE, "stale file handle")

    monkeypatch.setattr(DATASETS, "get", lambda _: load)
    with pytest.raises(RunError, match="the function failed: OSError"):
        load_dataset("mine:load")


def test_images_without_a_group_are_in_none():
    groups = [None, float("nan"), "", "a", 7, *["b"] * 35]
    found, _ = checked(Source(IMAGES, LABELS, groups=np.array(groups, object)), "mine")
    assert found.groups[:5].tolist() == ["", "", "", "a", "7"]
