"""Image folders, tables and records: what is read, what is found, and what is kept."""

import csv
import os
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.pictures import make_folder, picture, spoil
from tests.published import fake_tfds, write_records
from xnas_tf.data import check_dataset_name, load_dataset, tfrecords
from xnas_tf.data import image_cache as storing
from xnas_tf.data.decoding import Look, Unreadable, look_at, read_image
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.data.image_list import match_groups
from xnas_tf.errors import InputError

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def pets(tmp_path):
    return make_folder(tmp_path / "pets", {"cat": 20, "dog": 20})


def sizes(dataset):
    return [len(part) for part in dataset.parts.values()]


def test_a_folder_of_images_is_all_there(pets):
    dataset = load_dataset(f"folder:{pets}")
    assert dataset.class_names == ("cat", "dog") and dataset.image_shape == (12, 12, 3)
    assert sizes(dataset) == [24, 8, 8]
    for part in dataset.parts.values():  # by the colour that shows the class
        means = np.asarray(part.images).mean(axis=(1, 2))
        assert (means[:, :2].argmax(axis=1) == part.labels).all()
    assert not dataset.notes


def test_problems_are_named_and_left_out(pets):
    corrupt = spoil(pets)
    found = load_dataset(f"folder:{pets}").findings
    assert sorted(found.unreadable) == corrupt
    assert found.unreadable["cat/nothing.jpg"] == "empty"
    assert found.unreadable["dog/text.png"] == "no image"
    assert found.grey == ["dog/grey.png"] and list(found.empty) == ["unicorn"]
    assert list(found.odd) == ["cat/wide.png"] and found.different_sizes == 3
    notes = " ".join(load_dataset(f"folder:{pets}").notes)
    assert all(name in notes for name in [*corrupt, "dog/grey.png", "cat/wide.png", "unicorn"])


def test_too_many_corrupt_files_are_refused_with_all_names(pets):
    corrupt = spoil(pets)
    with pytest.raises(InputError, match="3 of 46 images cannot be decoded; allowed: 5%") as error:
        load_dataset(f"folder:{pets}", max_corrupt=0.05)
    assert all(name in str(error.value) for name in corrupt)


def test_a_class_without_a_readable_image_is_refused(pets):
    (pets / "emu").mkdir()
    (pets / "emu" / "egg.png").write_text("egg")
    with pytest.raises(InputError, match=r"classes emu can be decoded: emu/egg.png \(no image\)"):
        load_dataset(f"folder:{pets}")


def test_the_order_is_not_the_file_systems(pets, tmp_path, monkeypatch):
    first = load_dataset(f"folder:{pets}").digest
    walk, iterdir = os.walk, type(pets).iterdir
    monkeypatch.setattr(
        os, "walk", lambda top, **more: ((a, b, c[::-1]) for a, b, c in walk(top, **more))
    )
    monkeypatch.setattr(type(pets), "iterdir", lambda path: reversed(list(iterdir(path))))
    shutil.copytree(pets, tmp_path / "copy")
    assert load_dataset(f"folder:{tmp_path / 'copy'}").digest == first


def test_folders_of_parts_keep_their_parts_and_images_in_several_are_noted(tmp_path):
    root = tmp_path / "pets"
    for part, count in {"train": 20, "val": 5, "test": 3}.items():
        make_folder(root / part, {"cat": count, "dog": count})
    dataset = load_dataset(f"folder:{root}")
    assert sizes(dataset) == [40, 10, 6]
    assert dataset.how_split == "train, validation, test as given; by class"
    found = dataset.findings.identical
    assert len(found) == 10 and {len(each) for each in found} == {2, 3}
    in_all = ("test/cat/000.png", "train/cat/000.png", "val/cat/000.png")
    assert in_all in map(tuple, map(sorted, found))
    shutil.rmtree(root / "val")
    assert sizes(load_dataset(f"folder:{root}", validation=0.25)) == [30, 10, 6]


def test_a_given_split_without_a_readable_image_is_not_drawn_from_the_others(tmp_path):
    root = tmp_path / "pets"
    for part, count in {"train": 20, "test": 1}.items():
        make_folder(root / part, {"cat": count, "dog": count})
    for file in (root / "test").rglob("*.png"):
        file.write_text("no picture")
    with pytest.raises(InputError, match="no image of the split test can be decoded"):
        load_dataset(f"folder:{root}")
    shutil.rmtree(root / "test")
    assert load_dataset(f"folder:{root}").how_split.startswith("by class")


