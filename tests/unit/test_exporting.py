"""Exported files say what their models say, where xnas-tf is not; their cards say what they are."""

import html
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import xnas_tf as xt
from tests.conftest import left_to_all
from tests.datasets import make_dataset, saved_run
from xnas_tf.attribution import outputs
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.data import Source, load_dataset
from xnas_tf.errors import InputError, XnasError
from xnas_tf.explanation.model_loading import load_subject
from xnas_tf.exporting import command, evidence, formats
from xnas_tf.exporting.card import _limits
from xnas_tf.exporting.card_explanations import _map_quality, explanations_text
from xnas_tf.exporting.card_files import _own_code
from xnas_tf.exporting.card_text import _usage
from xnas_tf.exporting.command import _copied, _custom_names, _loads_safely
from xnas_tf.exporting.formats import FORMATS, chosen_formats
from xnas_tf.exporting.formats.base import ExportFormat
from xnas_tf.exporting.markdown import code, text
from xnas_tf.exporting.selection import ExportSelection, OwnCode, own_code
from xnas_tf.exporting.serving import ServedModel
from xnas_tf.exporting.verification import RANDOM, difference, map_quality
from xnas_tf.keras_tools import tflite
from xnas_tf.reporting.predictions import metrics_on_test
from xnas_tf.storage.run_directory import locked, model_path
from xnas_tf.storage.tested_models import candidate_name, figures_fact, source_of
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.source_code import source_hashes

HOSTILE = ("a|b", "<script>alert(1)</script>", "*c*\n# [d](javascript:e) `f` ~g~")
GREY, LOGITS, DENSE, MIXED = 1, 2, 3, 4
ELSEWHERE = "tflite_int8", "tflite_float16", "saved_model", "keras"


def source(shape):
    part = make_dataset(150, shape).train
    return Source(part.images, part.labels, HOSTILE)


def grey():
    return source((8, 8, 1))


def colour():
    return source((8, 10, 3))


def two():
    part = make_dataset(150, (8, 8, 1), 2).train
    return Source(part.images, part.labels, ("no", "yes"))


def convolutional(shape, activation=None, policy=None):
    """Random weights, normalisations that do something, a nested model."""
    layers = keras.layers
    body = keras.Sequential(
        [
            layers.Input(shape),
            layers.Conv2D(6, 3, padding="same", use_bias=False, dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.Activation("silu", dtype=policy),
            layers.Conv2D(5, 3, strides=2, activation="relu", dtype=policy),
        ]
    )
    inputs = keras.Input(shape)
    # holds constants that are not variables
    x = body(layers.Normalization(mean=[0.5], variance=[0.1], dtype=policy)(inputs))
    x = layers.GlobalAveragePooling2D(dtype=policy)(x)
    model = keras.Model(inputs, layers.Dense(3, activation, dtype=policy)(x))
    for variable in model.non_trainable_variables:
        variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    return model


def dense(shape):
    inputs = keras.Input(shape)
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(8, "tanh")(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))


def made_run(path, name, models, *words):
    """A finished run with these models by id, on the data that ``name`` makes here."""
    first = [f"dataset=tests.unit.test_exporting:{name}", "objectives=[error, deletion]"]
    config = load_config(overrides=[*first, *words])
    data = load_dataset(**config.dataset.model_dump())
    path.mkdir()
    more = {"metrics": {"deletion/standard_error": 0.01}, "epochs": 1, "state": "done"}
    values = {n: {"error": 0.1 * n, "deletion": 0.5 - 0.1 * n} for n in models}
    trained = [Candidate(n, f"cell |{n}|", {}, objectives=values[n], **more) for n in models]
    run = saved_run(path, config, trained, dataset=data.facts)
    for number, model in models.items():
        model.save(model_path(path, number))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    keras.utils.set_random_seed(0)
    shape = (8, 8, 1)
    models = {
        GREY: convolutional(shape, "softmax"),
        LOGITS: convolutional(shape),
        DENSE: dense(shape),
        MIXED: convolutional(shape, "softmax", "mixed_bfloat16"),
    }
    return made_run(tmp_path_factory.mktemp("grey") / "run", "grey", models)


@pytest.fixture(scope="module")
def keras_export(run, tmp_path_factory):
    """The folder and the card of a model exported as ``keras``, only to be read."""
    return exported(run, GREY, tmp_path_factory.mktemp("keras"), "keras")


def other_images(shape, count=7):
    return np.random.default_rng(5).integers(0, 256, (count, *shape), dtype=np.uint8)


def probabilities_of(model, images):
    outputs = model(images / np.float32(255), training=False)
    is_softmax = getattr(model.layers[-1], "activation", None) is keras.activations.softmax
    return np.asarray(outputs if is_softmax else keras.ops.softmax(outputs), np.float32)


