"""Every model that a search keeps can be loaded by later commands, or the search says so before."""

import json
import re
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from xnas_tf.candidate import Candidate
from xnas_tf.cli import main
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import load_subject
from xnas_tf.keras_tools.inspection import network_of
from xnas_tf.keras_tools.layer_names import use_accepted_names
from xnas_tf.keras_tools.model_files import check_loading, load_model, model_bytes
from xnas_tf.registry import import_module
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import model_path, open_database
from xnas_tf.tuner.translation import space_section

SHAPE, CLASSES = (8, 8, 1), 3
NETWORKS = """
import keras

class Plain(keras.layers.Layer):
    def __init__(self, factor=2.0, **options):
        super().__init__(**options)
        self.factor = factor
    def call(self, x):
        return x * self.factor
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

@keras.saving.register_keras_serializable("own")
class Registered(Plain):
    pass

@keras.saving.register_keras_serializable("own")
class Forgetful(Plain):
    def get_config(self):
        return keras.layers.Layer.get_config(self)

@keras.saving.register_keras_serializable("own")
class Failing(Plain):
    def get_config(self):
        return {**super().get_config(), "factor": None}
    def compute_output_shape(self, shape):
        return shape

class Clip(keras.constraints.Constraint):
    def __init__(self, most):
        self.most = most
    def __call__(self, weights):
        return keras.ops.clip(weights, -self.most, self.most)

@keras.saving.register_keras_serializable("own")
class Silent(keras.layers.Layer):
    def __init__(self, anything):
        super().__init__()
    def call(self, x):
        return 2 * x

def inner():
    @keras.saving.register_keras_serializable("own")
    class Inner(Plain):
        pass
    return Inner()

LAYERS = {
    "plain": Plain,
    "registered": Registered,
    "forgetful": lambda: Forgetful(5.0),
    "clipped": lambda: keras.layers.Dense(2, kernel_constraint=Clip(1.0)),
    "failing": lambda: Failing(5.0),
    "silent": lambda: Silent(object()),
    "inner": inner,
    "code": lambda: keras.layers.Lambda(lambda x: 2 * x),
    "keras": lambda: keras.layers.Rescaling(2.0),
}

class Network:
    def __init__(self, kind):
        self.kind = kind
    def __call__(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = LAYERS[self.kind]()(inputs)
        x = keras.layers.Flatten()(x)
        x = keras.layers.Dense(hp.Choice("units", [2, 3]), "relu")(x)
        return keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))

def build(hp, kind="registered"):
    return Network(kind)(hp)
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """A user's module in the current folder."""
    (tmp_path / "own_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "own_networks"
    forget()


def forget():
    """Make this process one that has not imported the user's module."""
    sys.modules.pop("own_networks", None)
    for name in [name for name in keras.saving.get_custom_objects() if name.startswith("own>")]:
        del keras.saving.get_custom_objects()[name]


def options(kind):
    return HyperModelOptions(hypermodel="own_networks:build", options={"kind": kind})


def space(kind):
    return SearchSpace(options(kind).create(SHAPE, CLASSES), SHAPE, CLASSES)


def kept_run(path, kind):
    """A finished run with the model of candidate 1."""
    words = ["dataset=digits", "objectives=[error, parameters]"]
    words.append(f"space={{hypermodel: 'own_networks:build', options: {{kind: {kind}}}}}")
    record = open_database(path, load_config(overrides=words))
    values = {"error": 0.1, "parameters": 9.0}
    record.save(Candidate(1, "g", {"units": 2}, objectives=values, state="done", epochs=1))
    record.close()
    model_path(path, 1).write_bytes(model_bytes(space(kind).build({"units": 2})))
    forget()
    return Run(path)


def test_another_process_imports_what_registers_the_layers(networks, tmp_path):
    run = kept_run(tmp_path / "run", "registered")
    images = np.ones((1, *SHAPE), np.float32)
    outputs = []
    assert space("registered").notes == []
    for load in (
        lambda: run.candidate(1).load_model(),
        lambda: load_subject(run.path, 1).model,
        lambda: load_subject(model_path(run.path, 1)).model,
    ):
        forget()
        outputs.append(np.asarray(load()(images)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_the_configuration_of_another_program_is_none_of_a_run(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "config.yaml").write_text("debug: true")
    file = tmp_path / "models" / "mine.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(file)
    assert load_subject(file).model.output_shape == (None, 2)


@pytest.mark.long
def test_a_missing_module_is_named_where_it_is_needed(networks, tmp_path):
    runs = [kept_run(tmp_path / kind, kind) for kind in ("registered", "keras")]
    (tmp_path / "own_networks.py").unlink()
    with pytest.raises(InputError, match="class Registered.*Importing own_networks, .* failed"):
        runs[0].candidate(1).load_model()
    forget()
    assert runs[1].candidate(1).load_model().count_params() > 0


def test_code_is_loaded_only_on_request(networks, tmp_path):
    run = kept_run(tmp_path / "run", "code")
    for load in (run.candidate(1).load_model, lambda **how: load_subject(run.path, 1, **how)):
        with pytest.raises(InputError, match=r"safe mode: .*Lambda.*`safe=False`"):
            load()
        assert load(safe=False)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_no_saved_model_is_loaded_in_safe_mode(suffix, tmp_path):
    """In Keras 3.15.1, a function may be the class that loads one, which can write any file."""
    file = tmp_path / f"given{suffix}"
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(keras.ops.relu)(inputs)).save(file)
    assert load_subject(file).model.output_shape == (None, 2)

    def hidden(text):
        config = json.loads(text)
        layer = config["config"]["layers"][1]
        layer["config"]["function"] |= {"module": "keras.layers", "config": "TFSMLayer"}
        layer["config"]["function"]["registered_name"] = "function"
        layer["inbound_nodes"] = [{"args": [], "kwargs": {"inputs": str(tmp_path / "evil")}}]
        return json.dumps(config).replace("TFSM", r"\u0054FSM")

    if suffix == ".h5":
        with h5py.File(file, "r+") as content:
            content.attrs["model_config"] = hidden(content.attrs["model_config"])
    else:
        with zipfile.ZipFile(file) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, hidden(data) if name == "config.json" else data)
    with pytest.raises(InputError, match=r"in safe mode: it contains Python code"):
        load_subject(file)


@pytest.mark.parametrize("command", ["explain", "disentangle", "interpret", "report", "export"])
def test_each_command_that_loads_models_can_be_told_to_load_code(command):
    assert "--unsafe" in CliRunner().invoke(main, [command, "--help"]).output


def test_models_that_cannot_be_saved_are_refused_before_the_search(networks):
    with pytest.raises(InputError, match="cannot be saved: Object Silent .*get_config"):
        space("silent")


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("code", "only with --unsafe"),
        ("inner", "cannot find its layer Inner"),
        ("plain", "not find its class Plain. Put @keras.saving.register_keras_serializable"),
        ("clipped", r"constraint identifier: .*'Clip'.* Write a get_config\(\)"),
        ("failing", "later commands cannot use its models: "),
        ("forgetful", r"gives other outputs. For each of your own layers, write a get_config\(\)"),
    ],
)
def test_models_that_load_only_in_part_are_announced(networks, kind, note):
    keras.utils.set_random_seed(0)
    (found,) = space(kind).notes
    assert re.search(note, found)


