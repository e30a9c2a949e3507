"""Nothing in a folder of images is doubled, ignored or made black without a word."""

import numpy as np
import pytest
from PIL import Image

from tests.pictures import make_folder, picture
from xnas_tf.data import load_dataset
from xnas_tf.data.class_folder import walk
from xnas_tf.data.decoding import Unreadable, full_scales, look_at, read_image
from xnas_tf.data.image_list import encode_labels, split_name
from xnas_tf.errors import InputError

pytestmark = pytest.mark.usefixtures("cache")

RAMP = np.arange(64, dtype=np.int32).reshape(8, 8) * 4


@pytest.fixture
def pets(tmp_path):
    return make_folder(tmp_path / "pets", {"cat": 10, "dog": 10}, formats=["png"])


def total(dataset):
    return sum(map(len, dataset.parts.values()))


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "__MACOSX", "@eaDir"])
def test_hidden_folders_are_no_data(pets, name):
    make_folder(pets / "cat", {name: 5})
    found = load_dataset(f"folder:{pets}")
    assert total(found) == 20
    assert found.notes == [f"hidden folder, left out (1): cat/{name}"]


def test_linked_folders_are_followed_once(pets, tmp_path):
    make_folder(tmp_path, {"elsewhere": 5}, formats=["png"])
    (pets / "cat" / "a").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "b").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "loop").symlink_to(pets / "cat")
    (pets / "cat" / "up").symlink_to(pets)
    (pets / "cat" / "copy.png").symlink_to(pets / "cat" / "000.png")
    picture(0, 99).save(tmp_path / "outside.png")
    for name in ("one.png", "two.png"):
        (pets / "cat" / name).symlink_to(tmp_path / "outside.png")
    (pets / "emu").symlink_to(tmp_path / "elsewhere")
    found = walk(pets / "cat")
    names = [f"{number:03}.png" for number in range(10)]
    assert [file.name for file in found.files] == [*names, *names[:5], "one.png"]
    assert sorted(path.name for path in found.repeated) == [
        *("b", "copy.png", "loop", "two.png", "up")
    ]
    data = load_dataset(f"folder:{pets}")
    assert total(data) == 31 and data.class_names == ("cat", "dog", "emu")
    found = data.findings.problems["link to a file or folder already listed, left out"]
    assert len(found) == 5


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".jfif", ".JPG", "", ".0001", ".jpg_large"])
def test_images_are_found_by_their_content(pets, suffix):
    formats = {".ppm": "PPM", ".pgm": "PPM", ".jfif": "JPEG", ".JPG": "JPEG"}
    for number in range(5):
        image = picture(0, 50 + number)
        image = image.convert("L") if suffix == ".pgm" else image
        image.save(pets / "cat" / f"more{number}{suffix}", formats.get(suffix, "PNG"))
    assert total(load_dataset(f"folder:{pets}")) == 25


def test_files_that_are_no_images_are_counted(pets):
    for name in ("a.heic", "b.HEIC", "notes.txt", "Makefile"):
        (pets / "cat" / name).write_text("no image")
    (note,) = load_dataset(f"folder:{pets}").notes
    assert note == "files that are not images, left out: 2 .heic, 1 without suffix, 1 .txt"


def test_images_beside_the_folders_of_classes_are_named(pets):
    picture(0, 77).save(pets / "stray.png")
    assert load_dataset(f"folder:{pets}").notes == ["in no class folder, left out (1): stray.png"]


def test_a_link_to_a_class_that_is_gone_is_named(pets):
    (pets / "emu").symlink_to(pets.parent / "gone")
    assert load_dataset(f"folder:{pets}").notes == ["link to nothing, left out (1): emu"]


def test_a_file_that_links_to_itself_is_named(pets):
    (pets / "cat" / "loop.png").symlink_to("loop.png")
    unreadable = load_dataset(f"folder:{pets}").findings.unreadable
    assert unreadable == {"cat/loop.png": "Too many levels of symbolic links"}


def test_a_folder_around_the_folders_of_classes_is_named(tmp_path):
    make_folder(tmp_path / "around" / "pets", {"cat": 2, "dog": 2})
    with pytest.raises(
        InputError, match="one class, pets, .* cat, dog; did you mean folder:.*pets"
    ):
        load_dataset(f"folder:{tmp_path / 'around'}")


def test_folders_of_splits_are_not_taken_for_classes(tmp_path):
    root = tmp_path / "pets"
    for part in ("train", "test"):
        make_folder(root / part, {"cat": 10, "dog": 10}, formats=["png"])
    (root / "annotations").mkdir()
    data = load_dataset(f"folder:{root}")
    assert data.class_names == ("cat", "dog")
    assert "folder next to those of the splits, left out (1): annotations" in data.notes
    make_folder(root, {"annotations": 2})
    with pytest.raises(InputError, match="test, train hold a folder per class, but annotations"):
        load_dataset(f"folder:{root}")


def test_splits_inside_the_folders_of_classes_are_named(tmp_path):
    for name in ("cat", "dog"):
        make_folder(tmp_path / name, {"train": 5, "more/val": 5}, formats=["png"])
    data = load_dataset(f"folder:{tmp_path}")
    assert data.class_names == ("cat", "dog")
    named = "not used as splits, because they are inside the folders of classes: train, val; "
    assert any(note.startswith(named) for note in data.notes)


@pytest.mark.parametrize("run", ["mine", "runs/mine"])
def test_pictures_of_a_run_beside_the_classes_are_no_class(pets, run):
    make_folder(pets / run, {"explanations": 5})
    (pets / run / "run.sqlite").touch()
    assert load_dataset(f"folder:{pets}").class_names == ("cat", "dog")