def test_a_group_is_found_in_the_path(pets):
    dataset = load_dataset(f"folder:{pets}", group=r"(\d)\.\w+$")
    assert dataset.how_split == "by class; groups stay whole"
    assert not any(note.startswith("groups") for note in dataset.notes)
    alone = load_dataset(f"folder:{pets}", group=r"\w+/\d+")  # matches the image, not the subject
    assert any(note.startswith("groups: no two images have the same") for note in alone.notes)
    names = [str(file.relative_to(pets)) for file in pets.rglob("*.*")]
    assert set(match_groups(r"(\d)\.\w+$", names, "pets")) == set("0123456789")
    with pytest.raises(InputError, match="'x.y' was not found in 'cat/000.png'"):
        load_dataset(f"folder:{pets}", group="x.y")
    with pytest.raises(InputError, match="was not found in 'cat/000.png'"):
        load_dataset(f"folder:{pets}", group=r"(\d+)?")  # only an empty text matches
    assert match_groups(r"cat/(\d)|dog", ["cat/1.png", "dog/2.png"], "pets").tolist() == ["1", ""]
    assert match_groups(r"(?=.*(\d))", ["cat/1.png"], "pets").tolist() == ["1"]  # a lookahead


def test_grey_images_stored_with_colour_are_no_problem_but_a_hint(pets):
    for file in pets.rglob("*.*"):
        Image.open(file).convert("L").convert("RGB").save(file.with_suffix(".png"))
        if file.suffix != ".png":
            file.unlink()
    dataset = load_dataset(f"folder:{pets}")
    assert dataset.image_shape == (12, 12, 3) and not dataset.findings.grey
    assert dataset.notes == ["grey, although stored with colour: dataset.channels: 1 is enough"]


def test_names_of_any_bytes_can_be_printed(pets):
    (pets / "cat" / "000.png").rename(pets / "cat" / os.fsdecode(b"\xff.png"))
    (pets / "cat" / os.fsdecode(b"\xfe.png")).touch()
    (pets / "dog").rename(pets / os.fsdecode(b"\xe9"))
    dataset = load_dataset(f"folder:{pets}")
    assert dataset.class_names == ("\\xe9", "cat") and len(dataset.train) == 24
    assert dataset.findings.unreadable == {"cat/\\xfe.png": "empty"}


def test_a_folder_that_is_not_there_is_named_with_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leafs").mkdir()
    expected = f"no such folder: {tmp_path / 'leaves'} .did you mean 'leafs'"
    with pytest.raises(InputError, match=expected):
        load_dataset("folder:leaves")
    with pytest.raises(InputError, match=f"no such file: {tmp_path / 'leaves.npz'}"):
        load_dataset("npz:leaves.npz")
    with pytest.raises(InputError, match=f"folder:leaves: {tmp_path / 'leaves'} does not exist"):
        check_dataset_name("folder:leaves")


def test_imbalance_is_noted(tmp_path):
    make_folder(tmp_path / "pets", {"cat": 30, "dog": 10})
    dataset = load_dataset(f"folder:{tmp_path / 'pets'}")
    assert dataset.imbalance == 3
    assert dataset.notes == ["classes are imbalanced: 30 images of cat, 10 of dog (3.0 to 1)"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "there is no such folder"),
        (lambda root: root.mkdir(), "no images in folders inside it"),
        (lambda root: make_folder(root, {"cat": 5}), "all images are of one class"),
        (
            lambda root: make_folder(root, {"test": 5, "val": 5}),
            "has the folders test, val, but no",
        ),
        (lambda root: make_folder(root.parent, {"pets": 5}), "5 images are in no folder"),
        (lambda root: make_folder(root, {"cat": 5, "dog": 1}), "too few to split off a test split"),
    ],
)
def test_an_unfit_folder_is_refused(tmp_path, make, message):
    make(tmp_path / "pets")
    with pytest.raises(InputError, match=message):
        load_dataset(f"folder:{tmp_path / 'pets'}")


def test_near_names_and_forms_are_suggested(pets):
    with pytest.raises(InputError, match="did you mean 'pets'"):
        load_dataset(f"folder:{pets.parent / 'pest'}")
    with pytest.raises(InputError, match=f"did you mean folder:{pets}"):
        load_dataset(str(pets))
    with pytest.raises(InputError, match="allowed: folder:PATH"):
        load_dataset("folder")


# --- the cache


