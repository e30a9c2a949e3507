import errno
import json

import keras
import keras_tuner
import numpy as np
import pytest

from examples.small_convnet import SmallConvNet
from xnas_tf.config import load_config
from xnas_tf.errors import InputError, RunError
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.spaces.variables import Choice, Range, decode

SHAPE, CLASSES = (8, 8, 1), 3


def make(target):
    options = load_config(overrides=[f"space={{hypermodel: '{target}'}}"]).space
    return SearchSpace(options.create(SHAPE, CLASSES), SHAPE, CLASSES)


@pytest.fixture(scope="module")
def space():
    return SearchSpace(SmallConvNet(SHAPE, CLASSES), SHAPE, CLASSES)


def test_a_full_disk_for_temporary_files_is_no_wrong_input_and_is_named(monkeypatch):
    def save(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", save)
    with pytest.raises(RunError, match="cannot be saved: .*No space left .*/model.keras"):
        SearchSpace(SmallConvNet(SHAPE, CLASSES), SHAPE, CLASSES)


def test_every_kind_of_hyperparameter_becomes_a_variable(space):
    variables = {variable.name: variable for variable in space.variables}
    assert variables["kernel"].values == (3,)
    assert tuple(variables["activation"].values) == ("relu", "gelu", "swish")
    assert not variables["activation"].ordered
    assert tuple(variables["filters"].values) == (8, 16, 24, 32) and variables["filters"].ordered
    assert set(variables["batch_norm"].values) == {True, False}
    assert isinstance(variables["dropout"], Range) and isinstance(variables["units"], Choice)
    assert variables["units"].conditions[0].parent == "head"
    rates = [variables["learning_rate"].decode(p) for p in (0, 0.5, 1)]
    assert rates == pytest.approx([1e-3, 1e-2, 1e-1])
    assert space.size == float("inf")


def test_random_points_build_and_inactive_values_are_left_out(space):
    rng = np.random.default_rng(0)
    heads = set()
    for _ in range(6):
        values = decode(space.variables, [v.sample(rng) for v in space.variables])
        model = space.build(values)
        heads.add(values["head"])
        assert ("units" in values) == ("dropout" in values) == (values["head"] == "hidden")
        assert any(isinstance(x, keras.layers.Dropout) for x in model.layers) == ("units" in values)
        rate = float(model.optimizer.learning_rate)
        assert rate == pytest.approx(values["learning_rate"], rel=1e-4)
        assert json.loads(space.genotype(values)) == values
    assert heads == {"average", "hidden"}


class Plain(keras_tuner.HyperModel):
    def build(self, hp):
        return tiny(hp)


def tiny(hp, outputs=CLASSES, shape=SHAPE):
    inputs = keras.Input(shape)
    x = keras.layers.Flatten()(inputs)
    return keras.Model(
        inputs, keras.layers.Dense(hp.Int("units", outputs, outputs + 1) * 0 + outputs)(x)
    )


def build(hp):
    return tiny(hp)


def factory(classes):
    assert classes == CLASSES
    return Plain()


def raises(hp):
    raise ValueError("no such luck")


def no_model(hp):
    hp.Int("a", 0, 3)
    return "a model, honestly"


def wrong_output(hp):
    return tiny(hp, outputs=7)


def wrong_input(hp):
    return tiny(hp, shape=(9, 9, 1))


def no_choice(hp):
    return tiny(keras_tuner.HyperParameters())


NOT_CALLABLE = 3
HERE = "tests.unit.test_space"


@pytest.mark.parametrize("name", ["Plain", "build", "factory"])
def test_class_build_function_and_factory_all_work(name):
    assert [variable.name for variable in make(f"{HERE}:{name}").variables] == ["units"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{HERE}:raises", "cannot build its default model: ValueError: no such luck"),
        (f"{HERE}:no_model", "returned a str, not a keras.Model"),
        (f"{HERE}:wrong_output", r"output is \(None, 7\); wanted: \(None, 3\)"),
        (f"{HERE}:wrong_input", r"takes \(None, 9, 9, 1\)"),
        (f"{HERE}:no_choice", "leaves nothing to choose"),
        (f"{HERE}:NOT_CALLABLE", "is a int; allowed"),
        (f"{HERE}:Plan", "did you mean 'Plain'"),
        ("no.such.module:Name", "importing no.such.module failed: ModuleNotFoundError"),
        ("setip:Name", r"There is no setip.py in the current folder.*did you mean 'setup'"),
        ("nonsense", "not of the form package.module:Name"),
    ],
)
def test_what_is_wrong_with_a_hypermodel_is_named(target, message, tmp_path, monkeypatch):
    (tmp_path / "setup.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        make(target)


def conditions_of(space):
    return {v.name: [(c.parent, c.values) for c in v.conditions] for v in space.variables}


def stacked(hp):
    x = inputs = keras.Input(SHAPE)
    for index in range(hp.Int("layers", 1, 3)):
        x = keras.layers.Conv2D(hp.Int(f"filters_{index}", 2, 4), 3, padding="same")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def hidden_softmax(hp):
    model = tiny(hp)
    odds = keras.ops.exp(model.outputs[0])
    return keras.Model(model.inputs, odds / keras.ops.sum(odds, axis=-1, keepdims=True))


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, images):
        return self.dense(keras.ops.reshape(images, (-1, 64)))


def subclassed(hp):
    hp.Int("units", 1, 2)
    return Subclassed(CLASSES)


def test_hyperparameters_of_later_layers_are_found():
    assert conditions_of(make(f"{HERE}:stacked")) == {
        "layers": [],
        "filters_0": [],
        "filters_1": [("layers", (2, 3))],
        "filters_2": [("layers", (3,))],
    }