def exported(run, number, out, *formats, **more):
    (folder,) = xt.export(run, [number], out, formats or ("saved_model",), **more)
    return folder, json.loads((folder / "card.json").read_text())


@pytest.mark.parametrize(
    ("name", "number"),
    [
        # others are exported below, such as a model of two classes as a SavedModel
        *[(name, LOGITS) for name in FORMATS.names() if name not in ELSEWHERE],
        *left_to_all(
            *[(name, LOGITS) for name in ELSEWHERE], *[(name, GREY) for name in FORMATS.names()]
        ),
    ],
)
def test_each_format_says_what_the_model_says(run, tmp_path, name, number):
    kind = FORMATS.get(name)()
    if any(find_spec(module) is None for module in kind.modules):
        pytest.skip(f"{kind.extra} is not installed")
    folder, card = exported(run, number, tmp_path, name)
    kept = {kind.file, "card.json", "README.md", "attributions.png"}
    assert {path.name for path in folder.iterdir()} == kept
    images = other_images((8, 8, 1))
    found = kind.outputs(folder / kind.file, images)["probabilities"]
    wanted = probabilities_of(run.candidate(number).load_model(), images)
    quantized = 0.05 if kind.is_quantized else kind.tolerance
    np.testing.assert_allclose(found, wanted, atol=max(quantized, 1e-6))
    (file,) = card["files"]
    assert ("latency" in file) == name.startswith("tflite")
    assert file["format"] == name and 0 <= max(file["differences"].values()) <= kind.tolerance
    assert file["bytes"] > 1000


@pytest.mark.parametrize("name", ["out [1] %d", *left_to_all("a*b?", "{x} ä #1: 'q'", "-out")])
@pytest.mark.long
def test_a_folder_may_have_any_name(run, tmp_path, name):
    said = []
    folder, card = exported(run, DENSE, tmp_path / name, log=said.append)
    assert card["files"][0]["differences"]["probabilities"] < 1e-4
    warned = any(text.startswith("warning: TensorFlow cannot load a SavedModel") for text in said)
    assert warned == bool(set(name) & set("*?["))
    if not warned:
        tf.saved_model.load(str(folder / "1"))


