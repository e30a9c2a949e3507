"""What is found out about a HyperModel before a search, and how it is said."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution.preparation import prepare
from xnas_tf.registry import import_object
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.spaces.search_space import SearchSpace

SHAPE, CLASSES = (8, 8, 1), 3


def created(name, **options):
    target = HyperModelOptions(hypermodel=f"{__name__}:{name}", options=options)
    return target.create(SHAPE, CLASSES)


def space_of(name, **options):
    return SearchSpace(created(name, **options), SHAPE, CLASSES)


def network(units, shape=SHAPE, classes=CLASSES):
    x = inputs = keras.Input(shape)
    x = layers.Dense(units, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(classes)(x))


def auto_named(hp):
    x = inputs = keras.Input(SHAPE)
    for _ in range(hp.Int("convolutions", 1, 3)):
        layer = layers.Conv2D(2, 3, padding="same")
        x = layers.Activation(hp.Choice(f"{layer.name}_activation", ["relu", "tanh"]))(layer(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(x)))


def test_layers_that_keras_names_give_each_model_the_same_hyperparameters():
    layers.Conv2D(2, 3)  # another model's, before
    space = space_of("auto_named")
    names = [f"conv2d{end}_activation" for end in ("", "_1", "_2")]
    assert {v.name: v.conditions[0].values if v.conditions else () for v in space.variables} == {
        "convolutions": (),
        names[0]: (),
        names[1]: (2, 3),
        names[2]: (3,),
    }
    values = {"convolutions": 3, **dict.fromkeys(names, "tanh")}
    for _ in range(2):  # and nothing is cleared between builds
        assert [layer.name for layer in space.build(values).layers][1] == "conv2d"


def test_the_names_of_a_build_leave_seeds_alone():
    space = space_of("auto_named")
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        model = space.build(space.default_values)
        drawn.append(np.concatenate([w.numpy().ravel() for w in model.weights]))
    np.testing.assert_array_equal(*drawn)


def partly_impossible(hp):
    if hp.Choice("kind", ["plain", "odd"]) == "odd":
        raise ValueError("this cannot be built")
    return network(hp.Int("units", 2, 3))


def impossible_together(hp):
    units = [hp.Int(name, 1, 3) for name in ("first", "second")]
    if sum(units) > 5:
        raise ValueError("too many units")
    return network(sum(units))


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("partly_impossible", "fails with kind='odd': ValueError: this cannot be built"),
        ("impossible_together", "fails with first=3, second=3: ValueError: too many units"),
    ],
)
def test_values_that_cannot_be_built_are_named(name, note):
    (said,) = space_of(name).notes
    assert f"HyperModel {name}: build() {note}" in said


def too_deep(hp):
    """Its default has one block, and more than three are too many."""
    x = inputs = keras.Input(SHAPE)
    for index in range(hp.Int("blocks", 1, 5)):
        x = layers.MaxPooling2D()(layers.Dense(hp.Int(f"units_{index}", 2, 3))(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(x)))


def test_what_smaller_numbers_lead_to_is_found_if_the_largest_cannot_be_built():
    space = space_of("too_deep")
    assert [v.name for v in space.variables] == ["blocks", "units_0", "units_1", "units_2"]
    assert [note.partition(": ValueError")[0] for note in space.notes] == [
        f"HyperModel too_deep: build() fails with blocks={n}" for n in (5, 4)
    ]


def sometimes_needed(hp):
    """Asks for units for one kind, and for another one together with something else."""
    kind, extra = hp.Choice("kind", ["none", "always", "sometimes"]), hp.Boolean("extra")
    is_asked = kind == "always" or (kind == "sometimes" and extra)
    return network(hp.Int("units", 3, 5) if is_asked else 2)


def test_what_is_asked_for_where_it_is_not_known_is_named():
    """keras-tuner would take the default value, which is not recorded."""
    space = space_of("sometimes_needed")
    for values, units in (
        ({"kind": "always", "extra": True, "units": 5}, 5),
        ({"kind": "sometimes", "extra": False}, 2),
    ):
        assert space.build(values).layers[2].units == units
    with pytest.raises(
        TypeError, match=r"build\(\) asks for .* not discovered before: units\. Put"
    ):
        space.build({"kind": "sometimes", "extra": True})


def shared_by_layers(hp):
    """Has one rate for all layers with dropout, which only the second layer may need."""
    x = layers.Flatten()(inputs := keras.Input(SHAPE))
    for index in range(hp.Int("layers", 1, 3)):
        x = layers.Dense(2)(x)
        if hp.Boolean(f"dropout_{index}"):
            x = layers.Dropout(hp.Float("rate", 0.1, 0.5))(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def test_what_one_of_several_choices_leads_to_is_always_active():
    """Also if the other choices are found only later."""
    space = space_of("shared_by_layers")
    assert {v.name for v in space.variables if not v.conditions} == {"layers", "dropout_0", "rate"}
    values = {"layers": 2, "dropout_0": False, "dropout_1": True, "rate": 0.25}
    assert space.build(values).layers[4].rate == 0.25


def deep_in_two_ways(hp):
    """Has its depth in the scope of each kind, with other limits."""
    kind, depth = hp.Choice("kind", ["relu", "tanh"]), 0
    for name, most in (("relu", 3), ("tanh", 2)):
        with hp.conditional_scope("kind", [name]):
            if kind == name:
                depth = hp.Int("depth", 1, most)
    x = layers.Flatten()(inputs := keras.Input(SHAPE))
    for index in range(depth):
        x = layers.Dense(hp.Int(f"units_{index}", 2, 3), activation=kind)(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def test_a_choice_in_several_scopes_is_tried_in_each():
    space = space_of("deep_in_two_ways")
    units = {f"units_{index}": 3 for index in range(3)}
    for kind, depth in (("relu", 3), ("relu", 2), ("tanh", 2)):
        model = space.build({"kind": kind, "depth": depth} | units)
        assert [layer.units for layer in model.layers[2:]] == [3] * depth + [CLASSES]


def test_values_of_another_hypermodel_that_are_not_asked_for_are_ignored():
    """As when a candidate is retrained with a HyperModel that has another condition."""
    values = {"kind": "none", "extra": False, "units": 5}
    assert space_of("sometimes_needed").build(values).layers[2].units == 2


class Usual(keras_tuner.HyperModel):
    def __init__(self, input_shape, num_classes, width=1):
        super().__init__()
        self.shape, self.classes, self.width = input_shape, num_classes, width

    def build(self, hp):
        return network(hp.Int("units", 2, 3) * self.width, self.shape, self.classes)


class Needy(Usual):
    def __init__(self, input_shape, num_of_classes):
        super().__init__(input_shape, num_of_classes)


def other_name(hparams):
    return network(hparams.Int("units", 2, 3))


def with_data(hyperparameters, num_classes, input_shape=(9, 9, 1), width=1):
    return network(hyperparameters.Int("units", 2, 3) * width, input_shape, num_classes)


def factory(width):
    return Usual(SHAPE, CLASSES, width)


@pytest.mark.parametrize("name", ["Usual", "other_name", "with_data"])
def test_usual_ways_to_write_a_hypermodel_work(name):
    assert [variable.name for variable in space_of(name).variables] == ["units"]


def test_options_reach_a_builder_whose_argument_has_another_name():
    model = space_of("with_data", width=4).build({"units": 2})
    assert model.layers[2].units == 8
    assert space_of("factory", width=4).build({"units": 2}).layers[2].units == 8


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Needy", {}, "space.options: .*needs num_of_classes: add these there. Only "),
        ("Usual", {"widht": 2}, "has no parameter 'widht' .did you mean 'width'"),
        ("with_data", {"hyperparameters": 2}, "could not be created: AttributeError: "),
        ("factory", {}, "returned a Usual.*give the arguments of the function as space.options"),
    ],
)
def test_arguments_that_are_missing_or_wrong_are_named(name, options, message):
    with pytest.raises(InputError, match=message):
        space_of(name, **options)


def test_a_wrong_name_is_compared_with_what_the_module_defines_not_with_its_imports():
    with pytest.raises(InputError, match="has no 'other_nam' .did you mean 'other_name'") as error:
        import_object(f"{__name__}:other_nam", "HyperModel")
    allowed = str(error.value).partition("allowed: ")[2].rstrip(")").split(", ")
    assert {"Usual", "factory"} <= set(allowed) and not {"keras", "layers", "np"} & set(allowed)


def two_outputs(hp):
    model = other_name(hp)
    return keras.Model(model.inputs, [model.outputs[0], layers.Dense(1)(model.outputs[0])])


def dict_output(hp):
    model = other_name(hp)
    return keras.Model(model.inputs, {"class": model.outputs[0]})


def nothing(hp):
    other_name(hp)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dict_output", r"returns a dict of 1 tensor\(s\); wanted: only the classes"),
        ("two_outputs", r"returns a list of 2 tensor\(s\); wanted: only the classes"),
        ("nothing", r"build\(\) returned nothing \(is there a return statement\?\)"),
    ],
)
def test_models_of_the_wrong_form_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        space_of(name)


def list_output(hp):
    model = other_name(hp)
    return keras.Model(inputs=model.inputs, outputs=model.outputs)


def test_a_list_of_one_output_is_that_output():
    assert space_of("list_output").variables


class Shared(keras_tuner.HyperModel):
    """A base that is made once; it learns on ``always``, ``never`` or as a hyperparameter says."""

    def __init__(self, learns):
        super().__init__()
        self.learns = learns
        inputs = keras.Input(SHAPE)
        normal = layers.BatchNormalization(center=False, scale=False)(inputs)
        self.base = keras.Model(inputs, normal if learns == "statistics" else self.conv(normal))

    def conv(self, inputs):
        return layers.Conv2D(2, 3)(inputs)

    def build(self, hp):
        self.base.trainable = self.learns in ("always", "statistics") or (
            self.learns == "sometimes" and hp.Boolean("fine_tune")
        )
        base = self.base
        if self.learns == "copied":
            base = keras.models.clone_model(self.base)
            base.set_weights(self.base.get_weights())
            base.trainable = True
        inputs = keras.Input(SHAPE)
        x = layers.Dense(hp.Int("units", 2, 4))(layers.Flatten()(base(inputs)))
        return keras.Model(inputs, layers.Dense(CLASSES)(x))


@pytest.mark.parametrize("learns", ["always", "statistics", "sometimes"])
def test_weights_that_candidates_would_share_are_refused(learns):
    with pytest.raises(InputError, match="was not made by build.*clone_model"):
        space_of("Shared", learns=learns)


class Adapted(keras_tuner.HyperModel):
    """Its statistics are made once, but training does not change them."""

    def __init__(self):
        super().__init__()
        self.scaled = layers.Normalization()
        self.scaled.adapt(np.random.default_rng(0).random((4, *SHAPE), np.float32))

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = layers.Dense(hp.Int("units", 2, 4))(layers.Flatten()(self.scaled(inputs)))
        return keras.Model(inputs, layers.Dense(CLASSES)(x))


def test_statistics_that_training_does_not_change_may_be_shared():
    space = space_of("Adapted")
    assert space.gives_weights(space.build(space.default_values))


@pytest.mark.parametrize("learns", ["never", "copied"])
def test_weights_that_stay_as_they_are_may_be_shared(learns):
    space = space_of("Shared", learns=learns)
    model = space.build(space.default_values)
    assert space.gives_weights(model)


def no_map(hp):
    return other_name(hp)


def maps_for_some(hp):
    x = inputs = keras.Input(SHAPE)
    if hp.Choice("kind", ["dense", "conv"]) == "conv":
        x = layers.Conv2D(2, 3)(x)
    x = layers.Dense(hp.Int("units", 2, 4))(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


@keras.saving.register_keras_serializable("tests")
class Inner(layers.Layer):
    """Its feature maps are not in the model's graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(2, 3)

    def build(self, shape):
        self.conv.build(shape)

    def call(self, images):
        return layers.Flatten()(self.conv(images))


