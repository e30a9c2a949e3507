"""Who predicts with an exported model prepares images as the search did."""

import json
import re
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.datasets import saved_run, searched
from tests.documented import ROOT, blocks
from tests.pictures import make_folder, picture
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.data.decoding import read_image
from xnas_tf.data.value_scaling import conversion_text
from xnas_tf.errors import InputError
from xnas_tf.explanation import request
from xnas_tf.explanation.model_loading import ModelSubject, load_subject
from xnas_tf.explanation.request import _from_files
from xnas_tf.exporting.preparation import input_text, preparation_text
from xnas_tf.storage.model_source import ModelSource

pytestmark = pytest.mark.usefixtures("cache")

SIZE = 20, 28
SCALES = {"I;16": 4095}
PAGE = ROOT / "docs/tutorials/my-images.md"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Files that are decoded in different ways."""
    folder = tmp_path_factory.mktemp("photos")
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = picture(0, 1, (300, 410))
    photo.save(folder / "turned.jpg", exif=exif)
    photo.convert("CMYK").save(folder / "cmyk.jpg")
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    clear.save(folder / "clear.png")
    clear.convert("LA").save(folder / "grey_and_clear.png")
    photo.quantize(16).save(folder / "palette.png", transparency=3)
    values = np.random.default_rng(0).integers(0, 4096, (40, 30)).astype(np.uint16)
    Image.fromarray(values).save(folder / "12_bits.png")
    Image.fromarray(values.astype(">u2")).save(folder / "12_bits.tif")
    photo.convert("L").save(folder / "grey.png")
    photo.convert("L").save(folder / "scan.tif", exif=exif)
    return sorted(folder.iterdir())


class Doubtful(tf.Module):
    """Says for each image that it may be a cat."""

    @tf.function
    def predict(self, images):
        count = tf.shape(images)[0]
        return {
            "labels": tf.fill([count], "cat"),
            "probabilities": tf.fill([count, 2], 0.5),
        }


@pytest.mark.parametrize("channels", [1, 3])
def test_the_tutorial_prepares_a_photo_as_the_search_does(
    photos, channels, tmp_path, monkeypatch, capsys
):
    folder, model = tmp_path / "runs/xnas/exports/candidate-00001", Doubtful()
    spec = tf.TensorSpec((None, *SIZE, channels), tf.uint8, name="images")
    signature = model.predict.get_concrete_function(spec)
    tf.saved_model.save(model, folder / "1", signatures={"serving_default": signature})
    data = {"image_shape": [*SIZE, channels], "full_scales": SCALES}
    (folder / "card.json").write_text(json.dumps({"dataset": data}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predict.py", str(photos[0])])
    (script,) = (text for text in blocks(PAGE, "python") if text.startswith("# predict.py"))
    names = {}
    exec(compile(script, "predict.py", "exec"), names)
    assert capsys.readouterr().out == "cat: 50.0%\n"
    for scales in (SCALES, {}):  # with none, as in a search of images with 8 bits
        names["data"]["full_scales"] = scales
        for photo in photos:
            expected = read_image(photo, SIZE, channels, scales)
            np.testing.assert_array_equal(names["prepare"](photo)[0], expected, photo.name)


def prepared(name, **options):
    config = load_config(overrides=[f"dataset={ {'name': name, **options} }"])
    data = load_dataset(**config.dataset.model_dump())
    return preparation_text(SimpleNamespace(data=data, run=SimpleNamespace(config=config)))


def test_a_card_says_how_the_search_read_image_files(tmp_path):
    root = make_folder(tmp_path / "pets", {"cat": 10, "dog": 10}, formats=["png"])
    text = prepared(f"folder:{root}", size=[10, 14])
    for step in (
        'open(path, "rb")',
        "draft(None, (28, 28))",
        "exif_transpose",
        "white",
        'convert("RGB")',
    ):
        assert step in text
    assert text.endswith(
        "stretch the image to 10x14 pixels (height x width) with resize((14, 10), "
        "Image.Resampling.BILINEAR), without cropping it."
    )
    for number, file in enumerate(root.glob("*/*.png")):
        Image.fromarray(np.full((9, 9), 4000 - number, np.uint16)).save(file)
    formula = re.search(r"mode I;16 become (.+?);", prepared(f"folder:{root}"))[1]
    brighter = np.array([[0, 17, 4000, 4095, 5000, 65535]], np.uint16)
    Image.fromarray(brighter).save(tmp_path / "brighter.png")
    expected = read_image(tmp_path / "brighter.png", None, 1, SCALES)[..., 0]
    np.testing.assert_array_equal(eval(formula, {"np": np, "v": brighter}), expected)


def run_on_values(path, low, high):
    """A run on arrays with values from low to high, without candidates."""
    rng = np.random.default_rng(0)
    images = rng.uniform(low, high, (60, 4, 5, 1)).astype(np.float32)
    images[0, 0, :2, 0] = low, high
    np.savez(path / "a.npz", x=images, y=np.arange(60) % 2)
    return searched(path / "run", f"npz:{path / 'a.npz'}")


@pytest.mark.filterwarnings("ignore:`images` have values")
@pytest.mark.parametrize("limits", [(-96, -23.561459), (0, 1), (-2.5, 5), (100, 4000)])
def test_the_formula_of_a_card_converts_values_outside_as_prepare_does(tmp_path, limits):
    run = run_on_values(tmp_path, *limits)
    text = input_text(run, run.fact("dataset"))
    formula, low, high = re.search(r" by (np.+), with low = (\S+) and high = (\S+);", text).groups()
    known = float(low), float(high)
    assert known == run.value_range
    rng, width = np.random.default_rng(1), known[1] - known[0]
    x = rng.uniform(*known, (40, 4, 5, 1)).astype(np.float32)
    x.reshape(-1)[:20] = rng.uniform(known[1], known[1] + width / 5, 20)
    x.reshape(-1)[20:39] = rng.uniform(known[0] - width / 5, known[0], 19)
    x.reshape(-1)[39:295] = known[0] + (np.arange(256) + 0.5) * width / 255  # between two levels
    levels = eval(formula, {"np": np, "x": x, "low": known[0], "high": known[1]})
    assert levels.dtype == np.uint8 and levels.max() == 255 and levels.min() == 0
    np.testing.assert_array_equal(levels / np.float32(255), run.prepare(x))


def test_stored_images_need_no_formula(tmp_path):
    assert input_text(run_on_values(tmp_path, 0, 255), {}).endswith("channels), 0 to 255")


def test_runs_of_earlier_versions_have_the_formula_if_their_values_were_unusual(tmp_path):
    run = saved_run(tmp_path / "run", load_config())
    assert input_text(run, {}).endswith("channels), 0 to 255")
    assert conversion_text(-1, 1) in input_text(run, {"values": [-1, 1]})


def test_values_that_are_all_the_same_have_a_formula_too():
    formula = conversion_text(7, 7).partition(", with")[0]
    assert eval(formula, {"np": np, "x": np.array([6.0, 7, 8]), "low": 7}).tolist() == [0, 0, 1]


def test_the_page_on_data_has_the_formula_of_the_cards():
    assert (
        conversion_text(0, 2).partition(", with")[0]
        in (ROOT / "docs/reference/data.md").read_text()
    )


def test_a_card_does_not_claim_that_arrays_in_files_were_decoded(tmp_path):
    for kind in ("cat", "dog"):
        drawings = np.random.default_rng(len(kind)).integers(0, 256, (20, 784), dtype=np.uint8)
        np.save(tmp_path / f"{kind}.npy", drawings + (kind == "dog"))
    assert prepared(f"quickdraw:{tmp_path}") == ""
    text = prepared(f"quickdraw:{tmp_path}", size=[14, 14])
    assert text.startswith('The search prepared images with Pillow: convert("L"); stretch')
    assert "draft" not in text


def test_a_card_says_how_the_search_resized_arrays():
    assert prepared("digits") == ""
    text = prepared("digits", size=16, channels=3)
    assert "draft" not in text and "resize((16, 16)" in text and 'convert("RGB")' in text


def test_explain_reads_a_dark_file_on_the_scale_of_its_data_set(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "xray" / name).mkdir(parents=True)
        for number in range(6):
            values = np.random.default_rng([ord(name), number]).integers(0, 4096, (8, 8))
            values = values // (9 if number == 0 else 1)
            Image.fromarray(values.astype(np.uint16)).save(
                tmp_path / "xray" / name / f"{number}.png"
            )
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    source = ModelSource(None, None, f"folder:{tmp_path / 'xray'}", None, True)
    dark = tmp_path / "xray/a/0.png"
    found = _from_files([dark], source, ModelSubject(model, "m"), class_names=None).images[0]
    np.testing.assert_array_equal(found, read_image(dark, None, 1, SCALES))
    assert found.max() < 30
    # A run's model: --classes only names the classes.
    of_run = ModelSource(None, None, None, None, True)
    run = searched(tmp_path / "run", source.dataset)
    subject = ModelSubject(model, "m", run, run.class_names)
    inputs = _from_files([dark], of_run, subject, class_names=["x", "y"])
    np.testing.assert_array_equal(inputs.images[0], found)
    assert inputs.class_names == ["x", "y"]
    assert len(_from_files([dark], of_run, ModelSubject(model, "m"), ["x", "y"]).images) == 1
    grey = tmp_path / "grey.png"
    Image.new("L", (8, 8), 7).save(grey)
    # An exported model's card has the scale and the classes.
    model.save(tmp_path / "model.keras")
    known = {"class_names": ["x", "y"], "full_scales": SCALES}
    card = {"candidate": 1, "genotype": "", "dataset": known}
    (tmp_path / "card.json").write_text(json.dumps(card))
    inputs = _from_files([dark], of_run, load_subject(tmp_path), class_names=None)
    np.testing.assert_array_equal(inputs.images[0], found)
    assert inputs.class_names == ["x", "y"]
    for file in (tmp_path / "xray/b").iterdir():  # the data are needed for deep images only
        file.rename(tmp_path / "xray/a" / f"b-{file.name}")
    (tmp_path / "xray/b").rmdir()
    inputs = _from_files([grey], of_run, subject, class_names=None)
    assert (inputs.images == 7).all() and inputs.class_names == ["a", "b"]
    with pytest.raises(InputError, match="all images are of one class"):
        _from_files([dark], of_run, subject, class_names=None)


def test_a_data_set_that_only_names_classes_is_not_resized(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((90, 80, 3)), keras.layers.Flatten()])
    grey = tmp_path / "grey.png"
    Image.new("L", (8, 8), 7).save(grey)
    loaded = []

    def load(**options):
        loaded.append(load_dataset(**options))
        return loaded[-1]

    monkeypatch.setattr(request, "load_dataset", load)
    source = ModelSource(None, None, "digits", None, True)
    inputs = _from_files([grey], source, ModelSubject(model, "m"), class_names=None)
    assert inputs.class_names == loaded[0].class_names and inputs.images.shape == (1, 90, 80, 3)
    assert loaded[0].image_shape == (8, 8, 1)