def transfer(inputs):
    x = keras.layers.Rescaling(2.0, -1.0)(inputs)
    base = keras.Sequential(
        [
            keras.layers.SeparableConv2D(6, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(6.0),
            keras.layers.DepthwiseConv2D(3, padding="same"),
        ]
    )
    x = base(x)
    return keras.layers.Add()([x, keras.layers.Conv2D(6, 1, activation="silu")(x)])


def gelu_and_elu(inputs):  # ELU has no integer kernel
    x = keras.layers.Conv2D(4, 3, activation="gelu")(inputs)
    return keras.layers.MaxPooling2D()(keras.layers.ELU()(keras.layers.LayerNormalization()(x)))


@pytest.mark.parametrize(
    ("classes", "activation"), [(3, "softmax"), *left_to_all((3, None), (1, "sigmoid"))]
)
@pytest.mark.parametrize("layers", [transfer, *left_to_all(gelu_and_elu)])
@pytest.mark.long
def test_int8_weights_are_near_the_models(layers, classes, activation):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.GlobalAveragePooling2D()(layers(inputs))
    model = keras.Model(inputs, keras.layers.Dense(classes, activation)(x))
    images = other_images((8, 8, 1), 40)
    function = outputs.serving_function(model, (8, 8, 1))
    for precision, tolerance in (("float32", 1e-5), ("int8", 0.03)):
        content = tflite.convert(model, function, (8, 8, 1), precision, images[:20])
        found = tflite.predict(content, images, batch_size=7)
        assert found.dtype == np.float32 and len(found) == 40
        wanted = outputs.probabilities_of(model, images / np.float32(255))
        np.testing.assert_allclose(found, wanted, atol=tolerance)
    details = tflite._interpreter(content, threads=1).get_tensor_details()
    assert any(len(each["shape"]) == 4 and each["dtype"] is np.int8 for each in details)


def test_the_accuracy_of_a_quantized_model_is_that_on_the_test_split(run, tmp_path):
    folder, card = exported(run, DENSE, tmp_path, "tflite_int8")
    (file,) = card["files"]
    measured = file["quantization"]
    test = load_dataset(**run.config.dataset.model_dump()).test
    found = FORMATS.get("tflite_int8")().outputs(folder / file["file"], test.images)
    predicted = found["probabilities"].argmax(axis=1)
    right = int(np.sum(predicted == test.labels))
    assert measured["accuracy"] == accuracy_interval(right, len(test))
    assert measured["model_accuracy"] == card["test"]["accuracy"]
    assert measured["images"] == len(test) and measured["calibration_images"] == 90
    model = run.candidate(DENSE).load_model()
    wanted = probabilities_of(model, test.images).argmax(axis=1)
    assert measured["agreement"][1] == np.mean(wanted == predicted)
    card_said = (folder / "README.md").read_text()
    assert "quantized to int8, calibrated on 90 training images" in card_said
    assert "It loses" not in card_said


def test_a_loss_of_accuracy_is_a_warning_and_no_file_is_lost(run, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ALLOWED_LOSS", -1.0)  # any accuracy is too low
    said = []
    folder, card = exported(run, DENSE, tmp_path, "tflite_int8", log=said.append)
    measured = card["files"][0]["quantization"]
    loss = 100 * (measured["model_accuracy"][1] - measured["accuracy"][1])
    warning = f"candidate-00003: warning: tflite_int8 loses {loss:.1f} percentage points"
    assert any(each.startswith(warning) for each in said)
    assert f"**It loses {loss:.1f} percentage points.**" in (folder / "README.md").read_text()
    assert (folder / "model_int8.tflite").is_file()


def test_int8_needs_the_training_images(run, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence, "load_dataset", refuse)
    with pytest.raises(InputError, match="quantization needs the training images: it moved"):
        xt.export(run, [DENSE], tmp_path, ["tflite_int8"])
    assert not list(tmp_path.iterdir())


def refuse(**options):
    raise InputError("it moved")


def bicubic(inputs):
    return keras.layers.Resizing(4, 4, "bicubic", name="smaller")(inputs)


def recurrent(inputs):
    rows = keras.layers.Reshape((8, 8))(inputs)
    cell = keras.layers.GRU(3, name="reader")
    return keras.layers.Bidirectional(cell, name="both_ways")(rows)


@pytest.mark.parametrize(
    ("layers", "refused"),
    [
        (bicubic, r"ResizeBicubic \(layer smaller\)"),
        *left_to_all((recurrent, r"TensorListReserve \(layer both_ways/\w*reader\)")),
    ],
)
def test_a_layer_that_cannot_be_converted_is_named(tmp_path, layers, refused):
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(layers(inputs)))
    served = ServedModel(keras.Model(inputs, outputs), tmp_path / "m", (8, 8, 1), HOSTILE, [])
    with pytest.raises(XnasError, match=f"^TensorFlow Lite cannot convert {refused}"):
        FORMATS.get("tflite")().write(served, tmp_path / "model.tflite")


@pytest.mark.parametrize(
    ("module", "custom", "own", "has_code", "needed"),
    [
        ("", [], "", False, ""),
        ("mine.layers", [], "", False, ""),
        ("__main__", [], "", False, ""),
        ("mine.layers", ["Own"], "", True, "own module, to be installed, or copied here; it def"),
        ("mine", ["Own"], "mine.py", True, "own module, in this folder; it defines Own.\nimport"),
        ("__main__", ["Own"], "", False, "# Define Own first, as in the script"),
    ],
)
def test_the_card_says_what_a_keras_file_needs(module, custom, own, has_code, needed):
    card = {"hypermodel_module": module, "contains_code": has_code, "custom_objects": custom}
    card["own_code"] = {"copied": own}
    made = _usage(FORMATS.get("keras")(), card)
    compile(made, "card", "exec")
    assert needed in made and ("Own" in made) == bool(custom) and "import __main__" not in made
    assert ("mine.layers" in made) == (module == "mine.layers" and bool(custom))
    assert ("safe_mode=False" in made) == has_code
    other = FORMATS.get("tflite")()
    assert _usage(other, card) == other.usage


OWN = """
import keras
import factors_{mark}

@keras.saving.register_keras_serializable("own_{mark}")
class Gate(keras.layers.Layer):
    def call(self, inputs):
        return inputs * factors_{mark}.FACTOR
"""


@pytest.mark.parametrize("is_package", [False, True])
def test_a_keras_file_with_its_own_layer_loads_in_its_folder(tmp_path, monkeypatch, is_package):
    """As on the card, in a process that knows neither the run nor the folder of the search."""
    mark = f"{is_package}".lower()
    folder = tmp_path / "mine"
    place = folder / "own_package" if is_package else folder
    place.mkdir(parents=True)
    (place / f"own_{mark}.py").write_text(OWN.format(mark=mark))
    (folder / f"factors_{mark}.py").write_text("FACTOR = 3.0")
    monkeypatch.syspath_prepend(folder)
    module = f"own_package.own_{mark}" if is_package else f"own_{mark}"
    gate = importlib.import_module(module).Gate()
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), gate])
    model.add(keras.layers.Dense(3, "softmax"))
    run = made_run(tmp_path / "run", "grey", {1: model}, f"space={{hypermodel: '{module}:Gate'}}")
    said = []
    out, card = exported(run, 1, tmp_path / "out", "keras", log=said.append)
    written = (out / "README.md").read_text()
    assert card["custom_objects"] == ["Gate"] and "it defines Gate" in written
    assert card["own_code"]["needs"] == [f"factors_{mark}"]
    assert f"not in this folder: `factors_{mark}`" in written
    if is_package:
        assert card["own_code"]["copied"] == "" and not list(out.glob("*.py"))
        assert "to be installed, or copied here" in written
        return
    assert [file.name for file in out.glob("*.py")] == ["own_false.py"]  # not what it imports
    assert card["own_code"]["copied"] == "own_false.py"
    wanted = "copied own_false.py, which model.keras needs: check it before you share the folder"
    assert f"candidate-00001: {wanted}" in said
    assert "`own_false.py` is a copy, as it was at the time of the export" in written
    shutil.copyfile(folder / "factors_false.py", out / "factors_false.py")
    code = "\n".join(re.findall("```python\n(.*?)```", written, re.DOTALL))
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=out, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.strip() == "(2, 3)", done.stderr


