"""A named data set is loaded to fit a model, and its images are known by their files."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from PIL import Image

import xnas_tf as xt
from tests.conftest import left_to_all
from tests.datasets import make_dataset, searched
from tests.pictures import make_folder, picture, spoil
from xnas_tf.cli import main
from xnas_tf.data.decoding import read_image, resized, resized_masks
from xnas_tf.data.options import DatasetOptions
from xnas_tf.errors import InputError
from xnas_tf.explanation.image_values import model_images
from xnas_tf.explanation.model_loading import ModelSubject, load_data, load_subject
from xnas_tf.explanation.request import _from_files, explain_request
from xnas_tf.interpretation.model_data import data_for, options_for
from xnas_tf.storage.model_source import EXPLANATIONS, ModelSource


@pytest.fixture(autouse=True)
def here(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pets(tmp_path):
    return make_folder(tmp_path / "pets", {"cat": 10, "dog": 10}, formats=["png"])


def network(*shape, classes=2):
    """An untrained model that takes images of this shape."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(4, 1, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("shape", "loaded", "says"),
    [
        ((6, 9, 1), (6, 9, 1), "resized from 12 × 12 (median) to 6 × 9 pixels and read in grey"),
        ((6, 9, 3), (6, 9, 3), "resized from 12 × 12 (median) to 6 × 9 pixels"),
        ((12, 12, 1), (12, 12, 1), "read in grey"),
        ((12, 12, 3), (12, 12, 3), None),
        ((None, None, 3), (12, 12, 3), None),
        ((None, None, 1), (12, 12, 1), "read in grey"),
    ],
)
def test_image_files_are_read_in_the_size_of_the_models_input(pets, shape, loaded, says):
    told = []
    data = data_for(network(*shape), f"folder:{pets}", told.append)
    assert data.image_shape == loaded
    wanted = [f"data set folder:{pets}: images are {says} to fit the model's input"] if says else []
    assert [line for line in told if "decoding" not in line] == wanted
    plain = xt.load_dataset(f"folder:{pets}", size=loaded[:2], channels=loaded[2])
    assert np.array_equal(data.test.images, plain.test.images)
    assert data.test.names == xt.load_dataset(f"folder:{pets}").test.names  # the same split


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ((4, 6, 3), "resized from 8 × 8 to 4 × 6 pixels and converted from 1 to 3 channels"),
        ((8, 8, 3), "converted from 1 to 3 channels"),
        ((8, 8, 1), None),
    ],
)
def test_arrays_are_converted_too(shape, says):
    told = []
    data = data_for(network(*shape), "digits", told.append)
    assert data.image_shape == shape
    assert told == ([f"data set digits: images are {says} to fit the model's input"] * bool(says))


def test_resizing_needs_no_second_copy_of_the_images():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (300, 9, 9, 1), dtype=np.uint8)
    masks = generator.random((300, 9, 9)) > 0.5
    for function in (
        lambda: resized(images, (64, 80), 3, "noise"),
        lambda: resized_masks(masks, (64, 80)),
    ):
        function()  # imports Pillow's plugins
        tracemalloc.start()
        found = function()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.shape[:3] == (300, 64, 80) and peak < 1.3 * found.nbytes
    one = Image.fromarray(images[7, ..., 0]).convert("RGB").resize((80, 64), Image.BILINEAR)
    assert np.array_equal(resized(images, (64, 80), 3, "noise")[7], np.asarray(one))
    assert resized(images, None, 3, "noise").shape == (300, 9, 9, 3)


def test_images_that_cannot_be_converted_are_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 5, 2), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(40) % 2)
    with pytest.raises(InputError, match="need images with 1 or 3 channels; these have 2"):
        data_for(network(8, 8, 3), "npz:a.npz")
    for shape in ((5, 5, 4), (3, 12, 12)):  # the last is a model with its channels first
        with pytest.raises(InputError, match=rf"\(5, 5, 2\); the model expects \({shape[0]}, "):
            data_for(keras.Sequential([keras.Input(shape), layers.Flatten()]), "npz:a.npz")
    assert data_for(network(5, 5, 2), "npz:a.npz").image_shape == (5, 5, 2)