def test_images_are_decoded_once_until_something_changes(pets, cache):
    said = []
    load = lambda **more: load_dataset(f"folder:{pets}", log=said.append, **more)  # noqa: E731
    digest = load().digest
    assert load(seed=3).digest != digest and load().digest == digest and len(said) == 1
    load(size=8)
    assert len(said) == 2
    picture(2, 7).save(pets / "cat" / "000.png")
    assert load().digest != digest and len(said) == 3
    assert (cache / "xnas-tf" / "images").stat().st_mode & 0o077 == 0


def test_what_a_kill_leaves_is_not_taken_for_whole(pets, cache, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(storing, "_save", die)
    with pytest.raises(KeyboardInterrupt):
        load_dataset(f"folder:{pets}")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert len(load_dataset(f"folder:{pets}").train) == 24


@pytest.mark.parametrize("file", ["images.npy", "listing.npz", "findings.json"])
def test_a_damaged_cache_is_named_with_what_to_do(pets, cache, file):
    load_dataset(f"folder:{pets}")
    (stored,) = (cache / "xnas-tf" / "images").glob(f"*/{file}")
    for damage in (lambda: os.truncate(stored, stored.stat().st_size // 2), stored.unlink):
        damage()
        with pytest.raises(InputError, match="cannot be read: .*; remove it"):
            load_dataset(f"folder:{pets}")


def test_a_full_disk_is_an_error_with_a_way_out(pets, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="No space left on device; set XDG_CACHE_HOME"):
        load_dataset(f"folder:{pets}")


def test_rows_index_as_an_array_does():
    rng = np.random.default_rng(0)
    plain = rng.integers(0, 256, (9, 2, 2, 1), np.uint8)
    digests = np.arange(9 * 16, dtype=np.uint8).reshape(9, 16)
    order = rng.permutation(9)[:7]
    rows = DiskImages(plain, digests).select(order)
    for index in (3, slice(1, 6, 2), np.array([5, 0, 5]), slice(0, 0)):
        assert np.array_equal(rows[index], plain[order][index])
    assert np.array_equal(np.asarray(rows), plain[order]) and rows.shape == (7, 2, 2, 1)
    assert np.array_equal(np.asarray(rows.select(slice(1, None, 3))), plain[order][1::3])
    assert np.array_equal(rows.select([2, 1]).digests, digests[order][[2, 1]])


# --- one image


def test_the_usual_size_is_the_median_up_to_a_limit():
    looks = [Look(10, 20, True), Look(30, 40, True), Look(50, 41, True)]
    assert storing.usual_size(looks) == (30, 40)
    assert storing.usual_size([Look(3000, 4000, True)]) == (96, 128)
    assert storing.usual_size([Look(1, 4000, True)]) == (1, 128)


def test_size_and_channels_may_be_given(pets):
    dataset = load_dataset(f"folder:{pets}", size=[6, 9], channels=1)
    assert dataset.image_shape == (6, 9, 1)
    assert load_dataset("digits", size=4, channels=3).image_shape == (4, 4, 3)
    assert np.array_equal(
        load_dataset("digits", channels=3).test.images,
        load_dataset("digits").test.images.repeat(3, axis=-1),
    )


def test_grey_folders_have_one_channel(tmp_path):
    for number in range(40):
        file = tmp_path / "pets" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture(number % 2, number).convert("L").save(file)
    dataset = load_dataset(f"folder:{tmp_path / 'pets'}")
    assert dataset.image_shape == (12, 12, 1) and not dataset.findings.grey


def test_pixels_of_every_kind_become_bytes(tmp_path):
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    cases = {
        "grey.png": Image.fromarray(ramp),
        "deep.png": Image.fromarray(ramp.astype(np.uint16) * 257),
        "colour.png": Image.fromarray(np.stack([ramp] * 3, axis=-1)),
        "palette.gif": Image.fromarray(ramp),
        "bits.bmp": Image.fromarray(ramp),
    }
    for name, image in cases.items():
        image.save(tmp_path / name)
        found = read_image(tmp_path / name, None, 1)[..., 0]
        assert np.abs(found.astype(int) - ramp).max() <= 1, name
        assert look_at(tmp_path / name).is_grey == (name != "colour.png"), name


def test_what_is_transparent_becomes_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "logo.png")
    found = read_image(tmp_path / "logo.png", None, 3)
    assert (found[:2] == 0).all() and (found[2:] == 255).all()


def test_photographs_are_turned_upright(tmp_path):
    image = picture(0, 0, (8, 16))
    exif = image.getexif()
    exif[0x0112] = 6  # turn right by 90 degrees
    image.save(tmp_path / "held.png", exif=exif)
    assert look_at(tmp_path / "held.png")[:2] == (16, 8)
    upright = read_image(tmp_path / "held.png", None, 3)
    assert np.array_equal(upright, np.rot90(np.asarray(image), -1))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("colours", [1, 3])
def test_scans_are_turned_upright(tmp_path, compression, colours):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, colours), np.uint8)
    image = Image.fromarray(pixels.squeeze())
    for orientation, upright in ((6, np.rot90(pixels, -1)), (8, np.rot90(pixels))):
        image.save(tmp_path / "scan.tif", tiffinfo={0x0112: orientation}, compression=compression)
        assert look_at(tmp_path / "scan.tif")[:2] == (16, 8)
        assert np.array_equal(read_image(tmp_path / "scan.tif", None, colours), upright)