def test_code_that_has_changed_since_the_search_is_not_copied(tmp_path, monkeypatch):
    file = tmp_path / "own_changed.py"
    file.write_text("SIZE = 3  # of kernels")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(file.stem)
    candidate = Candidate(1, "", {}, module=file.stem)
    chosen = ExportSelection("c", candidate, None, source_hashes([], [file.stem]))
    file.write_text("SIZE = 3")
    assert own_code(chosen) == OwnCode(file)  # a comment does not count
    file.write_text("SIZE = 4")
    found = own_code(chosen)
    assert found == OwnCode(None, (), "own_changed.py has changed since the search", True)
    retrained = own_code(replace(chosen, is_retrained=True))
    assert retrained.problem == "own_changed.py has changed since the retraining"
    said = []
    entry = _copied(found, tmp_path / "nowhere", said.append)
    assert said == [f"the code that model.keras needs was not copied: {found.problem}"]
    assert found.problem in _own_code(entry)
    assert own_code(replace(chosen, code=None)) == OwnCode(file)


def test_a_run_is_explained_with_a_warning_if_its_own_layers_have_changed(tmp_path, monkeypatch):
    (tmp_path / "factors_later.py").write_text("FACTOR = 3.0")
    (tmp_path / "own_later.py").write_text(OWN.format(mark="later"))
    monkeypatch.syspath_prepend(tmp_path)
    gate = importlib.import_module("own_later").Gate()
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), gate])
    model.add(keras.layers.Dense(3, "softmax"))
    run = made_run(tmp_path / "run", "grey", {1: model}, "space={hypermodel: 'own_later:Gate'}")
    saved_run(run.path, run.config, code=source_hashes([], ["own_later"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_subject(run.path, 1).run
    (tmp_path / "factors_later.py").write_text("FACTOR = 4.0")
    with pytest.warns(UserWarning, match=r"run: factors_later\.py has changed since the search: "):
        load_subject(run.path, 1)


@keras.saving.register_keras_serializable("test_exporting")
class Own(keras.layers.Layer):
    def call(self, inputs):
        return inputs


def test_only_classes_that_are_not_of_keras_must_be_imported(tmp_path):
    dense = keras.layers.Dense(2, "relu", kernel_regularizer="l2")
    for layers, expected in (([dense], []), ([dense, Own()], ["Own"])):
        keras.Sequential([keras.Input((2,)), *layers]).save(tmp_path / "model.keras")
        assert _custom_names(keras.saving.load_model(tmp_path / "model.keras")) == expected


def test_code_in_a_model_is_found(tmp_path):
    found = {}
    for name, last in (
        ("code", keras.layers.Lambda(lambda x: 2 * x)),
        ("none", keras.layers.ReLU()),
    ):
        file = tmp_path / f"{name}.keras"
        keras.Sequential([keras.Input((2,)), last]).save(file)
        found[name] = _loads_safely(Candidate(1, "", {}, model_path=file))
    assert found == {"code": False, "none": True}


SERVE = """
import sys
import numpy as np
import tensorflow as tf
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("xnas_tf", "keras", "tf_keras", "keras_tuner", "tf_explain"):
            raise ImportError(name)
for name in [name for name in sys.modules if name.split(".")[0] == "keras"]:
    del sys.modules[name]  # TensorFlow imports it by itself
sys.meta_path.insert(0, Refuse())
given = np.load(sys.argv[1])
signatures = tf.saved_model.load(sys.argv[2]).signatures
images = tf.constant(given["images"])
served = signatures["serving_default"](images=images)
predicted = signatures["explain"](images=images, class_index=tf.fill([len(images)], -1))
chosen = signatures["explain"](images=images, class_index=tf.constant(given["classes"]))
found = {"serve": served, "predicted": predicted, "chosen": chosen}
np.savez(sys.argv[3], **{f"{of} {k}": np.char.decode(v.numpy().astype(bytes))
    if v.dtype == tf.string else v.numpy() for of, each in found.items() for k, v in each.items()})
"""


def served_elsewhere(folder, images, classes, tmp_path):
    """What a process without xnas-tf and Keras gets from a SavedModel."""
    np.savez(tmp_path / "given.npz", images=images, classes=np.array(classes, np.int32))
    words = [tmp_path / "given.npz", folder / "1", tmp_path / "found.npz"]
    subprocess.run([sys.executable, "-I", "-c", SERVE, *map(str, words)], check=True, cwd=tmp_path)
    return np.load(tmp_path / "found.npz")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["grey", *left_to_all("colour")])
def test_explain_is_that_of_the_library_in_a_process_without_it(run, tmp_path, kind):
    shape = (8, 8, 1)
    if kind == "colour":
        shape = (8, 10, 3)
        keras.utils.set_random_seed(1)
        run = made_run(tmp_path / "run", kind, {LOGITS: convolutional(shape)})
    folder, _ = exported(run, LOGITS, tmp_path / "out")
    images, classes = other_images(shape), [0, 1, 2, 2, 1, 0, -1]
    found = served_elsewhere(folder, images, classes, tmp_path)
    model = run.candidate(LOGITS).load_model()
    predicted = xt.explain(model, images)
    given = np.where(np.array(classes) < 0, predicted.predicted, classes)
    chosen = xt.explain(model, images, targets=given)
    for of, explanation in {"predicted": predicted, "chosen": chosen}.items():
        assert len(explanation.maps) == 2
        for method, maps in explanation.maps.items():
            assert np.abs(maps).max() > 1e-3
            np.testing.assert_allclose(found[f"{of} {method.name}"], maps, atol=1e-4)
        assert list(found[f"{of} explained"]) == [HOSTILE[c] for c in explanation.targets]
    for of in ("serve", "predicted", "chosen"):
        np.testing.assert_allclose(found[f"{of} probabilities"], predicted.probabilities, atol=1e-6)
        assert list(found[f"{of} labels"]) == [HOSTILE[c] for c in predicted.predicted]


@pytest.mark.long
def test_what_explain_cannot_explain_is_an_error_that_says_what_is_allowed(run, tmp_path):
    folder, _ = exported(run, GREY, tmp_path)
    explain = tf.saved_model.load(str(folder / "1")).signatures["explain"]
    images = tf.constant(other_images((8, 8, 1), 2))
    for classes in ([0, 3], [-2, 0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="predicted class, or 0 to 2"):
            explain(images=images, class_index=tf.constant(classes))
    with pytest.raises(tf.errors.InvalidArgumentError, match="one for each of the images"):
        explain(images=images, class_index=tf.constant([0]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="none are given"):
        explain(images=images[:0], class_index=tf.zeros([0], tf.int32))


@pytest.mark.long
def test_a_model_without_feature_maps_is_explained_as_far_as_it_can_be(run, tmp_path):
    folder, card = exported(run, DENSE, tmp_path)
    explain = tf.saved_model.load(str(folder / "1")).signatures["explain"]
    assert "integrated_gradients" in explain.structured_outputs
    assert "grad_cam" not in explain.structured_outputs
    assert list(card["explanations"]["methods"]) == ["integrated_gradients"]
    assert "needs a layer with outputs" in card["explanations"]["inapplicable"]["grad_cam"]
    assert "needs a layer with outputs" in (folder / "README.md").read_text()


@pytest.mark.long
def test_a_model_in_mixed_precision(run, tmp_path):
    folder, card = exported(run, MIXED, tmp_path, "saved_model", "keras")
    assert [file["tolerance"] for file in card["files"]] == [1e-2, 1e-2]
    served = tf.saved_model.load(str(folder / "1")).signatures["serving_default"]
    images = other_images((8, 8, 1))
    found = served(images=tf.constant(images))["probabilities"].numpy()
    assert found.dtype == np.float32
    wanted = probabilities_of(run.candidate(MIXED).load_model(), images)
    np.testing.assert_allclose(found, wanted, atol=1e-2)


class Wrong(ExportFormat):
    """Takes the classes for one another."""

    name, file, tolerance = "wrong", "wrong.bin", 1e-3

    def write(self, served, path):
        path.write_bytes(b"wrong")

    def outputs(self, path, images):
        return {"probabilities": np.eye(3, dtype=np.float32)[np.zeros(len(images), int)]}


class Right(Wrong):
    """What the model says."""

    name = "right"

    def write(self, served, path):
        path.write_bytes(b"right")
        Right.probabilities = served.probabilities

    def outputs(self, path, images):
        return {"probabilities": Right.probabilities(tf.constant(images)).numpy()}


def test_a_model_whose_layers_have_changed_is_exported_with_a_warning(tmp_path, monkeypatch):
    """In any format, as its layers are those of the code as it is now."""
    changed = OwnCode(problem="mine.py has changed since the search", has_changed=True)
    monkeypatch.setattr(command, "own_code", lambda chosen: changed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(3, "softmax")(Own()(keras.layers.Flatten()(inputs)))
    run = made_run(tmp_path / "run", "grey", {1: keras.Model(inputs, x)})
    said = []
    name = "tests.unit.test_exporting:Right"
    folder, card = exported(run, 1, tmp_path / "out", name, log=said.append)
    warning = f"{changed.problem}: the model may behave differently from when it was trained"
    assert f"candidate-00001: warning: {warning}" in said and f"{warning}." in card["limits"]
    assert warning in (folder / "README.md").read_text()
    assert card["own_code"] == {"copied": "", "needs": [], "not_copied_because": ""}


class Lost(Wrong):
    """Gives no numbers."""

    name = "lost"

    def outputs(self, path, images):
        return {"probabilities": np.full((len(images), 3), np.nan, np.float32)}


class Broken(Wrong):
    """Cannot convert."""

    name = "broken"

    def write(self, served, path):
        path.write_bytes(b"half")
        raise ValueError("no such operation")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Wrong, r"exported as wrong: its probabilities for 16 .*by 0\.\d+; allowed: 1e-03"),
        *left_to_all(
            (Lost, r"exported as lost: .* nan; allowed: 1e-03"),
            (Broken, "exported as broken: ValueError: no such operation"),
        ),
    ],
)
def test_what_says_something_else_is_refused_and_nothing_is_left(run, tmp_path, kind, said):
    formats = ("keras", f"tests.unit.test_exporting:{kind.__name__}")
    with pytest.raises(XnasError, match=said):
        xt.export(run, [GREY], tmp_path, formats)
    assert not list(tmp_path.iterdir())


def test_differences_of_maps_are_shares_of_their_largest_value():
    wanted = np.zeros((2, 2, 2))
    wanted[0, 0, 0] = 8
    values = wanted.copy()
    values[1, 1, 1] = 1
    assert difference(values, wanted) == pytest.approx(1 / 4 / 8)
    assert difference(values[0], wanted[1]) == 8  # of probabilities the largest


def test_formats_that_are_unknown_or_not_installed(monkeypatch):
    with pytest.raises(InputError, match="did you mean 'onnx'"):
        chosen_formats(["onxx"])
    with pytest.raises(InputError, match="is not an xnas_tf.exporting.formats.base.ExportFormat"):
        chosen_formats(["tests.unit.test_exporting:grey"])
    assert [kind.name for kind in chosen_formats(["keras", "keras"])] == ["keras"]
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"onnx: tf2onnx and .* pip install 'xnas-tf\[onnx\]'"):
        chosen_formats(["keras", "onnx"])


def test_nothing_is_exported_over_what_is_there(run, keras_export, tmp_path):
    folder = shutil.copytree(keras_export[0], tmp_path / keras_export[0].name)
    (folder / "card.json").write_text("mine")
    with pytest.raises(InputError, match="nothing was exported"):
        xt.export(run, [DENSE, GREY], tmp_path)
    assert (folder / "card.json").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.long
def test_the_test_part_is_used_once_for_each_model(tmp_path, monkeypatch):
    run = made_run(tmp_path / "run", "grey", {GREY: dense((8, 8, 1)), LOGITS: dense((8, 8, 1))})
    used = []

    class Counted(evidence.Predictor):
        def __call__(self, images):
            used.append(len(images))
            return super().__call__(images)

    monkeypatch.setattr(evidence, "Predictor", Counted)
    first = [exported(run, n, tmp_path / "a", "keras")[1]["test"] for n in (GREY, LOGITS)]
    again = [exported(run, n, tmp_path / "b", "keras")[1]["test"] for n in (GREY, LOGITS)]
    assert first == again and used == [30, 30]
    dense((8, 8, 1)).save(model_path(run.path, GREY))  # another model
    exported(run, GREY, tmp_path / "c", "keras")
    assert used == [30, 30, 30]


def test_a_card_takes_what_the_search_measured_and_names_the_weak_classes(tmp_path):
    run = made_run(tmp_path / "run", "grey", {GREY: dense((8, 8, 1))})
    path, data = run.candidate(GREY).model_path, run.load_dataset()
    labels = np.repeat([0, 1, 2], 10)
    taken = np.where(np.arange(30) < 22, labels, 0)  # two of the last ten are right
    known = metrics_on_test(labels, np.eye(3)[taken], 3)
    tested = {"source": source_of(data.digest, path), "figures": known}
    saved_run(run.path, run.config, **{figures_fact(candidate_name(GREY)): tested})
    told = []
    folder, card = exported(run, GREY, tmp_path / "out", "keras", log=told.append)
    assert not any("measuring the model" in line for line in told)
    weak = f"The model is much worse for {HOSTILE[2]} (2 of 10 correct)."
    assert card["test"] == json.loads(json.dumps(known)) and card["weak_classes"] == weak
    assert card["limits"][0] == f"On the test split: {weak}"
    first, _, rest = (folder / "README.md").read_text().partition("## Intended use")
    assert text(weak) in first and text(weak) in rest.partition("## Limits")[2]


def test_a_run_that_is_being_searched_is_not_written_to(tmp_path):
    run = made_run(tmp_path / "run", "grey", {GREY: dense((8, 8, 1))})
    told = []
    with locked(run.path):
        _, card = exported(run, GREY, tmp_path / "out", "keras", log=told.append)
    assert card["test"]["images"] == 30 and run.fact(f"test figures of {card['name']}") is None
    assert any("could not be saved: another process is searching" in line for line in told)


def test_test_figures_are_right_and_have_wilsons_intervals(run, keras_export):
    _, card = keras_export
    test = load_dataset(**run.config.dataset.model_dump()).test
    model = run.candidate(GREY).load_model()
    right = probabilities_of(model, test.images).argmax(axis=1) == test.labels
    parts = [right, *(right[test.labels == number] for number in range(3))]
    found = [card["test"]["accuracy"], *card["test"]["classes"]]
    assert found == [accuracy_interval(part.sum(), part.size) for part in parts]
    assert card["test"]["images"] == 30 and card["test"]["confidence"] == 0.95
    assert np.trace(card["test"]["confusion"]) == right.sum()


def test_a_card_for_programs(run, tmp_path):
    _, card = exported(run, GREY, tmp_path, "keras", licence="CC-BY-4.0")
    error = card["objectives"]["error"]
    assert error["value"] == 0.1 and error["direction"] == "minimize"
    assert error["meaning"].startswith("Share of misclassified validation images")
    assert card["parameters"] == run.candidate(GREY).load_model().count_params()
    data = card["dataset"]
    assert data["class_names"] == list(HOSTILE) and data["how_split"] == "by class"
    assert data["counts"]["test"] == [10, 10, 10] and data["images"]["train"] == 90
    deletion = card["explanations"]["quality"]["measured"]["deletion"]
    assert deletion["values"] == {"deletion": 0.4, "deletion/standard_error": 0.01}
    assert deletion["direction"] == "minimize"
    maps = card["explanations"]["quality"]["maps"]
    assert set(maps) == {"grad_cam", "integrated_gradients", RANDOM}
    assert all(0 <= value <= 1 for each in maps.values() for value in each.values())
    assert card["licence"] == "CC-BY-4.0" and card["custom_objects"] == []
    assert any("8x8 pixels" in limit for limit in card["limits"])


@pytest.mark.parametrize(
    ("words", "is_said"),
    [
        (["objectives=[error]"], False),
        (["objectives=[error, introspectability]"], True),
        (["objectives=[error]", "record=[introspectability]"], True),
    ],
)
def test_a_card_speaks_of_introspectability_only_if_it_was_measured(words, is_said):
    config = load_config(overrides=words)
    facts = {"class_names": ["a", "b"], "image_shape": [8, 8, 1], "images": {"train": 90}}
    known = SimpleNamespace(facts=facts, run=SimpleNamespace(config=config))
    chosen = SimpleNamespace(candidate=Candidate(1, "a", {}, epochs=1), config=config)
    limits = _limits(known, chosen, weak="")
    assert any(limit.startswith("Introspectability") for limit in limits) is is_said


@pytest.mark.parametrize(
    ("formats", "is_served"), [(["tflite_int8"], False), (["keras", "saved_model"], True)]
)
def test_a_card_names_the_signature_explain_only_if_a_file_has_it(formats, is_served):
    quality = {"maps": {}, "measured": {}, "explained": {}}
    known = {"methods": {"grad_cam": {"output": "logits"}}, "inapplicable": {}, "quality": quality}
    card = {"explanations": known, "files": [{"format": name} for name in formats]}
    written = explanations_text({**card, "verified_on": ""})
    assert ("in the signature `explain`" in written) is is_served
    assert ("not in these files; the format `saved_model`" in written) is not is_served


@pytest.mark.parametrize(("sign", "is_better"), [(1, True), (-1, False)])
def test_a_card_says_which_maps_are_no_better_than_random_ones(sign, is_better):
    """Only the left half of an image counts for its class; the maps mark it, or the right half."""
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    left = np.tile(np.arange(6) < 3, 6).astype(float)
    model.layers[-1].set_weights([np.stack([left, -left], axis=1), np.zeros(2)])
    images = np.random.default_rng(0).integers(100, 256, (8, 6, 6, 1), dtype=np.uint8)
    maps = np.tile(sign * left.reshape(6, 6), (8, 1, 1)) + 2
    method = SimpleNamespace(name="mine")
    expected = SimpleNamespace(images=images, outputs={"mine": maps}, methods=[method])
    found = map_quality(model, expected)
    assert found["mine"]["better_than_random"] is is_better
    assert ("the maps of `mine` are not clearly better" in _map_quality(found, "8")) != is_better
    noise = map_quality(model, expected, is_noise=True)
    assert "better_than_random" not in noise["mine"]
    assert noise["mine"].items() <= found["mine"].items()
    expected.images, expected.outputs = images[:2], {"mine": maps[:2]}
    few = map_quality(model, expected)
    assert "better_than_random" not in few["mine"] and "not clearly" not in _map_quality(few, "2")


def test_names_in_a_card_for_people_are_only_text(keras_export):
    folder, _ = keras_export
    written = (folder / "README.md").read_text()
    assert "<script" not in written and "[d](" not in written and "not stated" in written
    rows = [line for line in written.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    table = [row for row in cells if len(row) == 6]
    assert [row[0].strip() for row in table[:5]] == ["number", "---", "0", "1", "2"]
    for row, name in zip(table[2:5], HOSTILE, strict=True):
        shown = html.unescape(re.sub(r"\\(.)", r"\1", row[1].strip()))
        assert shown == " ".join(name.split())


def test_text_stays_in_one_line():
    assert text("a\n\n# b") == "a # b" and text("_x_ & <y>") == r"\_x\_ &amp; &lt;y&gt;"
    assert text("|avg_pool~0|$1") == "&#124;avg_pool&#126;0&#124;&#36;1"


@pytest.mark.parametrize("given", ["|avg_pool~0|", "`a`", "a ``b`` c", "a\nb"])
def test_code_is_shown_literally(given):
    markdown = pytest.importorskip("markdown")
    shown = re.fullmatch("<p><code>(.*)</code></p>", markdown.markdown(code(given)))
    assert html.unescape(shown[1]) == " ".join(given.split())


@pytest.mark.long
def test_data_that_is_gone_is_said_and_the_rest_is_exported(run, tmp_path, monkeypatch):
    def gone(**_):
        raise InputError("data set stripes: no such file")

    exported(run, GREY, tmp_path / "before", "keras")
    monkeypatch.setattr(evidence, "load_dataset", gone)
    told = []
    folder, card = exported(run, GREY, tmp_path / "after", "saved_model", log=told.append)
    assert card["test"]["images"] == 30  # kept in the run
    assert "16 images of noise" in card["verified_on"] and "counts" not in card["dataset"]
    maps = card["explanations"]["quality"]["maps"]  # noise cannot tell whether maps are useful
    assert maps and not any("better_than_random" in each for each in maps.values())
    assert any("no such file" in line for line in told)
    assert "no such file" in (folder / "README.md").read_text()


def test_other_data_under_the_same_name_are_not_measured_on(tmp_path, monkeypatch):
    run = made_run(tmp_path / "run", "grey", {DENSE: dense((8, 8, 1))})
    other = load_dataset("tests.unit.test_exporting:grey", seed=1)
    monkeypatch.setattr(evidence, "load_dataset", lambda **_: other)
    folder, card = exported(run, DENSE, tmp_path / "out", "keras")
    assert card["test"] is None and "have changed since the search" in card["dataset"]["problem"]
    assert "Test metrics: unknown" in (folder / "README.md").read_text()


@pytest.mark.parametrize("activation", ["sigmoid", *left_to_all(None)])
def test_one_output_is_exported_as_two_classes(tmp_path, activation):
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(3, 3, activation="relu")(inputs)
    x = keras.layers.Dense(1, activation)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    run = made_run(tmp_path / "run", "two", {1: model})
    folder, card = exported(run, 1, tmp_path / "out", "saved_model", "keras")
    images = other_images((8, 8, 1))
    outputs = np.asarray(model(images / np.float32(255)))[:, 0]
    second = outputs if activation else 1 / (1 + np.exp(-outputs))
    served = tf.saved_model.load(str(folder / "1")).signatures["explain"]
    answers = served(images=tf.constant(images), class_index=tf.fill([len(images)], 0))
    wanted = np.stack([1 - second, second], axis=1)
    np.testing.assert_allclose(answers["probabilities"], wanted, atol=1e-5)
    names = np.where(second > 0.5, b"yes", b"no")
    np.testing.assert_array_equal(answers["labels"].numpy().astype(bytes), names)
    assert set(answers["explained"].numpy()) == {b"no"}
    what = "probability" if activation else "logit"
    assert f"the {what} (batch, 1) of class 'yes', against 'no'" in card["keras_output"]
    assert f"`keras`, which returns the {what} (batch, 1)" in (folder / "README.md").read_text()


def test_a_latency_that_cannot_be_measured_loses_no_export(tmp_path):
    def fails(path, options):
        raise RuntimeError("no interpreter")

    kind, notes = SimpleNamespace(name="mine", latency=fails), []
    assert command._timed(kind, tmp_path, None, notes.append) == {}
    assert "the latency of mine could not be measured: RuntimeError: no interpreter" in notes[0]
