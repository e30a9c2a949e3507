"""``xt.Tuner``: keras-tuner's way to a search."""

import functools
import html
import subprocess
import sys
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import xnas_tf as xt
from examples.small_convnet import SmallConvNet
from tests.conftest import left_to_all
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.data.value_scaling import as_bytes
from xnas_tf.errors import InputError
from xnas_tf.execution.session import _notes
from xnas_tf.keras_tools.inspection import network_of
from xnas_tf.registry import find_object
from xnas_tf.spaces.building import code_of
from xnas_tf.spaces.options import HyperModelOptions
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import DATABASE
from xnas_tf.tuner import tuner as tuner_module
from xnas_tf.tuner.arguments import OF_TUNERS
from xnas_tf.tuner.arrays import checked_arrays, stored
from xnas_tf.tuner.rebuilding import rebuilt_model
from xnas_tf.tuner.translation import space_section, translated

DIGITS = load_digits()
X, Y = DIGITS.images[:200] / 16, DIGITS.target[:200]
SIZES = {"epochs": 1, "batch_size": 32}


class Dense(keras_tuner.HyperModel):
    """A user's own; it can be made in one way only."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(hp.Int("filters", 2, 9), 3, activation="relu")(inputs)
        x = keras.layers.Flatten()(x)
        if hp.Boolean("hidden"):
            with hp.conditional_scope("hidden", [True]):
                x = keras.layers.Dense(hp.Choice("units", self.units))(x)
        x = keras.layers.Dense(10, activation="softmax")(x)
        model = keras.Model(inputs, x)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def tuner(folder, **options):
    given = {"objective": ["val_accuracy", "parameters"], "max_trials": 3, **options}
    return xt.Tuner(Dense([4, 8]), directory=folder, project_name="digits", **given)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuner")
    mine = tuner(folder)
    return mine, mine.search(X, Y, **SIZES), folder


def test_a_search_as_keras_tuner_has_it(searched, capsys):
    mine, run, folder = searched
    assert run.path == folder / "digits" and [o.name for o in run.config.objectives] == [
        "error",
        "parameters",
    ]
    assert [c.id for c in mine.pareto()] == [c.id for c in run.pareto()]
    first = run.best or run.pareto()[0]  # so few images may show nothing above chance
    best, *others = mine.get_best_hyperparameters(3)
    assert best.values == first.hyperparameters and len(others) == 2
    assert Dense([4, 8]).build(best).layers[1].filters == best.get("filters")
    (model,) = mine.get_best_models()
    expected = first.load_model()
    images = X[:5, :, :, None].astype(np.float32)
    np.testing.assert_array_equal(model(images), expected(images))
    mine.results_summary()
    mine.search_space_summary()
    printed = capsys.readouterr().out
    assert "error" in printed and f"{first.id}*" in printed
    assert f"recommended: {run.recommendation().text}\n" in printed
    assert "units: 4, 8  (where hidden is True)" in printed


def test_the_same_search_again_trains_nothing_and_another_is_refused(searched, capsys):
    mine, run, folder = searched
    before = run.candidates()
    assert tuner(folder).search(X, Y, **SIZES).candidates() == before
    assert "3 candidates to train in all, 3 of them done" in capsys.readouterr().err
    assert repr(mine) == f"Tuner(run={run.path}, objectives=error, parameters, max_trials=3)"
    assert run.class_names == list("0123456789") == list(run.load_dataset().class_names)
    assert run.value_range == (0, 1)
    assert run.fact("norm_momentum") == 0  # it has no batch normalisation
    assert run.fact("own_optimizer") and xt.load_run(mine).path == run.path
    names = {path.name for path in folder.iterdir()}
    with pytest.raises(InputError, match="run with another configuration(.|\n)*`project_name`"):
        tuner(folder).search(X, Y, epochs=2, batch_size=32)
    with pytest.raises(InputError, match="run with another configuration"):
        tuner(folder).search(1 - X, Y, **SIZES)
    assert run.candidates() == before and {path.name for path in folder.iterdir()} == names


def test_a_notebook_shows_the_results_as_one_table(searched, monkeypatch):
    shown = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    searched[0].results_summary()
    (output,) = shown
    assert output.data.count("<table>") == 1 and output.data.count("<tr>") == 4
    assert html.escape(f"recommended: {searched[1].recommendation().text}") in output.data


def test_a_promoted_candidate_is_listed_once_and_before_those_trained_for_less():
    limit = "constraints={parameters: '<= 9'}"
    config = load_config(overrides=["objectives=[error, parameters]", limit])
    rows = [(1, 3, 0.1, 0), (2, 3, 0.2, 0), (3, 3, 0.3, 0), (4, 9, 0.5, 1), (5, 9, 0.4, 3)]
    rows += [(6, 9, 0.3, 0)]
    candidates = [
        Candidate(
            *(number, "", {}),
            epochs=epochs,
            state="done",
            promoted_from=lower,
            objectives={"error": error, "parameters": 10 if number == 6 else 5},
        )
        for number, epochs, error, lower in rows
    ]
    run = SimpleNamespace(
        config=config,
        candidates=lambda: candidates,
        pareto=lambda: candidates[4:5],
        recommendation=lambda: SimpleNamespace(id=5),
    )
    assert [candidate.id for candidate in xt.Tuner._ordered(run)] == [5, 4, 2, 6]


@pytest.mark.long
def test_a_run_of_an_object_can_be_read_elsewhere_and_says_what_it_lacks(searched):
    _, run, folder = searched
    code = f"""