def inner_map(hp):
    x = inputs = keras.Input(SHAPE)
    x = layers.Dense(hp.Int("units", 2, 4))(Inner()(x))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


@pytest.mark.parametrize(
    ("name", "sources", "is_refused"),
    [
        ("no_map", "grad_cam", True),
        ("maps_for_some", "grad_cam", False),
        *left_to_all(("no_map", "integrated_gradients", False), ("inner_map", "grad_cam", False)),
    ],
)
def test_grad_cam_without_feature_maps_is_refused(name, sources, is_refused, monkeypatch):
    monkeypatch.setattr("xnas_tf.execution.preparation.load_dataset", lambda **_: make_dataset())
    objective = f"{{name: introspectability, sources: [{sources}]}}"
    space = f"space={{hypermodel: '{__name__}:{name}'}}"
    config = load_config(overrides=[space, f"objectives=[error, {objective}]"])
    if is_refused:
        with pytest.raises(InputError, match="objectives: introspectability: Grad-CAM needs"):
            prepare(config, SingleProcess(), 1)
    else:
        prepare(config, SingleProcess(), 1)


def test_a_constraint_that_no_model_can_be_measured_for_is_refused(monkeypatch):
    monkeypatch.setattr("xnas_tf.execution.preparation.load_dataset", lambda **_: make_dataset())
    words = [f"space={{hypermodel: '{__name__}:no_map'}}", "objectives=[error]"]
    recorded = [*words, "record=[introspectability]"]
    prepare(load_config(overrides=recorded), SingleProcess(), 1)  # each candidate has a note
    for given in (words, recorded):
        config = load_config(overrides=[*given, "constraints.introspectability='>= 0.1'"])
        with pytest.raises(InputError, match="constraints: introspectability: Grad-CAM needs"):
            prepare(config, SingleProcess(), 1)