def nested(hp):
    x = inputs = keras.Input(SHAPE)
    for block in range(hp.Int("blocks", 1, 2)):
        for index in range(hp.Int("layers", 1, 2)):
            filters = hp.Int(f"filters_{block}_{index}", 2, 4)
            x = keras.layers.Conv2D(filters, 3, padding="same")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def test_hyperparameters_of_loops_inside_loops_are_found():
    space, rng = make(f"{HERE}:nested"), np.random.default_rng(0)
    assert len(space.variables) == 2 + 4
    for _ in range(8):
        space.build(decode(space.variables, [v.sample(rng) for v in space.variables]))


def unscoped(hp):
    """As keras-tuner's users write it, without a scope."""
    x = inputs = keras.Input(SHAPE)
    kind = hp.Choice("kind", ["none", "one", "two", "impossible"])
    if kind == "impossible":
        raise ValueError("this cannot be built")
    if kind != "none":
        x = keras.layers.Conv2D(hp.Int("filters", 2, 4, step=2), 3)(x)
        if hp.Boolean("norm"):
            x = keras.layers.GroupNormalization(hp.Choice("groups", [1, 2]))(x)
    if kind == "two":
        x = keras.layers.Conv2D(hp.Int("more", 2, 4), 3)(x)
    x = keras.layers.Flatten()(x)
    if hp.Boolean("shared") or kind == "two":
        x = keras.layers.Dense(hp.Int("units", 2, 4))(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def test_hyperparameters_without_a_scope_are_found_with_their_conditions():
    space = make(f"{HERE}:unscoped")
    kind = ("kind", ("one", "two"))
    assert conditions_of(space) == {
        "kind": [],
        "shared": [],
        "filters": [kind],
        "norm": [kind],
        "more": [("kind", ("two",))],
        "groups": [kind, ("norm", (True,))],
        "units": [],  # two choices lead to it
    }
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = decode(space.variables, [v.sample(rng) for v in space.variables])
        if values["kind"] != "impossible":
            space.build(values)


def logarithmic(hp):
    x = inputs = keras.Input(SHAPE)
    for index in range(hp.Int("layers", 1, 3, sampling="reverse_log")):
        filters = hp.Int(f"filters_{index}", 2, 8, step=2, sampling="log")
        x = keras.layers.Conv2D(filters, 3, padding="same")(x)
    x = keras.layers.Dense(hp.Int("units", 16, 512, sampling="log"))(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def test_integers_on_a_logarithmic_scale_are_those_of_keras_tuner():
    """Its ``values`` are floats if there is a step, and otherwise ten examples in no order."""
    space, rng = make(f"{HERE}:logarithmic"), np.random.default_rng(0)
    variables = {variable.name: variable for variable in space.variables}
    assert variables["filters_0"].values == (2, 4, 8)
    assert conditions_of(space)["filters_2"] == [("layers", (3,))]
    units = variables["units"]
    assert [units.decode(position) for position in (0.0, 0.5, 1.0)] == [16, 90, 512]
    assert {units.decode(units.sample(rng)) for _ in range(9999)} > set(range(16, 100))
    for _ in range(5):
        values = decode(space.variables, [v.sample(rng) for v in space.variables])
        assert {type(value) for value in values.values()} == {int}
        space.build(values)


def shared_name(hp):
    """Two branches ask for a hyperparameter of one name, with other values."""
    kind = hp.Choice("kind", ["wide", "narrow"])
    with hp.conditional_scope("kind", ["wide"]):
        wide = hp.Int("filters", 8, 32, step=8)
    with hp.conditional_scope("kind", ["narrow"]):
        narrow = hp.Int("filters", 1, 4)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(wide if kind == "wide" else narrow, 3)(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def test_branches_may_share_a_name():
    from xnas_tf.strategy.surrogate import Encoding
    from xnas_tf.strategy.variation import Variation

    space, rng = make(f"{HERE}:shared_name"), np.random.default_rng(0)
    variation, encoding = Variation(space.variables, rng, 0.9, None), Encoding(space)
    widths = set()
    for _ in range(20):
        places = [v.sample(rng) for v in space.variables]
        values = decode(space.variables, places)
        assert space.build(values).layers[1].filters == values["filters"]
        assert len(variation.free(places)) == 2
        widths.add(len(encoding.encode(values, places)))
    assert len(widths) == 1


def optional(hp, most=3):
    hp.Int("filters", 1, most)
    return tiny(hp)


def test_options_reach_a_hypermodel_and_wrong_ones_are_named():
    def made(target, options):
        text = f"space={{hypermodel: '{HERE}:{target}', options: {options}}}"
        return load_config(overrides=[text]).space.create(SHAPE, CLASSES)

    variables = SearchSpace(made("optional", "{most: 5}"), SHAPE, CLASSES).variables
    assert [v.size for v in variables if v.name == "filters"] == [5]
    for target, options, message in (
        ("optional", "{moost: 5}", "did you mean 'most'"),
        ("factory", "{size: 5}", "has no parameter 'size'"),
        ("INSTANCE", "{size: 5}", "is an object, not a class or function"),
    ):
        with pytest.raises(InputError, match=message):
            made(target, options)


INSTANCE = Plain()


@pytest.mark.parametrize(
    ("name", "message"),
    [("hidden_softmax", "its last layer is not a softmax"), ("subclassed", "neither functional")],
)
def test_models_whose_logits_cannot_be_had_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        make(f"{HERE}:{name}")