import xnas_tf as xt
run = xt.load_run({str(run.path)!r})
print(run.config.space.hypermodel, run.candidate(run.pareto()[0].id).load_model().output_shape)
try:
    run.config.space.create((8, 8, 1), 10)
except xt.InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert "object:tests.unit.test_tuner.Dense(units=[4, 8]) (None, 10)" in done.stdout
    assert "run the same script again" in done.stdout


@pytest.mark.long
def test_overwrite_moves_the_old_run_aside(searched, tmp_path):
    options = {"max_trials": 1, "objective": ["error"]}
    first = tuner(tmp_path, **options).search(X, Y, **SIZES)
    mine = tuner(tmp_path, overwrite=True, seed=1, **options)
    again = mine.search(X, Y, **SIZES)
    assert again.path == first.path and again.config.search.seed == 1
    assert xt.load_run(tmp_path / "digits.1").config.search.seed == 0
    assert [*mine.search(X, Y, **SIZES)] == [*again]  # finished
    with pytest.raises(InputError, match="epochs: 1 -> 2(.|\n)*`overwrite` in a new Tuner"):
        mine.search(X, Y, **{**SIZES, "epochs": 2})
    assert not (tmp_path / "digits.2").exists()


def test_only_the_first_search_that_begins_overwrites(tmp_path, monkeypatch):
    asked = []

    def search(config, run_dir, fresh, **_):
        asked.append(fresh)
        if len(asked) == 1:
            raise InputError("refused before the run was touched")
        if fresh:
            run_dir.rename(run_dir.with_name("digits.1"))
            run_dir.mkdir()
            raise KeyboardInterrupt

    monkeypatch.setattr(tuner_module, "search", search)
    (tmp_path / "digits").mkdir()
    mine = tuner(tmp_path, overwrite=True)
    for error in (InputError, KeyboardInterrupt):
        with pytest.raises(error):
            mine.search(X, Y, **SIZES)
    mine.search(X, Y, **SIZES)
    assert asked == [True, True, False]