def test_of_a_moving_picture_the_first_is_taken(tmp_path):
    shades = [Image.fromarray(np.full((4, 4), shade, np.uint8)) for shade in (40, 200)]
    shades[0].save(tmp_path / "moving.gif", save_all=True, append_images=shades[1:])
    assert (read_image(tmp_path / "moving.gif", None, 1) == 40).all()


def test_stretching_keeps_the_mean(tmp_path):
    """A chess board shrinks to grey: all pixels count, not every n-th."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "board.png")
    assert np.abs(read_image(tmp_path / "board.png", (8, 8), 1).astype(int) - 127).max() <= 4


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "map.tiff")
    with pytest.raises(Unreadable, match="floating-point"):
        read_image(tmp_path / "map.tiff", None, 1)


# --- tables


def write_table(root, rows, header=("path", "label", "split", "group")):
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header[: len(rows[0])] if rows else header, *rows])
    return f"csv:{root / 'labels.csv'}"


def table_rows(pets, **columns):
    files = sorted(pets.rglob("*.*"))
    return [
        [file.relative_to(pets), file.parent.name, *(column(n) for column in columns.values())]
        for n, file in enumerate(files)
    ]


def test_a_table_in_any_order_gives_the_same_as_a_folder(pets):
    digest, rows = load_dataset(f"folder:{pets}").digest, table_rows(pets)
    for ordered in (rows, rows[::-1]):
        assert load_dataset(write_table(pets, ordered)).digest == digest


def test_a_split_column_is_respected(pets):
    parts = ["train", "train", "val", "test"]
    name = write_table(pets, table_rows(pets, split=lambda n: parts[n % 4]))
    assert sizes(load_dataset(name)) == [20, 10, 10]


def test_a_group_with_images_in_two_given_parts_leaks(pets):
    rows = table_rows(pets, split=lambda n: ["train", "test"][n % 2], group=lambda n: f"g{n // 4}")
    with pytest.raises(InputError, match="10 groups have images both in test and in train"):
        load_dataset(write_table(pets, rows))


def test_labels_that_are_numbers_are_ordered_as_numbers(pets):
    rows = [[row[0], {"cat": 10, "dog": 9}[row[1]]] for row in table_rows(pets)]
    assert load_dataset(write_table(pets, rows)).class_names == ("9", "10")


@pytest.mark.parametrize(
    ("header", "change", "message"),
    [
        (("file", "label"), lambda r: r, "no column 'path'"),
        (("path", "labels"), lambda r: r, "did you mean 'labels'"),
        (("path", "label"), lambda r: [], "it has a header only"),
        (("path", "label"), lambda r: [*r, r[0]], "cat/000.png is in rows 2 and 42"),
        (
            ("path", "label"),
            lambda r: [[r[0][0], ""], *r[1:]],
            "row 2: nothing in the column label",
        ),
        (("path", "label", "split"), lambda r: [[*e, "tset"] for e in r], "did you mean 'test'"),
    ],
)
def test_an_unfit_table_is_refused(pets, header, change, message):
    with pytest.raises(InputError, match=message):
        load_dataset(write_table(pets, change(table_rows(pets)), header))


def test_files_missing_from_a_table_are_named(pets):
    name = write_table(pets, [*table_rows(pets), ["cat/gone.png", "cat"]])
    assert load_dataset(name).findings.unreadable == {"cat/gone.png": "there is no such file"}


# --- records


def examples(pets, **more):
    return [
        {
            "image/encoded": file.read_bytes(),
            "image/class/label": 1 + (file.parent.name == "dog"),
            "image/class/text": file.parent.name.encode(),
            **{key.replace("_", "/"): value(n) for key, value in more.items()},
        }
        for n, file in enumerate(sorted(pets.rglob("*.*")))
    ]


def test_records_give_the_same_as_a_folder(pets, tmp_path):
    records = examples(pets)
    write_records(tmp_path / "a-00000.tfrecord", records[:17])
    write_records(tmp_path / "a-00001.tfrecord", records[17:])
    dataset = load_dataset(f"tfrecord:{tmp_path}/a-*.tfrecord")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.digest == load_dataset(f"folder:{pets}").digest


@pytest.mark.parametrize(
    ("filename", "shown"),
    [(lambda n: b"f%d" % n, "f3"), (lambda n: b"image.png", "a.tfrecord#3")],
)
def test_records_without_numbers_have_their_texts_and_distinct_names(
    pets, tmp_path, filename, shown
):
    records = examples(pets, image_filename=filename)
    for each in records:
        del each["image/class/label"]
    records[3]["image/encoded"] = b"nothing"
    write_records(tmp_path / "a.tfrecord", records)
    dataset = load_dataset(f"tfrecord:{tmp_path}/a.tfrecord")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.findings.unreadable == {shown: "no image"}


def test_records_keep_their_parts_and_groups(pets, tmp_path):
    parts = {"image_split": lambda n: [b"train", b"test"][n % 2], "image_group": lambda n: b""}
    write_records(tmp_path / "a.tfrecord", examples(pets, **parts))
    dataset = load_dataset(f"tfrecord:{tmp_path}/a.tfrecord")
    assert len(dataset.test) == 20


def test_files_with_different_numbers_for_a_class_are_refused(pets, tmp_path):
    write_records(tmp_path / "a-0.tfrecord", examples(pets))
    other = [each | {"image/class/label": 3 - each["image/class/label"]} for each in examples(pets)]
    write_records(tmp_path / "a-1.tfrecord", other)
    with pytest.raises(InputError, match="image/class/label 2 is called 'dog' and 'cat' in imag"):
        load_dataset(f"tfrecord:{tmp_path}/a-*.tfrecord")
    other = [each | {"image/class/text": b""} for each in examples(pets)]
    write_records(tmp_path / "a-1.tfrecord", other)
    assert load_dataset(f"tfrecord:{tmp_path}/a-*.tfrecord").class_names == ("cat", "dog")


def test_unfit_records_are_refused(tmp_path):
    def refused(message):
        with pytest.raises(InputError, match=message):
            load_dataset(f"tfrecord:{tmp_path}/*.tfrecord")

    refused("no such file")
    write_records(tmp_path / "a.tfrecord", [{"image/encoded": b"x"}])
    refused("not every record has a feature image/class/label")
    write_records(tmp_path / "a.tfrecord", [{"pixels": b"x"}])
    refused("record 0 of .* has no feature image/encoded")
    (tmp_path / "a.tfrecord").write_bytes(b"no records at all, but some bytes")
    refused("not a readable TFRecord file")


def test_tfds_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match=r"pip install .* 'tensorflow-datasets<5'"):
        load_dataset("tfds:mnist")


def test_tfds_gives_encoded_images_with_its_own_parts(pets, tmp_path, monkeypatch):
    records = [
        {"image": file.read_bytes(), "label": int(file.parent.name == "dog")}
        for file in sorted(pets.rglob("*.*"))
    ]
    splits = {"train": records[::2], "test": records[1::2], "unsupervised": records}
    label = SimpleNamespace(names=["cat", "dog"])
    fake_tfds(monkeypatch, tmp_path, splits, image=None, label=label)
    dataset = load_dataset("tfds:pets")
    assert sizes(dataset) == [16, 4, 20]
    assert dataset.class_names == ("cat", "dog") and dataset.image_shape == (12, 12, 3)
    assert "splits that are left out: unsupervised" in dataset.notes
    fake_tfds(monkeypatch, tmp_path, splits, image=None)
    with pytest.raises(InputError, match="has the features image; wanted: image, and label"):
        load_dataset("tfds:pets")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a [v1].tfrecord", ["a [v1].tfrecord"]),
        ("a [v*].tfrecord", ["a [v1].tfrecord", "a [v2].tfrecord"]),
        ("[ab].tfrecord", ["b.tfrecord"]),
        ("*", ["a [v1].tfrecord", "a [v2].tfrecord", "b.tfrecord"]),
        ("c.tfrecord", []),
    ],
)
def test_brackets_in_a_pattern_may_be_meant_as_they_stand(tmp_path, pattern, found):
    for name in ("a [v1].tfrecord", "a [v2].tfrecord", "b.tfrecord"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in tfrecords._matching(tmp_path, pattern)] == found
