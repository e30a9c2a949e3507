"""``xt.Tuner``: keras-tuner's way to a search."""

import subprocess
import sys

import keras
import keras_tuner
import numpy as np
import pytest
from sklearn.datasets import load_digits

import xnas_tf as xt
from examples.small_convnet import SmallConvNet
from xnas_tf.config import load_config
from xnas_tf.data import load_dataset
from xnas_tf.data.value_scaling import as_bytes
from xnas_tf.errors import InputError
from xnas_tf.storage.run_directory import locked_run_directory
from xnas_tf.tuner.arrays import checked_arrays, stored
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
    given = {"objectives": ["val_accuracy", "parameters"], "max_trials": 3, **options}
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


def test_the_same_search_again_trains_nothing_and_another_is_refused(searched):
    mine, run, folder = searched
    before = run.candidates()
    assert tuner(folder).search(X, Y, **SIZES).candidates() == before
    with pytest.raises(InputError, match="run with another configuration"):
        tuner(folder).search(X, Y, epochs=2, batch_size=32)
    with pytest.raises(InputError, match="run with another configuration"):
        tuner(folder).search(1 - X, Y, **SIZES)
    assert run.candidates() == before


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
    assert "object:tests.unit.test_tuner.Dense (None, 10)" in done.stdout
    assert "run the same script again" in done.stdout


@pytest.mark.long
def test_overwrite_moves_the_old_run_aside(searched, tmp_path):
    options = {"max_trials": 1, "objectives": ["error"]}
    first = tuner(tmp_path, **options).search(X, Y, **SIZES)
    again = tuner(tmp_path, overwrite=True, seed=1, **options).search(X, Y, **SIZES)
    assert again.path == first.path and again.config.search.seed == 1
    assert xt.load_run(tmp_path / "digits.1").config.search.seed == 0


def test_a_run_without_facts_of_its_data_has_no_space_to_describe(tmp_path):
    mine = tuner(tmp_path)
    with locked_run_directory(mine.run_dir, load_config(), fresh=False):
        pass
    with pytest.raises(InputError, match="does not say what its images are: search first"):
        mine.search_space_summary()


def build(hp):
    return Dense([4]).build(hp)


def test_what_can_be_imported_is_named():
    named = f"{__name__}:build"
    assert space_section(build) == {"hypermodel": named} == space_section(named)
    assert space_section(SmallConvNet) == {"hypermodel": "examples.small_convnet:SmallConvNet"}
    assert space_section("vgg_like") == {"name": "vgg_like"}
    assert space_section(lambda hp: build(hp))["hypermodel"].startswith("object:")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("error", "error"),
        ("val_accuracy", "error"),
        (keras_tuner.Objective("val_accuracy", "max"), "error"),
        ("val_loss", {"name": "metric:loss", "direction": "minimize"}),
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
        ("val_acuracy", "did you mean 'val_accuracy'"),
        (keras_tuner.Objective("loss", "min"), "did you mean 'val_loss'"),
        ("val_top3", "keras_tuner.Objective"),
    ],
)
def test_objectives_without_a_meaning_are_named(given, message):
    with pytest.raises(InputError, match=message):
        xt.Tuner(build, objectives=given)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"search": {"candidates": 5}}, "search.candidates is set by the argument max_trials"),
        ({"space": "vgg_like"}, "space is set by the argument hypermodel"),
        ({"dataset": {"name": "digits"}}, "dataset.name is set by the argument x"),
        ({"training": "adam"}, "training is 'adam'; allowed: a mapping"),
    ],
)
def test_sections_that_an_argument_gives_are_refused(config, message):
    with pytest.raises(InputError, match=message):
        xt.Tuner(build, config=config)
    more = xt.Tuner(build, config={"search": {"algorithm": "random"}, "training": None})
    assert more.max_trials == 16


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
    name = stored(tmp_path / "run", (X, Y), validation, test, class_names="abcdefghij")
    data = load_dataset(name)
    assert [len(part) for part in data.parts.values()] == [200, 50, 20]
    np.testing.assert_array_equal(data.validation.labels, Y[:50])
    assert data.class_names == tuple("abcdefghij")
    assert name == stored(tmp_path / "run", (X, Y), validation, test, class_names="abcdefghij")
    assert name != stored(tmp_path / "run", (X, Y), validation, test)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": X, "y": None}, "y a NoneType"),
        ({"x": object(), "y": Y}, "x is a object"),
        ({"x": X, "y": np.ones((200, 3))}, "not one-hot"),
        ({"x": X * np.nan, "y": Y}, "NaN or infinite values in .* images, the first is number 0"),
        ({"x": X, "y": Y, "validation_data": (X / 255, Y)}, "of validation from 0 to 0.0039"),
        ({"x": X, "y": Y, "validation_data": X}, r"allowed: \(images, labels\)"),
        ({"x": X, "y": Y, "validation_data": (X[:, :4], Y)}, "those of x are"),
        ({"x": "folder:pets", "y": Y}, "leave y out"),
        ({"x": X, "y": Y, "epochs": 0}, "xt.Tuner: training.epochs: given 0"),
        ({"x": X[:, :4], "y": Y, **SIZES}, r"takes \(None, 8, 8, 1\), but the images are"),
    ],
)
def test_what_is_wrong_with_the_data_is_named(given, message, tmp_path):
    with pytest.raises(InputError, match=message):
        tuner(tmp_path).search(**given)


def test_parts_in_a_file_must_be_parts(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, parts=np.array(["trian"] * 200))
    with pytest.raises(InputError, match="unknown split 'trian' .did you mean 'train'"):
        load_dataset(f"npz:{tmp_path / 'a.npz'}")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(4, int), "5 images but labels of shape"),
        (np.zeros(5), "all images are of one class"),
        ([0, 1, 0.5, 1, 0], "label 0.5 of image 2 is no whole number"),
        (["a", "b", None, "b", "a"], "label None of image 2 is a NoneType, the first is a str"),
        ([0, 1, -1, 1, 0], "label -1 is out of range"),
        (np.eye(5) * 0.9 + 0.02, "not one-hot"),
    ],
)
def test_labels_that_do_not_fit_are_named_before_anything_is_written(labels, message, tmp_path):
    images = np.zeros((5, 8, 8, 1), np.uint8)
    with pytest.raises(InputError, match=f"^y: .*{message}"):
        stored(tmp_path / "run", (images, labels))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind",
    [str, float, lambda y: y + 1, lambda y: [f"class {n}" for n in y], lambda y: np.eye(12)[y]],
)
def test_labels_of_other_kinds_are_mapped_and_said(kind, tmp_path):
    labels = np.vectorize(kind)(Y) if isinstance(kind, type) else kind(Y)
    data = load_dataset(stored(tmp_path / "run", (X, labels), (X[:50], labels[:50])))
    usual = load_dataset(stored(tmp_path / "run", (X, Y), (X[:50], Y[:50])))
    for part, wanted in usual.parts.items():
        np.testing.assert_array_equal(data.parts[part].labels, wanted.labels)
    assert len(data.notes) == len(usual.notes) + 1