def unbuilt(hp):
    layers = [keras.layers.Flatten(), keras.layers.Dense(hp.Int("units", 2, 9), "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(4, activation="softmax")])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def real_valued(hp):
    layers = [keras.layers.Flatten(), keras.layers.Dropout(hp.Float("rate", 0.1, 0.5))]
    return keras.Sequential([*layers, keras.layers.Dense(4, activation="softmax")])


@pytest.mark.parametrize(
    ("hypermodel", "shown"),
    [
        (real_valued, "unbounded (real-valued hyperparameters)\n"),
        *left_to_all(
            (Dense([4, 8]), "images of 8x8x1 and 10 classes"),
            (unbuilt, "images of 32x32x3 and 4 classes"),
            (SmallConvNet, "images of 32x32x3 and 10 classes"),
            ("vgg_like", "images of 32x32x3 and 10 classes"),
        ),
    ],
)
def test_the_search_space_is_shown_before_any_data(hypermodel, shown, tmp_path, capsys):
    mine = xt.Tuner(hypermodel, directory=tmp_path)
    mine.search_space_summary()
    assert shown in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_best_models_can_be_evaluated(searched):
    mine, run, _ = searched
    (model,) = mine.get_best_models()
    best = run.best or run.pareto()[0]
    data = run.load_dataset()
    images = data.validation.images.astype(np.float32) / 255
    loss, accuracy = model.evaluate(images, data.validation.labels, verbose=0)
    assert accuracy == pytest.approx(best.metrics["val_accuracy"])
    assert loss == pytest.approx(best.metrics["val_loss"], rel=1e-4)
    assert mine.hypermodel.build(mine.get_best_hyperparameters()[0]).count_params()
    database = Database(run.path / DATABASE, create=True)
    code = database.fact("code")
    assert __name__ in code
    database.set_fact("code", {**code, __name__: "other"})
    with pytest.raises(InputError, match=r"has changed since the search: .*test_tuner\.py\. Cand"):
        mine.get_best_models()
    database.set_fact("code", code)
    database.close()


class Distilled(keras.Model):
    """Has its own training, for which it keeps another network."""

    def train_step(self, data):
        return super().train_step((data[0], self.teacher(data[0])))


class Student(keras_tuner.HyperModel):
    def build(self, hp):
        keras.config.set_dtype_policy("mixed_bfloat16")
        inputs = keras.Input((8, 8, 1))
        head = keras.layers.Dense(hp.Int("units", 3, 5), name="all scores")
        outputs = head(keras.layers.Flatten()(inputs))
        model = Distilled(inputs, outputs)
        model.teacher = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        model.teacher.add(keras.layers.Dense(3, trainable=False))
        return model


def test_a_model_is_built_again_with_its_schedule_and_its_own_training():
    hp, policy = keras_tuner.HyperParameters(), keras.config.dtype_policy()
    saved = network_of(Student().build(hp))
    keras.config.set_dtype_policy(policy)
    candidate = SimpleNamespace(
        id=1, epochs=3, hyperparameters=hp.values, load_model=lambda _: saved
    )
    config = load_config(overrides=["training={epochs: 9, batch_size: 32, optimizer: adam}"])
    facts = {"code": {}, "dataset": {"images": {"train": 200}}}
    run = SimpleNamespace(config=config, fact=facts.get)
    model = rebuilt_model(candidate, run, Student(), (8, 8, 1), safe=True)
    for ours, theirs in zip(network_of(model).get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["decay_steps"] == 3 * 6 and isinstance(model, Distilled)
    assert keras.config.dtype_policy() == policy
    assert network_of(model).layers[-1].name == "all_scores"  # which TensorFlow accepts in a graph


def test_values_of_any_range_are_prepared_for_the_models(tmp_path, monkeypatch):
    """Standardised digits, which a model that expects 0 to 1 would get wrong without a word."""
    x = ((DIGITS.images[:200] - 4.9) / 6).astype(np.float32)
    mine = tuner(tmp_path, max_trials=1)
    run = mine.search(x, Y, **SIZES)
    assert run.value_range == (x.min(), x.max())
    with pytest.warns(
        UserWarning,
        match=r"of shape \(N, 8, 8, 1\).* had -0.816667 to 1.85: .*tuner.run.prepare\(x\)",
    ):
        (model,) = mine.get_best_models()
    prepared = mine.run.prepare(x)
    np.testing.assert_array_equal(prepared, as_bytes(x[..., None])[0] / np.float32(255))
    best, methods = run[1], ["gradient_input"]
    own = xt.explain(best, x[:3], methods)
    for images in (prepared[:3], run.stored_images(x[:3])):
        found = xt.explain(best, images, methods)
        np.testing.assert_allclose(found.probabilities, own.probabilities, rtol=1e-5)
    np.testing.assert_allclose(own.probabilities, model.predict(prepared[:3]), rtol=1e-4)
    with pytest.raises(InputError, match="but the model expects 0-1 .*`run.prepare"):
        xt.explain(model, x[:3], methods)
    with pytest.raises(InputError, match=r"`images` have shape \(7, 8, 1\) each; those of"):
        run.prepare(x[:, :7])
    with pytest.raises(InputError, match=r"`images` have shape \(8, 8\), .* pass x\[None\] for"):
        run.prepare(x[0])
    np.testing.assert_array_equal(run.prepare(x[0][None]), prepared[:1])
    monkeypatch.setattr(type(run), "value_range", (0.0, 256.0))
    with pytest.raises(InputError, match="uint8 may be values of 0 to 256 or stored images"):
        xt.explain(best, run.load_dataset().test.images[:3], methods)
    assert len(xt.explain(best, methods=methods).images) == 8  # of the test split: stored ones


def build(hp):
    return Dense([4]).build(hp)


def test_what_can_be_imported_is_named():
    named = f"{__name__}:build"
    assert space_section(build) == {"hypermodel": named} == space_section(named)
    assert space_section(SmallConvNet) == {"hypermodel": "examples.small_convnet:SmallConvNet"}
    assert space_section("vgg_like") == {"name": "vgg_like"}
    assert space_section(lambda hp: build(hp))["hypermodel"].startswith("object:")


def test_objects_with_other_values_are_other_hypermodels():
    """Otherwise, their searches would be mixed, in one run or when a model is built again."""

    class Other(Dense):
        """Another HyperModel."""

    def builder(units, secret="hidden"):
        return lambda hp: Dense([units, secret]).build(hp)

    objects = [Dense([4]), Dense([8]), builder(4), builder(8), Dense([4]).build, Dense([8]).build]
    objects += [
        Dense([np.int64(16)]),
        Dense([np.int64(32)]),
        Dense(np.array([4, 8])),
        Dense(np.array([4, 9])),
        functools.partial(build, 4),
        functools.partial(build, units=8),
    ]
    objects += [Other([4]).build, Dense(keras.activations.relu), Dense(keras.activations.tanh)]
    names = [space_section(each)["hypermodel"] for each in objects]
    assert len(set(names)) == len(objects) and not any("hidden" in name for name in names)
    assert [space_section(each)["hypermodel"] for each in objects] == names
    options = [HyperModelOptions(hypermodel=name) for name in names]
    assert [find_object(name, "") for name in names] == objects
    objects[0].units.append(5)  # as by its build(), during a search
    assert space_section(objects[0])["hypermodel"] == names[0]
    assert {each.hypermodel_module for each in options[:6]} == {__name__}
    assert (
        space_section(Dense([4]))["hypermodel"] == names[0] == f"object:{__name__}.Dense(units=[4])"
    )


def test_the_code_of_a_method_and_of_what_can_be_called_is_that_of_its_class():
    class Called:
        def __call__(self, hp):
            """Build nothing."""

    for given, kind in ((Dense([4]).build, Dense), (Called(), Called)):
        name = space_section(given)["hypermodel"]
        assert kind in code_of(HyperModelOptions(hypermodel=name).create((8, 8, 1), 10))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("error", "error"),
        ("val_accuracy", "error"),
        (keras_tuner.Objective("val_accuracy", "max"), "error"),
        ("val_loss", {"name": "metric:loss", "direction": "minimize"}),
        ("val_auc", {"name": "metric:auc", "direction": "maximize"}),
        ("val_mse", {"name": "metric:mse", "direction": "minimize"}),
        (
            keras_tuner.Objective("val_top3", "max"),
            {"name": "metric:top3", "direction": "maximize"},
        ),
        ({"name": "latency", "batch_size": 2}, {"name": "latency", "batch_size": 2}),
    ],
)
def test_objectives_are_translated(given, expected):
    assert translated(given) == expected
    load_config(overrides=[f"objectives=[{expected!r}]"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("accuracy", "did you mean 'val_accuracy'"),
        ("val_acuracy", "`objective`: 'val_acuracy' .did you mean 'val_accuracy'"),
        (keras_tuner.Objective("loss", "min"), "did you mean 'val_loss'"),
        ("val_top3", "keras_tuner.Objective"),
    ],
)
def test_objectives_without_a_meaning_are_named(given, message):
    with pytest.raises(InputError, match=message):
        xt.Tuner(build, objective=given)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"search": {"candidates": 5}}, "search.candidates is set by the argument `max_trials`"),
        ({"space": "vgg_like"}, "space is set by the argument `hypermodel`"),
        ({"dataset": {"name": "digits"}}, "dataset.name is set by the argument `x`"),
        ({"training": "adam"}, "`config`: training is 'adam'; allowed: a mapping"),
    ],
)
def test_sections_that_an_argument_gives_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        xt.Tuner(build, config=config)
    more = xt.Tuner(build, config={"search": {"algorithm": "random"}, "training": None})
    assert more._config["search"] == {"algorithm": "random", "candidates": 16, "seed": 0}


