import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datasets import make_dataset
from xnas_tf.data import Split, load_dataset
from xnas_tf.data.batches import batching, shard, training_batches
from xnas_tf.data.dataset import sample_images
from xnas_tf.data.options import AugmentationOptions
from xnas_tf.errors import InputError


@pytest.mark.parametrize(("name", "count"), [("mnist5k", 5000), ("digits", 1797)])
def test_parts_are_stratified_and_share_no_image(name, count):
    dataset = load_dataset(name)
    parts = [dataset.train, dataset.validation, dataset.test]
    assert sum(map(len, parts)) == count
    assert len(np.unique(np.concatenate([p.images for p in parts]), axis=0)) >= count - 5
    for part in parts:
        shares = np.bincount(part.labels, minlength=10) / len(part)
        assert np.abs(shares - 0.1).max() < 0.01
    assert dataset.train.images.dtype == np.uint8 and dataset.train.images.max() == 255
    assert not dataset.mirrored


def save(tmp_path, **arrays):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


IMAGES = np.zeros((40, 6, 6), np.uint8)
LABELS = np.arange(40) % 4


def test_npz_with_a_published_test_part_keeps_it(tmp_path):
    name = save(
        tmp_path,
        x_train=IMAGES,
        y_train=LABELS[:, None],
        x_test=IMAGES[:4] + 7,
        y_test=LABELS[:4],
        class_names=["a", "b", "c", "d"],
    )
    dataset = load_dataset(name, validation=0.25)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (30, 10, 4)
    assert (dataset.test.images == 7).all() and dataset.class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IMAGES, "labels": LABELS}, "unknown array 'labels'"),
        ({"x": IMAGES, "y_train": LABELS}, "the file has x, but no array 'y'"),
        ({"x": IMAGES, "y": LABELS, "y_test": LABELS}, "has y_test, but no array 'x_test'"),
        ({"x": IMAGES, "y": LABELS, "x_val": IMAGES}, "has x_val, but no array 'y_val'"),
        ({"x": IMAGES, "y": LABELS, "x_tets": IMAGES}, "did you mean 'x_test'"),
        ({"x": IMAGES, "y": LABELS, "x_train": IMAGES, "y_train": LABELS}, "wanted: x and y, or"),
        ({"x_test": IMAGES, "y_test": LABELS}, "wanted: x and y, or x_train and y_train"),
        ({"x": IMAGES, "y": LABELS, "mirrored": np.array("no")}, "mirrored true or false"),
        ({"x": IMAGES[0], "y": LABELS}, r"images have shape \(6, 6\)"),
        ({"x": IMAGES[:0], "y": LABELS[:0]}, "no images"),
        (
            {"x": IMAGES * np.nan, "y": LABELS},
            "NaN or infinite values in 40 images, first in image 0",
        ),
        ({"x": IMAGES + np.inf, "y": LABELS}, "NaN or infinite values in 40 images"),
        ({"x": IMAGES.astype(str), "y": LABELS}, "not real numbers"),
        ({"x": IMAGES * 1j, "y": LABELS}, "not real numbers"),
        ({"x": IMAGES, "y": LABELS[:9]}, "40 images but labels of shape"),
        ({"x": IMAGES, "y": LABELS, "class_names": ["a", "b"]}, "0 to 1 .2 class names"),
        ({"x": IMAGES[:6], "y": LABELS[:6]}, "too few to split"),
        ({"x": np.array([{}, {}], dtype=object), "y": LABELS}, "not a readable npz"),  # a pickle
        (
            {
                "x": IMAGES,
                "y": LABELS % 2,
                "x_test": IMAGES,
                "y_test": LABELS,
                "class_names": ["a", "b", "c", "d"],
            },
            "no training images of the classes c, d",
        ),
        (
            {"x": IMAGES, "y": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
            r"test images are \(5, 6, 1\), the others \(6, 6, 1\)",
        ),
    ],
)
def test_unfit_data_is_refused_with_the_reason(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        load_dataset(save(tmp_path, **arrays))


def test_npz_with_a_published_validation_part_keeps_it(tmp_path):
    more = {"x_val": IMAGES[:8] + 7, "y_val": LABELS[:8]}
    dataset = load_dataset(save(tmp_path, x_train=IMAGES, y_train=LABELS, **more), test=0.25)
    assert [len(part) for part in dataset.parts.values()] == [30, 8, 10]
    assert (dataset.validation.images == 7).all()


def test_parts_of_an_npz_join_its_published_parts(tmp_path):
    parts = np.array(["val", "train", "train", "", ""] * 8)
    more = {"x_val": IMAGES[:8] + 7, "y_val": LABELS[:8], "x_test": IMAGES, "y_test": LABELS}
    dataset = load_dataset(save(tmp_path, x=IMAGES, y=LABELS, parts=parts, **more))
    assert [len(part) for part in dataset.parts.values()] == [32, 16, 40]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first_are_turned_and_said(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 8, channels), np.uint8)
    usual = load_dataset(save(tmp_path, x=images, y=LABELS))
    found = load_dataset(save(tmp_path, x=np.moveaxis(images, -1, 1), y=LABELS))
    assert found.digest == usual.digest and not usual.notes
    assert found.notes == [
        f"images of shape ({channels}, 6, 8) are read as channels first: (6, 8, {channels})"
    ]


