"""New image files are read for a run's models exactly as the search read those of its data set."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tests.datasets import searched
from tests.pictures import make_folder, picture
from xnas_tf.data.image_cache import Reading, load_image_files
from xnas_tf.data.image_files import folder
from xnas_tf.errors import InputError
from xnas_tf.explanation import explaining
from xnas_tf.explanation.model_loading import ModelSubject


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Image files of every kind that is read in a way of its own."""
    root = make_folder(tmp_path_factory.mktemp("data") / "pets", {"cat": 9, "dog": 9})
    held = picture(0, 50, (8, 16))
    exif = held.getexif()
    exif[0x0112] = 6  # turned right by 90 degrees
    held.save(root / "cat" / "held.jpg", exif=exif)
    picture(1, 51, (90, 160)).save(root / "dog" / "large.jpg")  # decoded at a reduced size
    picture(1, 52).convert("L").save(root / "dog" / "grey.png")
    picture(0, 53).convert("CMYK").save(root / "cat" / "print.tif")
    pixels = np.asarray(picture(0, 54).convert("RGBA")).copy()
    pixels[:6, :, 3] = np.linspace(0, 255, 12)
    Image.fromarray(pixels).save(root / "cat" / "logo.png")
    shades = [picture(1, number).convert("P") for number in (55, 56)]
    shades[0].save(root / "dog" / "moving.gif", save_all=True, append_images=shades[1:])
    deep = np.random.default_rng(0).integers(0, 4096, (2, 12, 12), np.uint16)  # 12 bits
    Image.fromarray(deep[0]).save(root / "dog" / "deep.png")
    Image.fromarray(deep[1] // 16).save(root / "cat" / "dark.png")
    return root


@pytest.mark.parametrize(
    ("options", "size", "channels"),
    [("", None, None), (", size: [9, 14], channels: 1", (9, 14), 1)],
)
def test_files_are_read_as_those_of_the_data_set(pets, tmp_path, options, size, channels):
    run = searched(tmp_path / "run", f"{{name: 'folder:{pets}'{options}}}")
    reading = Reading(size, channels, None, 0.0, None)
    stored = load_image_files(folder(str(pets)), reading, "pets", lambda _: None)
    assert len(stored.names) == 26
    images = np.asarray(stored.images)
    files = [str(pets / name) for name in stored.names]
    np.testing.assert_array_equal(run.stored_images(files), images)
    prepared = run.prepare([pets / name for name in stored.names])
    assert prepared.dtype == np.float32
    np.testing.assert_array_equal(prepared, images.astype(np.float32) / np.float32(255))
    for file, image in zip(files, images, strict=True):  # each alone, of which some are dark
        np.testing.assert_array_equal(run.stored_images(file), image[None])


def test_files_brighter_than_the_data_set_are_reported(pets, tmp_path):
    """Their brightest values become white, as those of an array that are cut off."""
    run = searched(tmp_path / "run", f"folder:{pets}")
    bright = np.full((12, 12), 4095, np.uint16)
    bright[0, 0] = 5000
    Image.fromarray(bright).save(tmp_path / "bright.png")
    message = "bright.png has values up to 5,000; those above 4,095"
    with pytest.warns(UserWarning, match=message) as caught:
        assert run.prepare(tmp_path / "bright.png").min() == 1
        assert run.stored_images(tmp_path / "bright.png").min() == 255
    assert [each.filename for each in caught] == [__file__, __file__]


def test_files_of_8_bits_need_no_data_set(pets, tmp_path):
    moved = make_folder(tmp_path / "moved", {"cat": 5, "dog": 5})
    run = searched(tmp_path / "run", f"folder:{moved}")
    moved.rename(tmp_path / "gone")
    assert run.prepare(pets / "cat" / "logo.png").shape == (1, 12, 12, 3)
    with pytest.raises(InputError, match="moved"):  # their scale is not known
        run.prepare(pets / "dog" / "deep.png")


def test_the_scale_of_deep_files_is_that_of_the_search(pets, tmp_path):
    """A brighter image that is added later would make all others darker."""
    root = make_folder(tmp_path / "deep", {"cat": 9, "dog": 9})
    shutil.copy(pets / "dog" / "deep.png", root / "dog")
    run = searched(tmp_path / "run", f"folder:{root}")
    before = run.stored_images(pets / "dog" / "deep.png")
    assert before.max() > 250
    bright = np.full((12, 12), 65535, np.uint16)
    Image.fromarray(bright).save(root / "cat" / "bright.png")
    with pytest.raises(InputError, match="data of .* have changed since the search"):
        run.stored_images(pets / "dog" / "deep.png")


def arrays(low, high, channels):
    images = np.random.default_rng(0).random((60, 8, 8, channels))
    images[0, 0, 0, 0], images[0, 0, 1, 0] = 0, 1
    return low + (high - low) * images


@pytest.mark.parametrize(
    ("low", "high", "channels", "wrong"),
    [
        (0, 1, 3, ""),
        (0, 255, 1, ""),
        (-2, 2, 1, r"searched arrays with values from -2 to 2; allowed: arrays"),
        (0, 1, 4, "have 4 channels; allowed: arrays"),
    ],
)
def test_for_arrays_files_are_read_only_on_a_scale_that_is_theirs(
    pets, tmp_path, low, high, channels, wrong
):
    np.savez(tmp_path / "a.npz", x=arrays(low, high, channels), y=np.arange(60) % 2)
    run = searched(tmp_path / "run", f"npz:{tmp_path / 'a.npz'}")
    if wrong:
        with pytest.raises(InputError, match=wrong):
            run.prepare(pets / "cat" / "logo.png")
    else:
        assert run.prepare([pets / "cat" / "logo.png"]).shape == (1, 8, 8, channels)


@pytest.mark.parametrize("given", [[Path("a.png")], []])
def test_a_generator_of_files_is_refused_in_words(pets, tmp_path, given):
    run = searched(tmp_path / "run", f"{{name: 'folder:{pets}'}}")
    with pytest.raises(InputError, match="is a generator; allowed: an array or a list of image"):
        run.prepare(file for file in given)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("size: 12", (30, 40, 1)),
        ("size: 12, channels: 1", (30, 40, 3)),
        ("size: 12, channels: 3", (30, 40, 4)),
        ("size: 12, channels: 3", (30, 40, 3)),
    ],
)
def test_a_single_image_is_not_read_as_its_rows(tmp_path, options, shape):
    run = searched(tmp_path / "run", f"{{name: digits, {options}}}")
    for image in (np.zeros(shape, np.uint8), np.zeros(shape, np.uint8).tolist()):
        with pytest.raises(InputError, match="that of a single image.*so pass x.None"):
            run.prepare(image)