def test_arrays_of_every_usual_form_are_the_same_data():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2])
    images[0, 0, 0] = [0, 255, 9]
    for x in (images, images / 255, images.astype(np.float32), [*images]):
        for y in (labels, labels[:, None], np.eye(3)[labels], [*labels]):
            found = checked_arrays("x", "y", x, y)
            np.testing.assert_array_equal(as_bytes(found[0])[0], images)
            np.testing.assert_array_equal(found[1], labels)


def test_given_parts_are_kept(tmp_path):
    validation, test = (X[:50] / 2, Y[:50]), (X[50:70], Y[50:70])
    name = stored(tmp_path / "run", (X, Y), validation, test, class_names="abcdefghij").name
    data = load_dataset(name)
    assert [len(part) for part in data.parts.values()] == [200, 50, 20]
    np.testing.assert_array_equal(data.validation.labels, Y[:50])
    assert data.class_names == tuple("abcdefghij")
    assert name == stored(tmp_path / "run", (X, Y), validation, test, "abcdefghij").name
    assert name != stored(tmp_path / "run", (X, Y), validation, test).name


def test_data_sets_whose_labels_mean_other_classes_are_refused(tmp_path):
    whole, part = as_dataset(X, Y % 3), as_dataset(X[:50], Y[:50] % 2)
    whole.class_names, part.class_names = ["ant", "bee", "cat"], ["ant", "cat"]
    message = "^`validation_data` has the classes ant, cat, but those of `x` are ant, bee, cat"
    with pytest.raises(InputError, match=message):
        stored(tmp_path / "run", (whole, None), part)
    with pytest.raises(InputError, match="^`test_data` has the classes"):
        stored(tmp_path / "run", (whole, None), test=part)
    part.class_names = ["ant", "bee"]
    data = load_dataset(stored(tmp_path / "run", (whole, None), part).name)
    assert data.class_names == ("ant", "bee", "cat") and set(data.validation.labels) == {0, 1}