def test_the_usual_names_of_splits_are_known():
    names = {"Training": "train", " val ": "validation", "Testing": "test", "tests": None}
    assert {name: split_name(name) for name in names} == names


def test_a_class_may_be_called_train(tmp_path):
    root = make_folder(tmp_path / "vehicles", {"car": 10, "train": 10}, formats=["png"])
    assert load_dataset(f"folder:{root}").class_names == ("car", "train")


class Hashed(str):
    """A text whose place in a set is chosen, as the seed of hashes does."""

    __slots__ = ("place",)

    def __hash__(self):
        return self.place


@pytest.mark.parametrize("seed", range(6))
def test_numbers_with_zeros_before_them_have_one_order(seed):
    texts = [Hashed(text) for text in ("2", "1", "001", "02", "10", "01")]
    for text, place in zip(texts, np.random.default_rng(seed).permutation(6), strict=True):
        text.place = int(place)
    assert encode_labels(texts)[1] == ("001", "01", "1", "02", "2", "10")


def test_a_class_with_a_single_image_is_named(pets):
    make_folder(pets, {"rare": 1})
    with pytest.raises(InputError, match="a single image of class rare; at least 2 are needed"):
        load_dataset(f"folder:{pets}")


# --- pixels


@pytest.mark.parametrize(
    ("name", "pixels", "top"),
    [
        ("bits.png", (RAMP > 100).astype(np.uint16), 1),
        ("8.tif", RAMP, 255),
        ("10.png", (RAMP * 4).astype(np.uint16), 1023),
        ("12.png", (RAMP * 16).astype(np.uint16), 4095),
        ("16.tif", (RAMP * 257).astype(np.uint16), 65535),
        ("20.tif", RAMP * 4096, 2**20 - 1),
    ],
)
def test_images_of_more_than_8_bits_keep_their_brightness(tmp_path, name, pixels, top):
    Image.fromarray(pixels).save(tmp_path / name)
    look = look_at(tmp_path / name)
    assert look.highest == pixels.max() and list(full_scales([look]).values()) == [top]
    found = read_image(tmp_path / name, None, 1)[..., 0].astype(int)
    assert np.abs(found - pixels.astype(float) * 255 / top).max() <= 1


def deep_folder(root, counts):
    """Grey images of 16 bits whose values go up to so much."""
    for label, (name, highest) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(6):
            rng = np.random.default_rng([label, number])
            pixels = rng.integers(0, highest + 1, (8, 8)).astype(np.uint16)
            pixels[0, 0] = highest
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return load_dataset(f"folder:{root}", validation=0.3, test=0.3)


def test_the_depth_of_a_folder_is_said(tmp_path):
    data = deep_folder(tmp_path / "xray", {"a": 4095, "b": 3000})
    assert data.train.images[:].max() == 255
    assert data.notes == ["images with 16 bits: values 0 to 4,095 are stored as 0 to 255"]


def test_images_of_less_depth_than_others_are_named(tmp_path):
    data = deep_folder(tmp_path / "xray", {"a": 4095, "b": 60000})
    assert len(data.findings.dark) == 6
    assert data.findings.dark["a/0.png"] == "values up to 4,095 of 65,535"


def test_the_order_of_bytes_does_not_change_the_scale(tmp_path):
    for name, highest, kind in (("a", 60_000, "<u2"), ("b", 3000, ">u2")):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([highest, number]).integers(0, highest, (8, 8))
            pixels[0, 0] = highest
            Image.fromarray(pixels.astype(kind)).save(tmp_path / "pets" / name / f"{number}.tif")
    data = load_dataset(f"folder:{tmp_path / 'pets'}", validation=0.3, test=0.3)
    assert data.findings.full_scales == {"I;16": 65535}
    dark = data.train.images[np.flatnonzero(data.train.labels == 1)]
    assert dark.max() == 3000 * 255 // 65535
    file = tmp_path / "pets/b/0.tif"
    assert file.read_bytes()[:2] == b"MM" and look_at(file).mode == "I;16"
    assert read_image(file, None, 1, data.findings.full_scales).max() == dark.max()


def test_negative_values_are_refused(tmp_path):
    Image.fromarray(RAMP - 1).save(tmp_path / "ct.tif")
    with pytest.raises(Unreadable, match="negative values"):
        read_image(tmp_path / "ct.tif", None, 1)


def test_masks_moving_pictures_and_plain_colours_are_named(tmp_path):
    root = tmp_path / "masks"
    for name in "ab":
        (root / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([ord(name), number]).integers(0, 2, (8, 8), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    Image.new("L", (8, 8)).save(root / "a" / "blank.png")
    frames = [Image.fromarray((RAMP // 4 % 2 + n).astype(np.uint8)) for n in range(2)]
    frames[0].save(root / "b" / "moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray((RAMP // 4 % 2).astype(np.uint8)).save(root / "b" / "twin.png")
    notes = " ".join(load_dataset(f"folder:{root}", validation=0.3, test=0.3).notes)
    assert "no value is above" in notes
    assert "of a single colour (1): a/blank.png" in notes
    assert "with several frames, only the first is used (1): b/moving.gif" in notes


def test_doubled_images_are_named(pets):
    for number in range(10):
        (pets / "cat" / f"copy{number}.png").write_bytes((pets / "cat" / "000.png").read_bytes())
    data = load_dataset(f"folder:{pets}")
    labels = np.concatenate([part.labels for part in data.parts.values()])
    in_parts = sum(len(np.unique(p.images[:], axis=0)) for p in data.parts.values())
    names = data.findings.repeated
    assert len(names) == len(labels) - in_parts > 0
    assert f"class ({len(names)}): {names[0]}" in " ".join(data.notes)