@pytest.mark.parametrize(
    ("shape", "is_noted"), [((5, 6, 8), True), ((6, 8, 5), False), ((6, 6, 8), False)]
)
def test_other_numbers_of_channels_that_may_come_first_are_noted(tmp_path, shape, is_noted):
    images = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    found = load_dataset(save(tmp_path, x=images, y=LABELS))
    assert found.image_shape == shape
    assert [note[:60] for note in found.notes] == [
        "images of shape (5, 6, 8) are read as 5x6 pixels with 8 chan"
    ] * is_noted


def test_missing_and_corrupt_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_dataset(f"npz:{tmp_path}/none.npz")
    for content in (b"", b"not an archive", b"PK\x03\x04 cut off"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match="not a readable npz"):
            load_dataset(f"npz:{tmp_path}/bad.npz")
    np.savez_compressed(tmp_path / "whole.npz", x=IMAGES, y=LABELS)
    content = bytearray((tmp_path / "whole.npz").read_bytes())
    content[len(content) // 3] ^= 0xFF
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a readable npz"):
        load_dataset(f"npz:{tmp_path}/bad.npz")
    np.save(tmp_path / "one.npy", IMAGES)
    with pytest.raises(InputError, match="it contains a single unnamed array"):
        load_dataset(f"npz:{tmp_path}/one.npy")


@pytest.mark.parametrize(
    ("name", "shape", "fourth"),
    [
        ("mnist", (28, 28, 1), "3"),
        ("fashion_mnist", (28, 28, 1), "dress"),
        ("cifar10", (32, 32, 3), "cat"),
        ("cifar100", (32, 32, 3), "bear"),
    ],
)
def test_keras_data_sets_come_from_the_cache(tmp_path, monkeypatch, name, shape, fourth):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "datasets").mkdir()
    count = 500 if name == "cifar100" else 50
    labels = np.arange(count) % (count // 5)
    np.savez(
        tmp_path / "datasets" / f"{name}.npz",
        x_train=np.zeros((count, *shape), np.uint8),
        y_train=labels,
        x_test=np.ones((count, *shape), np.uint8),
        y_test=labels,
    )
    dataset = load_dataset(f"keras:{name}")
    assert dataset.image_shape == shape and (dataset.test.images == 1).all()
    assert len(dataset.train) == 0.8 * count and len(dataset.class_names) == count // 5
    assert dataset.class_names[3] == fourth and dataset.mirrored == (name != "mnist")


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match="did you mean 'mnist5k'"):
        load_dataset("mnist5")
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        load_dataset("keras:cifar1O")


AUGMENTATION = AugmentationOptions(crop=2, flip=True, cutout=3)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 5), st.integers(5, 40), st.integers(0, 3))
def test_ranks_together_see_what_one_process_sees(size, batch, epoch):
    dataset = make_dataset()
    whole = list(training_batches(dataset, batch, AUGMENTATION, 3, epoch))
    parts = [
        list(training_batches(dataset, batch, AUGMENTATION, 3, epoch, rank, size))
        for rank in range(size)
    ]
    assert len(whole) == batching(len(dataset.train), batch)[1]
    for step, transaction in enumerate(whole):
        for rank in range(size):
            mine = shard(len(transaction), rank, size)
            assert np.array_equal(transaction.images[mine], parts[rank][step].images)
            assert np.array_equal(transaction.labels[mine], parts[rank][step].labels)


def test_epochs_differ_and_repeat_with_the_seed():
    dataset = make_dataset()
    first, again, later = (
        next(training_batches(dataset, 20, AUGMENTATION, 1, epoch)).images for epoch in (0, 0, 1)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, later)


def one_epoch(augmentation, mirrored=False):
    dataset = make_dataset(mirrored=mirrored)
    batches = list(training_batches(dataset, 60, augmentation, 0, 0))
    order = np.random.default_rng([0, 0]).permutation(60)
    return dataset.train.images[order], batches[0].images


def test_digits_are_never_flipped_and_photographs_are():
    before, after = one_epoch(AugmentationOptions())
    assert np.array_equal(before, after)
    before, after = one_epoch(AugmentationOptions(), mirrored=True)
    kept = (before == after).all(axis=(1, 2, 3))
    turned = (before[:, :, ::-1] == after).all(axis=(1, 2, 3))
    assert (kept ^ turned).all() and 15 < turned.sum() < 45


def test_cutout_blanks_a_square_and_crop_shifts():
    for side in (1, 3, 4):
        before, after = one_epoch(AugmentationOptions(cutout=side))
        blank = ((after == 0) & (before > 0)).sum(axis=(1, 2, 3))
        assert (blank <= side**2).all() and blank.max() == side**2
    before, after = one_epoch(AugmentationOptions(crop=1))
    moved = [
        any(
            np.array_equal(np.pad(b[..., 0], 1)[i : i + 8, j : j + 8], a[..., 0])
            for i in range(3)
            for j in range(3)
        )
        for b, a in zip(before, after, strict=True)
    ]
    assert all(moved)


def test_a_sample_takes_an_image_of_each_class_in_turn():
    labels = np.array([2, 0, 0, 0, 1, 2, 0, 1], np.int32)
    split = Split(np.arange(8, dtype=np.uint8).reshape(8, 1, 1, 1), labels)
    sample = sample_images(split, 7)
    assert sample.images.ravel().tolist() == [1, 4, 0, 2, 7, 5, 3]
    assert sample.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert len(sample_images(split, 99)) == 8