@pytest.mark.parametrize("kind", [">u2", "<i2"])
def test_the_same_bytes_of_another_type_are_other_data(kind, tmp_path):
    raw = np.random.default_rng(0).integers(0, 2**16, (200, 8, 8)).astype("<u2")
    stored(tmp_path / "run", (raw, Y))
    again = load_dataset(stored(tmp_path / "run", (raw.view(kind), Y)).name)
    wanted = raw.view(kind).astype(float)
    assert (again.scaling.low, again.scaling.high) == (wanted.min(), wanted.max())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": X, "y": None}, "`y` of type NoneType"),
        ({"x": object(), "y": Y}, "`x` is of type object"),
        ({"x": X, "y": np.ones((200, 3))}, "not one-hot"),
        ({"x": X * np.nan, "y": Y}, "NaN or infinite values in .* images, first in image 0"),
        ({"x": X, "y": Y, "validation_data": (X / 255, Y)}, "of validation from 0 to 0.0039"),
        (
            {"x": X, "y": Y, "validation_data": X},
            r"^`validation_data` is of type ndarray; allowed: \(images, l",
        ),
        (
            {"x": X, "y": Y, "validation_data": (X[:, :4], Y)},
            "^`validation_data`: .* those of `x` are",
        ),
        ({"x": "folder:pets", "y": Y}, "leave out `y`"),
        ({"x": "folder:pets", "class_names": ["cat", "dog"]}, "leave out .* and `class_names`"),
        ({"x": X, "y": Y, "epochs": 0}, "xt.Tuner: `epochs`: given 0"),
        ({"x": X[:, :4], "y": Y, **SIZES}, r"takes \(None, 8, 8, 1\), but the images are"),
    ],
)
def test_what_is_wrong_with_the_data_is_named(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        tuner(tmp_path).search(**given)
    assert not list(tmp_path.iterdir())  # also no copy of the data


def test_parts_in_a_file_must_be_parts(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, parts=np.array(["trian"] * 200))
    with pytest.raises(InputError, match="unknown split 'trian' .did you mean 'train'"):
        load_dataset(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4, int), "5 images but labels of shape"),
        (np.zeros(5), "all images are of one class"),
        ([0, 1, 0.5, 1, 0], "label 0.5 of image 2 is not a whole number"),
        (["a", "b", None, "b", "a"], "label None of image 2 is a NoneType, but the first is a str"),
        ([0, 1, -1, 1, 0], "label -1 is out of range"),
        (np.eye(5) * 0.9 + 0.02, "not one-hot"),
    ],
)
def test_labels_that_do_not_fit_are_named_before_anything_is_written(labels, message, tmp_path):
    images = np.zeros((5, 8, 8, 1), np.uint8)
    with pytest.raises(InputError, match=f"^`y`: .*{message}"):
        stored(tmp_path / "run", (images, labels))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind",
    [str, float, lambda y: y + 1, lambda y: [f"class {n}" for n in y], lambda y: np.eye(12)[y]],
)
def test_labels_of_other_kinds_are_mapped_and_said(kind, tmp_path):
    labels = np.vectorize(kind)(Y) if isinstance(kind, type) else kind(Y)
    found = stored(tmp_path / "run", (X, labels), (X[:50], labels[:50]))
    data = load_dataset(found.name)
    usual = load_dataset(stored(tmp_path / "run", (X, Y), (X[:50], Y[:50])).name)
    for part, wanted in usual.parts.items():
        np.testing.assert_array_equal(data.parts[part].labels, wanted.labels)
    assert len(data.notes) == len(usual.notes) + 1
    given = np.argmax(labels, axis=1) if np.ndim(labels) == 2 else np.asarray(labels)
    weights = found.weights({given[0]: 3.0, given[2].item(): 2})
    assert weights == {data.class_names[Y[0]]: 3, data.class_names[Y[2]]: 2}