@pytest.mark.parametrize("name", ["disentangle", "train_interpreter", "save_report"])
def test_a_data_set_of_another_shape_is_refused_in_plain_words(name):
    with pytest.raises(InputError) as raised:
        getattr(xt, name)(network(6, 6, 1, classes=3), dataset=make_dataset())
    assert str(raised.value) == (
        "data set stripes: images of shape (8, 8, 1); the model expects (6, 6, 1); to have the "
        "images converted, give the data set's name"
    )
    with pytest.raises(InputError, match=r"`images` are of shape \(8, 8, 1\); the model expects"):
        xt.explain(network(6, 6, 1), np.zeros((2, 8, 8, 1), np.uint8))


def test_images_of_a_folder_are_known_by_their_files(pets):
    spoil(pets)
    data = xt.load_dataset(f"folder:{pets}", max_corrupt=0.5)
    for split in (data.train, data.test.select([2, 0])):
        assert len(split.names) == len(split)
        for name, image in zip(split.names, split.images[:], strict=True):
            assert np.array_equal(read_image(pets / name, data.image_shape[:2], 3), image)
    assert make_dataset().test.names == []


@pytest.mark.parametrize("mistakes", [False, *left_to_all(True)])
def test_explain_names_the_files_of_a_folder(pets, tmp_path, mistakes):
    model = network(6, 9, 3)
    model.layers[-1].bias.assign([100.0, 0.0])  # every dog is a mistake
    model.save("model.keras")
    words = ["explain", "model.keras", "--dataset", f"folder:{pets}", "--count", "2", "--out", "o"]
    words += ["--method", "gradient_input", *(["--mistakes"] if mistakes else [])]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "resized from 12 × 12 (median) to 6 × 9 pixels to fit the model's input" in done.stderr
    known = json.loads((tmp_path / "o" / "explanation.json").read_text())["images"]
    page = (tmp_path / "o" / "index.html").read_text()
    maps = np.load(tmp_path / "o" / "maps.npz")
    for each, image in zip(known, maps["images"], strict=True):
        assert each["file"].startswith(f"{each['label']}/")
        assert each["file"] in done.stdout and each["file"] in page
        assert np.array_equal(read_image(pets / each["file"], (6, 9), 3), image)
        assert not mistakes or each["label"] != each["predicted"]


def test_the_data_of_a_run_must_not_have_changed(pets):
    run = searched(pets.parent / "run", f"folder:{pets}")
    model = network(12, 12, 3)
    subject, source = ModelSubject(model, "m", run), ModelSource(None, None, None, None, True)
    assert load_data(source, subject, EXPLANATIONS).digest == run.fact("dataset")["digest"]
    (pets / "ant").mkdir()
    for number in range(10):
        picture(2, number).save(pets / "ant" / f"{number}.png")
    message = "(?s)^the data of .*run have changed since the search:.* test images.* give `dataset`"
    with pytest.raises(InputError, match=message):
        load_data(source, subject, EXPLANATIONS)
    with pytest.raises(InputError, match="class_names: .'cat', 'dog'. in the search, now .'ant'"):
        run.load_dataset()
    assert ModelSubject(model).load_dataset(f"folder:{pets}").classes == 3


def test_a_data_set_must_not_number_the_classes_of_a_model_differently(pets):
    run = searched(pets.parent / "run", f"folder:{pets}")
    model = network(12, 12, 3)
    other = make_folder(pets.parent / "others", {"bee": 10, "cat": 10}, formats=["png"])
    message = "data set folder:.*others: class 'cat' has the number 1, but 0 in the model; allowed"
    source = ModelSource(None, None, f"folder:{other}", None, True)
    known = ModelSubject(model, "m", None, ["cat", "dog"])
    with pytest.raises(InputError, match=message):
        load_data(source, known, EXPLANATIONS)
    with pytest.raises(InputError, match=message):
        _from_files([other / "bee/000.png"], source, known, None)
    with pytest.raises(InputError, match=message):
        ModelSubject(model, "m", run, run.class_names).load_dataset(f"folder:{other}")
    (other / "bee").rename(other / "zebra")
    assert load_data(source, known, EXPLANATIONS).class_names == ("cat", "zebra")


