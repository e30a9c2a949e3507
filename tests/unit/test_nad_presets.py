"""NAD's published settings by name."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from tests.conftest import left_to_all
from tests.unit.test_nad import CLASSES, colours, disjoint_model, weighted
from xnas_tf.cli import main
from xnas_tf.errors import InputError
from xnas_tf.interpretation.feature_taps import find_taps
from xnas_tf.interpretation.nad import disentangle
from xnas_tf.interpretation.nad.presets import PRESETS, preset_for
from xnas_tf.utils.number_format import counted

CHANNELS = {
    "VGG16": [64, 64, 128, 128, 256, 256, 256, *[512] * 6],
    "ResNet50": [64, *[256] * 3, *[512] * 4, *[1024] * 6, *[2048] * 3],
    "DenseNet121": [64, 256, 128, 512, 256, 1024, 512, 1024],
}
"""Channels of the masks of the published code, in the order of its networks."""


@pytest.mark.long
@pytest.mark.parametrize("name", CHANNELS)
def test_the_masked_layers_are_those_of_the_published_networks(name):
    """Also in a model that begins with its preprocessing."""
    network = getattr(keras.applications, name)(
        weights=None, include_top=False, input_shape=(32, 32, 3)
    )
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, network(keras.layers.Rescaling(1 / 255)(inputs)))
    preset = preset_for(name.lower(), model)
    taps = find_taps(model, tf.zeros((1, 32, 32, 3)), preset.layers)
    assert [tap.channels for tap in taps] == CHANNELS[name]
    others = {*PRESETS} - {name.lower()}
    for other in others:
        with pytest.raises(InputError, match=f"did you mean `preset` {name.lower()}"):
            preset_for(other, model)


def chain(names):
    """A network of convolutions that change nothing, which gets all colours right."""
    inputs = x = keras.Input((6, 6, CLASSES))
    for name in names:
        x = keras.layers.Conv2D(CLASSES, 1, use_bias=False, activation="relu", name=name)(x)
    outputs = keras.layers.Dense(CLASSES, use_bias=False, activation="softmax")(
        keras.layers.GlobalAveragePooling2D()(x)
    )
    identity = np.eye(CLASSES)
    return weighted(keras.Model(inputs, outputs), [*[identity] * len(names), 10 * identity])


DARTS = [*PRESETS["darts"].layers]


@pytest.mark.parametrize(
    ("given", "layers", "beta"),
    [
        ({}, DARTS, 0.45),
        ({"layers": ["first"]}, ["first"], 0.45),
        *left_to_all(
            ({"beta": 2.0}, DARTS, 2.0),
            ({"beta": "auto"}, DARTS, "auto"),
            ({"preset": None}, ["first", *DARTS], "auto"),
        ),
    ],
)
def test_a_preset_gives_layers_and_beta_unless_they_are_given(given, layers, beta, monkeypatch):
    class Learned(Exception):
        """Carries what masks are learned with, in place of learning them."""

    def learn(network, images, classes, mask_options, *_):
        raise Learned([tap.name for tap in network.taps], mask_options.beta)

    monkeypatch.setitem(inspect.unwrap(disentangle).__globals__, "learn", learn)
    messages = []
    with pytest.raises(Learned) as caught:
        options = {"preset": "darts", "images": 2, **given}
        disentangle(chain(["first", *DARTS]), colours(), log=messages.append, **options)
    assert caught.value.args == (layers, beta)
    is_said = f"preset darts: {counted(len(layers), 'layer')}, β {beta}" in messages
    assert is_said == (options["preset"] == "darts")


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(InputError, match=r"`preset`: .* 'vgg61' \(did you mean 'vgg16'"):
        disentangle(disjoint_model(), colours(), preset="vgg61")
    with pytest.raises(InputError, match="`preset` resnet50: the model has no layers pool1_pool, "):
        disentangle(disjoint_model(), colours(), preset="resnet50")
    disjoint_model().save(tmp_path / "model.keras")
    words = ["disentangle", str(tmp_path / "model.keras"), "--dataset", "digits"]
    result = CliRunner().invoke(main, [*words, "--preset", "densenet21"])
    assert result.exit_code == 2 and "did you mean 'densenet121'" in result.output