def as_dataset(*arrays, batch=0):
    dataset = tf.data.Dataset.from_tensor_slices(arrays)
    return dataset.batch(batch) if batch else dataset


MODEL = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
TEXTS = np.array([f"class {n}" for n in Y])


@pytest.mark.parametrize("batch", [0, 32])
@pytest.mark.parametrize("labels", [Y, np.eye(10)[Y], TEXTS], ids=["numbers", "one-hot", "texts"])
def test_datasets_of_tensorflow_are_their_arrays(labels, batch, tmp_path):
    part = as_dataset(X[:50, :, :, None], labels[:50])
    whole = tf.data.Dataset.from_tensor_slices((X[..., None], labels)).shuffle(200, seed=1)
    given = stored(tmp_path / "run", (whole.batch(batch) if batch else whole, None), part)
    again = stored(tmp_path / "run", (as_dataset(X[::-1, ..., None], labels[::-1]), None), part)
    assert given.name == again.name  # in any order, they are the same data
    found = load_dataset(given.name)
    seen = {image.tobytes(): label for image, label in zip(X, Y, strict=True)}
    for split in (found.train, found.validation, found.test):
        images = split.images.astype(float)[..., 0] / 255
        nearest = np.abs(images[:, None] - X).sum(axis=(2, 3)).argmin(axis=1)
        np.testing.assert_array_equal([seen[X[row].tobytes()] for row in nearest], split.labels)
    space = SimpleNamespace(notes=[], compiles_default=True, name="mine", has_fit=False)
    noted = [*_notes(SimpleNamespace(dataset=found, space=space, config=load_config()))]
    assert any(note.startswith("warning: data set npz:") for note in noted)
    assert any("identical, but in several splits" in note for note in noted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": as_dataset(X, Y), "y": Y}, "`y`: leave it out, because the tf.data.Dataset `x`"),
        ({"x": as_dataset(X, Y).repeat()}, "`x` is infinite"),
        ({"x": as_dataset(X, Y).take(0)}, "`x` is empty"),
        ({"x": as_dataset(X, Y, Y)}, r"`x` has elements .*; allowed: pairs \(image, label\)"),
        ({"x": as_dataset(X, Y).batch(8, drop_remainder=True)}, "an image and a label or batches"),
        ({"x": X, "y": Y, "validation_data": as_dataset(X)}, "`validation_data` has elements"),
        ({"x": X, "y": Y, "class_weight": [1] * 10}, "`class_weight` is of type list"),
        ({"x": X, "y": Y, "class_weight": {10: 1}}, "`class_weight`: no image has the label 10"),
        ({"x": X, "y": Y, "class_weight": {1: -1}}, "`class_weight`.1: given -1"),
        ({"x": X, "y": Y, "callbacks": ["stop"]}, "`callbacks`: one is of type str"),
        ({"x": X, "y": Y, "shuffle": False}, "`shuffle`: .* write HyperModel.fit"),
        ({"x": X, "y": Y, "sample_weight": np.ones(200)}, "`sample_weight`: given a value of type"),
        ({"x": X, "y": Y, "verbose": [1]}, r"`verbose`: given \[1\]; allowed: 'auto', 0, 1 or 2"),
        ({"x": X, "y": Y, "validation_split": 0}, "`validation_split`: given 0"),
        ({"x": X, "y": Y, "epochs": "4"}, "`epochs` is of type str"),
        ({"x": X, "y": Y, "epoch": 3}, "`epoch`: there is no argument .*did you mean 'epochs'"),
    ],
)
def test_what_is_wrong_with_datasets_and_arguments_of_fit_is_named(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        tuner(tmp_path).search(**given)
    assert not list(tmp_path.iterdir())  # also no copy of the data


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executions_per_trial": 2}, "`executions_per_trial`: given 2, .*xt.retrain"),
        ({"hyperparameters": keras_tuner.HyperParameters()}, "`hyperparameters`: .*build.hp"),
        ({"max_model_size": 9}, "constraints"),
        ({"max_trial": 9}, "`max_trial`: there is no argument .*did you mean 'max_trials'"),
        ({"max_trials": 0}, "`max_trials`: given 0"),
        ({"seed": "a"}, "`seed` is of type str"),
        ({"seed": -1}, "`seed` is -1; allowed: a whole number from 0"),
        ({"max_trials": "4"}, "`max_trials` is of type str; allowed: a whole number"),
        ({"max_trials": 4, "hypermodel": MODEL}, "`hypermodel` is a Keras model, Sequential"),
        ({"hypermodel": keras.Sequential}, "allowed: a HyperModel, or a function"),
        ({"objective": 3}, "`objective`.0: given 3; allowed: a name"),
        ({"objective": "eror"}, "`objective`.0: .*did you mean 'error'"),
        ({"objective": []}, "`objective`: "),
        ({"directory": 3}, "`directory` is of type int"),
        ({"config": 3}, "`config` is of type int"),
    ],
)
def test_arguments_of_keras_tuner_without_a_meaning_are_named(given, message):
    with pytest.raises(InputError, match=message):
        xt.Tuner(**{"hypermodel": build, **given})


def test_arguments_whose_value_changes_nothing_are_accepted():
    neutral = {name: value for name, (value, _) in OF_TUNERS.items()}
    assert xt.Tuner(build, "val_accuracy", 3, seed=None, directory=None, **neutral).run_dir


def test_defaults_of_fit_are_accepted(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(tuner_module, "search", lambda config, *_, **more: found.append(config))
    defaults = {"callbacks": None, "class_weight": None, "sample_weight": None, "shuffle": True}
    both = {"validation_data": (X, Y), "validation_split": 0.0}
    tuner(tmp_path).search(X, Y, batch_size=None, verbose="auto", **both, **defaults)
    assert found[0].training.callbacks == []


def test_a_method_that_is_never_called_is_named():
    class Mine(xt.Tuner):
        def run_trial(self, trial, *args, **kwargs):
            return 1.0

    with pytest.raises(InputError, match=r"Mine.run_trial\(\) would never be called"):
        Mine(build)
    with pytest.raises(InputError, match="`hypermodel` is of type int; allowed: a HyperModel"):
        xt.Tuner(3)