def placed(model, run):
    """The ways to name a model of a run: itself, its file, one that was retrained, an export."""
    files = [run.path / "models/00001.keras", run.path / "retrained/3-epochs/models/a.keras"]
    files.append(run.path / "exports/candidate-00001/model.keras")
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        model.save(file)
    facts = {**run.config.dataset.model_dump(mode="json"), **run.fact("dataset")}
    card = {"candidate": 1, "genotype": "", "dataset": facts}
    (files[-1].parent / "card.json").write_text(json.dumps(card))
    return [ModelSubject(model, "m", run, run.class_names), *map(load_subject, files)]


def test_the_data_set_of_a_search_keeps_its_splits(pets):
    """With another split, images that the model was trained on would be test images."""
    name = f"folder:{pets}"
    run = searched(pets.parent / "run", f"{{name: '{name}', seed: 3, test: 0.3}}")
    wanted = run.load_dataset()
    unlike = xt.load_dataset(name)
    assert not set(wanted.test.names) <= set(unlike.test.names)
    for subject in placed(network(12, 12, 3), run):
        assert list(subject.class_names) == ["cat", "dog"]
        for given in (name, f"{name}/", "folder:pets"):
            assert subject.load_dataset(given).digest == wanted.digest
    assert ModelSubject(network(12, 12, 3)).load_dataset(name).digest == unlike.digest
    others = make_folder(pets.parent / "others", {"cat": 10, "dog": 10}, formats=["png"])
    plain = xt.load_dataset(f"folder:{others}")
    assert subject.load_dataset(f"folder:{others}").digest == plain.digest


def test_a_moved_data_set_of_a_search_keeps_its_splits(tmp_path):
    """Or one whose relative path was that from another folder."""
    known = DatasetOptions(name="folder:pets", seed=3)
    wanted = {"folder:other/pets": 3, "folder:other/cats": None, "csv:other/pets": None}
    for name, seed in wanted.items():
        assert options_for(name, known).get("seed") == seed
    pets = tmp_path / "pets"
    pets.mkdir()
    known = DatasetOptions(name=f"folder:{pets}", seed=3)
    assert options_for("folder:other/pets", known) == {"name": "folder:other/pets"}


def test_only_the_searched_classes_of_a_data_set_are_loaded(pets):
    run = searched(pets.parent / "run", "{name: digits, classes: 3}")
    source = ModelSource(None, None, "digits", None, True)
    Image.new("L", (8, 8), 7).save("grey.png")
    for subject in placed(network(8, 8, 1, classes=3), run):
        assert load_data(source, subject, EXPLANATIONS).classes == 3
        inputs = _from_files([Path("grey.png")], source, subject, None)
        assert list(inputs.class_names) == ["0", "1", "2"]


def test_values_on_another_scale_than_those_of_the_search_are_reported(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 8, 8, 1))
    np.savez(tmp_path / "a.npz", x=values, y=np.arange(60) % 2)
    np.savez(tmp_path / "b.npz", x=2 * values, y=np.arange(60) % 2)
    pixels = np.random.default_rng(0).integers(0, 256, values.shape, np.uint8)
    np.savez(tmp_path / "c.npz", x=pixels, y=np.arange(60) % 2)
    low, high = values.min(), values.max()
    warning = (
        f"warning: data set npz:b.npz: its values {2 * low:.6g} to {2 * high:.6g} reach the model "
        f"as 0 to 1, but in its search, the values {low:.6g} to {high:.6g} did"
    )
    for subject in placed(network(8, 8, 1), searched(tmp_path / "run", "npz:a.npz")):
        told = []
        subject.load_dataset("npz:a.npz", told.append)
        assert told == []
        subject.load_dataset("npz:b.npz", told.append)
        assert [line.startswith(warning) for line in told] == [True]
    told.clear()
    for subject in placed(network(8, 8, 1), searched(tmp_path / "digits", "digits")):
        subject.load_dataset("npz:c.npz", told.append)  # 0 to 255 instead of 0 to 1
    assert not [line for line in told if line.startswith("warning")]
    ModelSubject(network(8, 8, 1)).load_dataset("npz:b.npz", told.append)
    assert not [line for line in told if line.startswith("warning")]