def test_a_file_that_cannot_be_read_is_named(pets, tmp_path):
    run = searched(tmp_path / "run", f"folder:{pets}")
    with pytest.raises(InputError, match=r"image .*none.png cannot be read: there is no such"):
        run.prepare([pets / "cat" / "logo.png", tmp_path / "none.png"])
    with pytest.raises(InputError, match="`images` is empty"):
        run.prepare([])


def test_a_warning_about_values_names_the_line_that_prepared_them(tmp_path):
    np.savez(tmp_path / "a.npz", x=arrays(0, 16, 1), y=np.arange(60) % 2)
    run = searched(tmp_path / "run", f"npz:{tmp_path / 'a.npz'}")
    given = arrays(0, 16, 1)
    given[0, 0, 0] = 17
    with pytest.warns(UserWarning, match="those outside 0 to 16 are cut off") as caught:
        run.prepare(given)
        run.stored_images(given)
    assert [each.filename for each in caught] == [__file__, __file__]


def test_explain_converts_arrays_of_a_run_that_resizes_them(tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(0, 17, (60, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=values, y=np.arange(60) % 2)
    run = searched(tmp_path / "run", f"{{name: 'npz:{tmp_path / 'a.npz'}', size: 12}}")
    model = keras.Sequential(
        [keras.Input((12, 12, 1)), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    )
    named = ModelSubject(model, "m", run)
    monkeypatch.setattr(explaining, "named_model", lambda *_: named)
    found = explaining.explain(
        run, values[:3], ["gradient_input"], measured=False, class_names=list("0123456789")
    )
    np.testing.assert_array_equal(found.images, run.stored_images(values[:3]))
    with pytest.raises(InputError, match="are of shape .9, 9, 1.; the model expects .12, 12, 1."):
        named = ModelSubject(model)
        explaining.explain(model, np.zeros((3, 9, 9, 1), np.uint8))
