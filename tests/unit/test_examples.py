"""Every example, searched on a few real digits."""

import json
import urllib.error

import h5py
import keras
import keras_tuner
import numpy as np
import pytest
from keras.src.utils import file_utils
from sklearn.datasets import load_digits

import xnas_tf as xt
from examples.transfer_learning import TransferLearning
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.weights_errors import explain_missing_weights
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.storage.run_directory import model_path


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The name of a data set of 200 real digits; the published order mixes the classes."""
    path, found = tmp_path_factory.mktemp("digits") / "digits.npz", load_digits()
    np.savez(path, x=(found.images[:200] / 16).astype(np.float32), y=found.target[:200])
    return f"npz:{path}"


def search(name, digits, run_dir, *more):
    base = [
        f"dataset={digits}",
        f"space={{hypermodel: 'examples.{name}'}}",
        "training={epochs: 1, batch_size: 32}",
        "search={candidates: 2, population: 2}",
        "objectives=[error, parameters]",
    ]
    run = xt.search(overrides=[*base, *more], run_dir=run_dir)
    done = [candidate for candidate in run.candidates() if candidate.state == "done"]
    assert len(done) == 2, [candidate.reason for candidate in run.candidates()]
    return run, done


def test_branches(digits, tmp_path):
    _, done = search("branches:Branches", digits, tmp_path / "run", "search.seed=3")
    own = {
        "plain": {"filters", "kernel"},
        "separable": {"filters", "multiplier"},
        "residual": {"blocks", "norm", "groups"},
    }
    for candidate in done:
        values = json.loads(candidate.genotype)
        extra = set(values) - {"stem", "kind"}
        assert own[values["kind"]] - {"groups"} <= extra <= own[values["kind"]]
        assert ("groups" in extra) == (values.get("norm") == "group")


@pytest.mark.long
def test_custom_training(digits, tmp_path):
    objectives = "objectives=[error, {name: 'metric:top2', direction: maximize}]"
    run, done = search("custom_training:Mixup", digits, tmp_path / "run", objectives)
    for candidate in done:
        assert 0.05 <= candidate.hyperparameters["mixup"] <= 1
        assert {"loss", "val_loss", "val_accuracy", "val_top2"} <= set(candidate.history[0])
        top = candidate.objectives["metric:top2"]
        assert top == candidate.metrics["val_top2"] >= candidate.metrics["val_accuracy"]
    assert run.candidate(run.pareto()[0].id).load_model().output_shape == (None, 10)


def transfer(**options):
    return SearchSpace(TransferLearning((32, 32, 3), 3, **options), (32, 32, 3), 3)


def test_weights_that_cannot_be_downloaded_are_named_with_the_place_for_a_copy(
    tmp_path, monkeypatch
):
    def offline(*_):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(file_utils, "urlretrieve", offline)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    with pytest.raises(InputError, match="cannot build its default model: URL fetch") as error:
        transfer()
    copied = tmp_path / "models" / "mobilenet_2_5_128_tf_no_top.h5"
    assert f"copy it to {copied}. " in str(error.value)
    assert "space.options.weights to the path of another file, or to null" in str(error.value)
    copied.parent.mkdir(exist_ok=True)
    copied.write_text("no weights")
    with pytest.raises(InputError) as error:  # Keras looks there, and does not download it
        transfer()
    assert "URL fetch" not in str(error.value)


@pytest.mark.parametrize("name", ["w.h5", "~/w.h5"])
def test_a_weights_file_that_does_not_exist_is_named_with_its_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"there is no weights file {tmp_path / 'w.h5'}") as error:
        transfer(weights=name)
    assert "None (null in YAML)" in str(error.value)


def test_a_weights_file_that_a_builder_loads_is_named_too(tmp_path, monkeypatch):
    def build(hp):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(hp.Int("units", 1, 3))])
        model.load_weights("mine.weights.h5")
        return model

    monkeypatch.chdir(tmp_path)
    hypermodel = keras_tuner.HyperModel()
    hypermodel.build = build
    with pytest.raises(InputError, match=f"weights file {tmp_path / 'mine.weights.h5'}"):
        SearchSpace(hypermodel, (32, 32, 3), 3)


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "ResNet50", "EfficientNetB0"])
def test_a_misspelt_name_of_weights_is_not_taken_for_a_file(name):
    with pytest.raises(ValueError, match="weights") as error:
        getattr(keras.applications, name)(weights="imagnet")
    text = explain_missing_weights(error.value)
    if name == "EfficientNetB0":  # its message has the allowed values, but not the given one
        assert text == "" and "imagenet" in str(error.value)
    else:
        assert text.startswith("unknown weights 'imagnet' (did you mean 'imagenet'?")
        assert "the path of a file" in text and "null in YAML" in text


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50"])
def test_published_weights_are_offered_in_place_of_a_file(name, tmp_path):
    with pytest.raises(ValueError, match="weights") as error:
        getattr(keras.applications, name)(weights=str(tmp_path / "w.h5"))
    text = explain_missing_weights(error.value)
    assert f"no weights file {tmp_path / 'w.h5'}. " in text and "'imagenet'" in text


def test_other_missing_files_are_not_called_weights(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        h5py.File(tmp_path / "class_means.h5")
    text = explain_missing_weights(error.value)
    assert text == f"there is no file {tmp_path / 'class_means.h5'}"


def mobile_net(**options):
    return keras.applications.MobileNet((32, 32, 3), alpha=0.25, **options)


@pytest.mark.long
def test_transfer_learning(digits, tmp_path):
    """From weights of a short training on other digits; and what looks into nested models."""
    found = load_digits()
    images = np.kron(found.images[200:400, :, :, None], np.ones((1, 4, 4, 3))) / 8 - 1
    trained = mobile_net(classes=10, weights=None)
    trained.compile("adam", "sparse_categorical_crossentropy")
    trained.fit(images, found.target[200:400], batch_size=50, epochs=1, verbose=0)
    weights, base = tmp_path / "digits.weights.h5", mobile_net(include_top=False, weights=None)
    pairs = [(layer, trained.get_layer(layer.name)) for layer in base.layers if layer.weights]
    for layer, source in pairs:
        layer.set_weights(source.get_weights())
    base.save_weights(weights)

    space = {"name": "hypermodel", "hypermodel": "examples.transfer_learning:TransferLearning"}
    options = f"space={ {**space, 'options': {'weights': str(weights), 'size': 32}} }"
    objectives = "objectives=[error, {name: introspectability, images: 50, group_by: 'true'}]"
    run, done = search(
        "transfer_learning:TransferLearning", digits, tmp_path / "run", options, objectives
    )
    assert all(candidate.objectives["introspectability"] > 0 for candidate in done)
    best = run.pareto()[0]
    assert model_path(run.path, best.id).is_file()
    kept = run.candidate(best.id).load_model()
    nested = next(layer for layer in kept.layers if isinstance(layer, keras.Model))
    stem = trained.get_layer("conv1").get_weights()[0]
    np.testing.assert_array_equal(nested.get_layer("conv1").get_weights()[0], stem)
    learning = best.hyperparameters["learning_blocks"]
    last = nested.get_layer("conv_pw_13").get_weights()[0]
    is_same = np.array_equal(last, trained.get_layer("conv_pw_13").get_weights()[0])
    assert is_same == (learning == 0)