def test_explain_reads_files_only_on_a_scale_that_is_the_searchs(tmp_path):
    """As ``run.prepare`` does: it is unknown which value of the arrays a pixel stands for."""
    values = np.random.default_rng(0).normal(size=(60, 8, 8, 1))
    np.savez(tmp_path / "a.npz", x=values, y=np.arange(60) % 2)
    Image.new("L", (8, 8), 7).save("grey.png")
    source = ModelSource(tmp_path / "m", None, None, None, True)
    named = replace(source, dataset="npz:a.npz")  # which has the names of the classes
    for subject in placed(network(8, 8, 1), searched(tmp_path / "run", "npz:a.npz")):
        for each in (source, named):
            with pytest.raises(InputError, match="are files, but .* searched arrays with values"):
                _from_files([Path("grey.png")], each, subject, None)
    for subject in placed(network(None, None, 1), searched(tmp_path / "digits", "digits")):
        assert _from_files([Path("grey.png")], source, subject, None).images.max() == 7


def test_explain_reads_files_in_the_size_of_the_search(pets):
    """Even for a model that takes images of any size."""
    run = searched(pets.parent / "run", f"{{name: 'folder:{pets}', size: [6, 9]}}")
    (file, *_) = pets.glob("*/*.png")
    for subject in placed(network(None, None, 3), run):
        for dataset in (None, f"folder:{pets}"):
            source = ModelSource(None, None, dataset, None, True)
            images = _from_files([file], source, subject, None).images
            np.testing.assert_array_equal(images[0], read_image(file, (6, 9), 3))


def test_classes_in_another_order_than_the_models_are_refused(pets):
    run = searched(pets.parent / "run", f"folder:{pets}")
    (file, *_) = pets.glob("*/*.png")
    source, subject = (
        ModelSource(None, None, None, None, True),
        ModelSubject(network(12, 12, 3), "m", run, run.class_names),
    )
    with pytest.raises(InputError, match="--classes: class 'dog' has the number 0, but 1 in the"):
        _from_files([file], source, subject, ["dog", "cat"])
    assert _from_files([file], source, subject, ["Katze", "Hund"]).class_names == ["Katze", "Hund"]


def test_arrays_of_the_search_are_converted_for_all_ways_to_name_a_model(tmp_path):
    values = np.random.default_rng(0).integers(0, 17, (60, 8, 8, 1))
    np.savez(tmp_path / "a.npz", x=values.astype(np.float32), y=np.arange(60) % 2)
    run = searched(tmp_path / "run", "npz:a.npz")
    for subject in placed(network(8, 8, 1), run):
        for given in (values.astype(np.uint8), values.astype(np.float32)):
            np.testing.assert_array_equal(model_images(given, subject), run.stored_images(given))


def test_an_option_of_a_method_that_is_not_valid_yaml_is_named():
    """A month 13 ended in a traceback."""
    options = ["grad_cam.layer=2024-13-01"]
    with pytest.raises(InputError, match="^--set 'grad_cam.layer=2024-13-01': the value is not v"):
        explain_request(None, (), 1, (), options, "predicted", None, False, "auto", print)


def test_a_data_set_of_ones_own_needs_bytes():
    data = make_dataset()
    part = replace(data.test, images=data.test.images / 255)
    with pytest.raises(InputError, match="its test images are of type float64; allowed: uint8"):
        data_for(network(8, 8, 1, classes=3), replace(data, test=part))