def test_the_module_of_a_hypermodel_is_known_however_it_was_given(networks):
    own_networks = import_module(networks)
    assert options("plain").hypermodel_module == networks
    for given in (own_networks.Network("keras"), own_networks.inner):
        assert HyperModelOptions(**space_section(given)).hypermodel_module == networks


# Names that TensorFlow refuses


ODD = ("Conv 1: 3×3", "_x", "é", "-a", "Conv_1_3_3", "50% #2")


def odd_model():
    inputs = keras.Input(SHAPE)
    x = inputs
    for name in ODD:
        x = keras.layers.Conv2D(2, 1, name=name)(x)
    layers = [keras.Input((8, 8, 2)), keras.layers.Flatten(name="flat!")]
    inner = keras.Sequential(layers, name="a b")
    outputs = keras.layers.Dense(CLASSES, "softmax", name="out: 1")(inner(x))
    return keras.Model(inputs, outputs, name="my model #1")


def test_odd_names_become_names_that_tensorflow_accepts(tmp_path):
    keras.utils.set_random_seed(0)
    model, images = odd_model(), np.ones((2, *SHAPE), np.float32)
    before = np.asarray(model(images))
    with pytest.raises(ValueError, match="scope name"):
        tf.function(model.call).get_concrete_function(tf.TensorSpec((None, *SHAPE)))
    renamed = use_accepted_names(model)
    assert set(renamed) == {*ODD, "flat!", "a b", "out: 1", "my model #1"} - {"Conv_1_3_3"}
    assert len(set(renamed.values()) | {"Conv_1_3_3"}) == len(renamed) + 1
    assert use_accepted_names(model) == {}
    np.testing.assert_array_equal(model(images), before)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images, np.array([0, 1]), verbose=0)
    (tmp_path / "model.keras").write_bytes(model_bytes(model))
    np.testing.assert_array_equal(load_model(tmp_path / "model.keras")(images), model(images))


def test_a_model_with_odd_names_is_accepted_when_it_is_loaded(tmp_path):
    odd_model().save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras")
    tf.function(model.call).get_concrete_function(tf.TensorSpec((None, *SHAPE)))


def test_a_search_space_says_which_names_it_changes(networks):
    class Odd:
        def __call__(self, hp):
            inputs = keras.Input(SHAPE, name="images #1")
            x = keras.layers.Flatten()(inputs)
            x = keras.layers.Dense(hp.Choice("units", [2, 3]), name="first layer")(x)
            return keras.Model(inputs, keras.layers.Dense(CLASSES, "softmax")(x), name="my net")

    from keras_tuner import HyperModel

    hypermodel = HyperModel()
    hypermodel.build = Odd()
    made = SearchSpace(hypermodel, SHAPE, CLASSES)
    (note,) = made.notes
    assert "'my net' (my_net here), 'first layer' (first_layer here)" in note
    assert made.build({"units": 2}).name == "my_net"


@pytest.mark.filterwarnings("error")
def test_a_model_that_loads_is_checked_without_warnings():
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))  # one input, not a list of it
    assert check_loading(model, np.zeros((2, *SHAPE), np.float32)) == (True, "")


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


@pytest.mark.filterwarnings("error:The structure of `inputs`")
@pytest.mark.parametrize("given", ["tensor", "list", "sequential", "own step"])
def test_calling_a_saved_model_with_a_tensor_gives_no_warning(tmp_path, given):
    inputs, dense = keras.Input(SHAPE), keras.layers.Flatten()
    model = {
        "tensor": lambda: keras.Model(inputs, dense(inputs)),
        "list": lambda: keras.Model([inputs], [dense(inputs)]),
        "sequential": lambda: keras.Sequential([inputs, dense]),
        "own step": lambda: OwnStep(inputs, dense(inputs)),
    }[given]()
    file = tmp_path / "model.keras"
    file.write_bytes(model_bytes(model))
    images = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    for saved in (load_model(file), network_of(model)):
        np.testing.assert_array_equal(saved(images), images.reshape(2, -1))
