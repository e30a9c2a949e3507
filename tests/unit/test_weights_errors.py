"""A weights file of another network is named, with what it has and what the network needs."""

import keras
import keras_tuner
import pytest
from keras import layers

from examples.transfer_learning import TransferLearning
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.weights_errors import explain_weights
from xnas_tf.spaces.search_space import SearchSpace


def network(filters=4, *more):
    found = [keras.Input((8, 8, 1)), layers.Conv2D(filters, 3, name="first"), *more]
    return keras.Sequential([*found, layers.Flatten(), layers.Dense(3, name="last")])


def new():
    return layers.Conv2D(4, 3, use_bias=False, name="new")


WIDER = "'first' needs weights of shape (3, 3, 1, 8), but the file has (3, 3, 1, 4)"
DEEPER = "layer 'new' needs 1 array of weights (kernel), but the file has none"


@pytest.mark.parametrize(
    ("name", "build", "said"),
    [
        ("a.weights.h5", lambda: network(8), f"{WIDER}; 1 other layer differs too"),
        ("a.keras", lambda: network(8), f"{WIDER}; 1 other layer differs too"),
        ("a.h5", lambda: network(8), "'first/kernel' needs weights of shape (3, 3, 1, 8), "),
        (
            "a.weights.h5",
            lambda: network(4, layers.Conv2D(4, 3, use_bias=False, name="new")),
            DEEPER,
        ),
        ("a.h5", lambda: network(4, layers.BatchNormalization()), "the network has 3 layers with "),
        (
            "a.h5",
            lambda: keras.Sequential(
                [keras.Input((8, 8, 1)), layers.Conv2D(4, 3, use_bias=False, name="plain")]
                + [layers.Flatten(), layers.Dense(3, name="last")]
            ),
            "layer 'plain' needs 1 array of weights, but the file has 2",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_file(tmp_path, monkeypatch, name, build, said):
    monkeypatch.chdir(tmp_path)
    saved = network()
    (saved.save_weights if ".weights." in name else saved.save)(name)
    network().load_weights(name)
    with pytest.raises(ValueError) as error:  # noqa: PT011 - of Keras
        build().load_weights(name)
    text = explain_weights(error.value)
    assert text.startswith(f"the weights file {tmp_path / name} does not fit the network: ")
    assert said in text and "belongs to another network" in text
    assert len(text) < 500 + len(str(tmp_path))


def test_a_file_that_is_no_weights_file_is_named(tmp_path):
    file = tmp_path / "page.weights.h5"
    file.write_text("<html>")
    with pytest.raises(OSError) as error:  # noqa: PT011 - of h5py
        network().load_weights(file)
    assert explain_weights(error.value).startswith(f"the weights file {file} is damaged, or is no")


def test_other_errors_have_other_explanations():
    assert explain_weights(ValueError("shapes (1, 2) and (3, 4) do not match")) == ""


def test_a_search_from_weights_of_another_network_says_so(tmp_path):
    file = str(tmp_path / "v2.weights.h5")
    shape = (32, 32, 3)
    other = keras.applications.MobileNetV2(shape, alpha=0.35, include_top=False, weights=None)
    other.save_weights(file)
    with pytest.raises(InputError, match=r"TransferLearning cannot build its default") as error:
        SearchSpace(TransferLearning(shape, 3, weights=file, size=32), shape, 3)
    assert (
        f"the weights file {file} does not fit the network: 'conv1' needs weights of shape "
        "(3, 3, 3, 8), but the file has (3, 3, 3, 16); 53 other layers differ too. "
        "It belongs to another"
    ) in str(error.value)


def test_a_value_for_which_the_weights_do_not_fit_is_a_warning(tmp_path):
    file = str(tmp_path / "four.weights.h5")
    network().save_weights(file)

    def build(hp):
        model = network(hp.Choice("filters", [4, 8]))
        model.load_weights(file)
        return model

    hypermodel = keras_tuner.HyperModel()
    hypermodel.build = build
    (note,) = [n for n in SearchSpace(hypermodel, (8, 8, 1), 3).notes if "build() fails" in n]
    assert f"filters=8: the weights file {file} does not fit the network: {WIDER}" in note
