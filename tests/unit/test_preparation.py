"""Who predicts with an exported model prepares images as the search did."""

import json
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.documented import ROOT, blocks
from tests.pictures import make_folder, picture
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.data.decoding import read_image
from xnas_tf.errors import InputError
from xnas_tf.explanation.command import _from_files
from xnas_tf.explanation.model_loading import ModelSubject, load_subject
from xnas_tf.exporting.preparation import preparation_text
from xnas_tf.storage.model_source import ModelSource

SIZE = 20, 28
SCALES = {"I;16": 4095}
PAGE = ROOT / "docs/tutorials/my-images.md"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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
    photo.convert("L").save(folder / "grey.png")
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
    for photo in photos:
        expected = read_image(photo, SIZE, channels, SCALES)
        np.testing.assert_array_equal(names["prepare"](photo)[0], expected, photo.name)


def prepared(name, **options):
    config = load_config(overrides=[f"dataset={ {'name': name, **options} }"])
    data = load_dataset(**config.dataset.model_dump())
    return preparation_text(SimpleNamespace(data=data, run=SimpleNamespace(config=config)))


def test_a_card_says_how_the_search_read_image_files(tmp_path):
    root = make_folder(tmp_path / "pets", {"cat": 10, "dog": 10}, formats=["png"])
    text = prepared(f"folder:{root}", size=[10, 14])
    for step in ("draft(None, (28, 28))", "exif_transpose", "white", 'convert("RGB")'):
        assert step in text
    assert text.endswith(
        "stretch the image to 10x14 pixels (height x width) with resize((14, 10), "
        "Image.Resampling.BILINEAR), without cropping it."
    )
    for number, file in enumerate(root.glob("*/*.png")):
        Image.fromarray(np.full((9, 9), 4000 - number, np.uint16)).save(file)
    assert "become np.clip(v.astype(int) * 255 // 4095, 0, 255)" in prepared(f"folder:{root}")


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
    subject = ModelSubject(model, "m", {"name": source.dataset})
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
    assert inputs.class_names == ("x", "y")
    gone = ModelSubject(model, "m", {"name": "folder:nowhere"})  # needed for deep images only
    assert (_from_files([grey], of_run, gone, ["x", "y"]).images == 7).all()
    with pytest.raises(InputError, match="nowhere"):
        _from_files([dark], of_run, gone, ["x", "y"])
