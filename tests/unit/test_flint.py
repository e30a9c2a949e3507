"""An interpreter: losses and figures against plain numpy, learning, saving, what is refused."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import xnas_tf as xt
from tests.classifiers import CLASSES, Subclassed, dense_model, nested_model
from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from xnas_tf.cli import main
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.explanation.explaining import sample_of
from xnas_tf.explanation.model_loading import ModelSubject, load_data
from xnas_tf.interpretation.flint import InterpretableModel, Interpreter, losses, train_interpreter
from xnas_tf.interpretation.flint.activation import GREY, maximize_activation, objective
from xnas_tf.interpretation.flint.expert_text import interpretation_page, interpreted_range_text
from xnas_tf.interpretation.flint.options import SETTINGS, FlintOptions, settings_for
from xnas_tf.interpretation.flint.training import learn
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.interpretation import Conciseness, Fidelity
from xnas_tf.storage.model_source import EXPLANATIONS, ModelSource

layers = keras.layers
KINDS = [Interpreter, InterpretableModel]


def softmax(values):
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def entropy(values):
    p = softmax(values)
    return -(p * np.log(p)).sum(axis=-1)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999), st.integers(1, 6), st.integers(1, 5))
def test_losses_are_those_of_the_paper(seed, count, size):
    rng = np.random.default_rng(seed)
    f, g = rng.normal(size=(2, count, CLASSES))
    attributes = rng.random((count, size)) * 3
    images, decoded = rng.random((2, count, 4, 5, 2))
    close = {"rel": 1e-5, "abs": 1e-6}
    expected = -(softmax(f) * np.log(softmax(g))).sum(axis=1).mean()
    assert float(losses.output_fidelity(f, g)) == pytest.approx(expected, **close)
    expected = entropy(attributes).mean() - entropy(attributes.mean(axis=0))
    found = losses.conciseness(attributes, losses.batch_mean(attributes))
    assert float(found) == pytest.approx(expected, **close)
    assert float(losses.sparsity(attributes)) == pytest.approx(attributes.mean(), **close)
    squared, absolute = ((decoded - images) ** 2).mean(), np.abs(decoded - images).mean()
    assert float(losses.input_fidelity(images, decoded)) == pytest.approx(squared, **close)
    found = losses.input_fidelity(images, decoded, "absolute")
    assert float(found) == pytest.approx(absolute, **close)


def test_conciseness_loss_by_hand():
    """Each image has one attribute and all are used: entropies go to 0 and to log 2."""
    one_hot = tf.constant([[50.0, 0], [0, 50.0]])
    for attributes, expected in ((one_hot, -np.log(2)), (tf.zeros((2, 2)), 0)):
        found = losses.conciseness(attributes, losses.batch_mean(attributes))
        assert float(found) == pytest.approx(expected, abs=1e-6)


def test_output_fidelity_leaves_the_predictor_alone():
    f, g = tf.constant([[1.0, 2, 3]]), tf.constant([[3.0, 1, 1]])
    with tf.GradientTape() as tape:
        tape.watch([f, g])
        loss = losses.output_fidelity(f, g)
    to_f, to_g = tape.gradient(loss, [f, g])
    assert to_f is None
    np.testing.assert_allclose(to_g, softmax(g.numpy()) - softmax(f.numpy()), atol=1e-6)


def test_weights_follow_the_published_schedule():
    """(output fidelity, input fidelity, entropy, sparsity), epochs counted from 0."""
    grey = [SETTINGS["grey"].weights(epoch, 12) for epoch in range(12)]
    assert grey == [(0, 0.8, 0, 0)] * 2 + [(0.5, 0.8, 0, 0.1)] * 2 + [(0.5, 0.8, 0.2, 0.1)] * 8
    drawings = [SETTINGS["drawings"].weights(epoch, 12) for epoch in range(4)]
    sparse = [(0, 5, 0, 0), (0, 5, 0, 0.02), (0.1, 5, 0, 0.3), (0.1, 5, 0.1, 0.3)]
    assert drawings == sparse
    colour = [SETTINGS["colour"].weights(epoch, 25) for epoch in range(4)]
    assert colour == [(0, 2, 0, 0), (0, 2, 0, 0.001), (0.6, 2, 0, 0.15), (0.6, 2, 0.2, 0.15)]
    stretched = [SETTINGS["grey"].weights(epoch, 24) for epoch in range(24)]
    assert stretched == [each for each in grey for _ in range(2)]


def test_the_order_in_which_weights_are_given_does_not_matter():
    """The last pair given once replaced those of later epochs."""
    ramp = ((5, 0.2), (1, 0.8), (3, 0.1))
    mixed = SETTINGS["grey"].changed(sparsity=ramp)
    ordered = SETTINGS["grey"].changed(sparsity=sorted(ramp))
    assert [mixed.weights(epoch, 12) for epoch in range(12)] == [
        ordered.weights(epoch, 12) for epoch in range(12)
    ]
    assert [mixed.weights(epoch, 12)[3] for epoch in (1, 2, 4)] == [0.8, 0.1, 0.2]


@given(st.sampled_from(sorted(SETTINGS)), st.integers(1, 60))
def test_a_training_of_any_length_ends_with_all_weights(name, epochs):
    assert SETTINGS[name].weights(epochs - 1, epochs) == SETTINGS[name].final
    assert min(SETTINGS[name].final) > 0


@given(st.integers(1, 60_000))
def test_fewer_images_are_passed_over_more_often(images):
    grey = SETTINGS["grey"]
    epochs, rate = grey.fitted(images, None, None)
    assert epochs >= grey.epochs and grey.rate <= rate <= 20 * grey.rate
    assert grey.fitted(images, 3, 0.5) == (3, 0.5)
    assert grey.fitted(60_000, None, None) == (12, 1e-4)


def small_network(seed=0, classes=CLASSES, shape=(8, 8, 1)):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="one")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(8, 3, padding="same", name="two")(x)
    x = layers.BatchNormalization(name="norm", momentum=0.9)(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Dropout(0.2)(layers.GlobalMaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def trained_network(data):
    model = small_network()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(data.train.images / 255, data.train.labels, epochs=12, batch_size=10, verbose=0)
    return model


@pytest.mark.long
@pytest.mark.parametrize("kind", [KINDS[0], *left_to_all(*KINDS[1:])])
@pytest.mark.parametrize(
    "make", [small_network, *left_to_all(Subclassed, lambda: nested_model((8, 8, 1)))]
)
def test_models_fit_and_come_back_from_a_file(tmp_path, kind, make, dataset):
    keras.utils.set_random_seed(0)
    model = kind(make(), attributes=5, seed=3)
    loss = "sparse_categorical_crossentropy" if kind is InterpretableModel else None
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=False)
    x, y = dataset.train.images / np.float32(255), dataset.train.labels
    held_out = dataset.validation.images / np.float32(255), dataset.validation.labels
    history = model.fit(x, y, epochs=2, verbose=0, validation_data=held_out).history
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["val_loss"]).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")  # in safe mode
    assert type(again) is kind and again.layer_names == model.layer_names
    assert again.settings == model.settings and again.settings.attributes == 5
    for ours, theirs in zip(again.look(x), model.look(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    again.fit(x, y, verbose=0)  # compiled as it was


def test_images_without_labels_build_a_model():
    images = tf.data.Dataset.from_tensor_slices(np.ones((4, 8, 8, 1), np.float32)).batch(2)
    model = Interpreter(Subclassed(), attributes=2)
    model.compile("adam", jit_compile=False)
    model.fit(images, epochs=0, verbose=0)
    assert model.image_shape == (8, 8, 1)


def test_own_parts_are_used_and_saved(tmp_path):
    maps = keras.Input((4, 4, 8))
    psi = keras.Model(maps, layers.Dense(2, activation="relu")(layers.Flatten()(maps)))
    back = keras.Sequential([keras.Input((2,)), layers.Dense(64), layers.Reshape((8, 8, 1))])
    model = Interpreter(small_network(), 2, ["norm"], psi, back)
    images = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    hidden = model.predictor.get_layer("norm").output
    maps = keras.Model(model.predictor.input, hidden)(images)
    np.testing.assert_allclose(model.look(images).attributes, psi(maps), atol=1e-6)
    np.testing.assert_allclose(again.look(images).attributes, psi(maps), atol=1e-6)
    np.testing.assert_allclose(again.look(images).decoded, back(psi(maps)), atol=1e-6)


def test_several_layers_and_small_maps():
    model = Interpreter(small_network(shape=(3, 2, 4)), layers=["one", "relu"], attributes=4)
    seen = model.look(tf.ones((2, 3, 2, 4)))
    assert model.layer_names == ["one", "relu"]
    assert [tuple(each.shape) for each in seen] == [(2, 3), (2, 4), (2, 3), (2, 3, 2, 4)]
    assert model.predict(np.ones((2, 3, 2, 4)), verbose=0).shape == (2, 3)  # in a graph too


def test_raw_models_see_values_to_255():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(inputs))
    raw = keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalMaxPooling2D()(x)))
    images = tf.random.stateless_uniform((2, 8, 8, 1), (0, 0))
    seen = Interpreter(raw, input_range="0-255").look(images)
    np.testing.assert_allclose(seen.predictor, raw(images * 255), rtol=1e-5)


def test_the_saved_model_takes_the_range_that_is_said(tmp_path, dataset):
    """Whatever range the explained model takes, which once was the only one in the JSON file."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 127.5, -1)(inputs))
    raw = keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalMaxPooling2D()(x)))
    found = train_interpreter(raw, dataset, attributes=2, epochs=1)
    known = found.as_dict()
    assert (known["input_range"], known["interpreted_input_range"]) == ("0-255", "0-1")
    found.model.save(tmp_path / "interpreted.keras")
    pixels = dataset.test.images
    seen = keras.models.load_model(tmp_path / "interpreted.keras").look(pixels / 255)
    np.testing.assert_allclose(seen.predictor, raw(pixels.astype(np.float32)), rtol=1e-4, atol=1e-5)
    said = "takes values in the range 0 to 1 and scales them for the explained model, which takes "
    assert f"`interpreted.keras` {said}0 to 255." in " ".join(interpretation_page(known).summary)
    assert said in found._repr_html_()
    same = interpreted_range_text(known | {"input_range": "0-1"}, "It")
    assert same == "It takes values in the range 0 to 1."


@pytest.mark.long
def test_posthoc_leaves_the_predictor_alone_and_agrees_with_it(dataset):
    model = trained_network(dataset)
    before = [w.copy() for w in model.get_weights()]
    found = train_interpreter(model, dataset, attributes=6, epochs=40, rate=0.005)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    predicted = model.predict(dataset.test.images / 255, verbose=0).argmax(axis=1)
    np.testing.assert_array_equal(found.answers.predictor, predicted)
    assert found.answers.fidelity() >= 0.95 and found.answers.fidelity(5) is None
    assert (found.answers.attributes >= 0).all()
    assert "95% interval" in found.plot().get_suptitle().replace("\n", " ")
    with pytest.raises(InputError, match="`explained` 4000"):
        found.plot("explanations", [4000])
    assert len(repr(found)) < 100 and "fidelity of the interpreter ↑" in found._repr_html_()


def test_by_design_learns_both(dataset):
    found = train_interpreter(small_network(), dataset, "by-design", 6, epochs=60, rate=0.003)
    assert min(found.answers.accuracies) >= 0.95
    known = found.as_dict()
    assert known["accuracy"]["value"] == known["test"]["accuracy"]["f"] > found.before.value
    assert known["test"]["fidelity"]["top1"] >= 0.95 and known["mode"] == "by-design"
    assert known["history"][-1]["accuracy"] > known["history"][0]["accuracy"]


@pytest.mark.parametrize("mode", ["posthoc", "by-design"])
@pytest.mark.long
def test_same_seed_same_interpreter(mode, dataset):
    def attributes(seed):
        made = keras.models.clone_model(base)
        made.set_weights(base.get_weights())
        return train_interpreter(made, dataset, mode, 4, epochs=2, seed=seed).answers.attributes

    base = small_network()
    np.testing.assert_array_equal(attributes(1), attributes(1))
    assert not np.array_equal(attributes(1), attributes(2))


def without_statistics():
    """No layer looks at a batch as a whole, and none draws random numbers."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu", kernel_initializer=keras.initializers.HeNormal(0))
    x = layers.GlobalMaxPooling2D()(x(inputs))
    return keras.Model(
        inputs, layers.Dense(CLASSES, kernel_initializer=keras.initializers.HeNormal(1))(x)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.long
def test_what_is_learned_does_not_depend_on_the_number_of_ranks(kind, dataset):
    models = [kind(without_statistics(), 4, settings={"batch": 12}) for _ in range(3)]

    def trained(model, ranks):
        learn(model, dataset, 3, 0.01, 0, ranks)
        return model.get_weights()

    alone = trained(models[2], SingleProcess())
    for found in on_ranks(2, lambda ranks: trained(models[ranks.rank], ranks)):
        for mine, theirs in zip(found, alone, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=2e-4)


@pytest.mark.long
def test_a_frozen_predictor_stays_what_it_is_on_three_ranks(dataset):
    models = [Interpreter(small_network(), 4, settings={"batch": 12}) for _ in range(3)]
    before = [weight.copy() for weight in models[0].predictor.get_weights()]

    def trained(ranks):
        learn(models[ranks.rank], dataset, 2, 0.01, 0, ranks)
        return models[ranks.rank].predictor.get_weights()

    for after in on_ranks(3, trained):
        for mine, theirs in zip(after, before, strict=True):
            np.testing.assert_array_equal(mine, theirs)


class HiddenSoftmax(keras.Model):
    """Makes probabilities in its ``call``, where no layer is seen to make them."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3, activation="relu")
        self.pool, self.head = layers.GlobalMaxPooling2D(), layers.Dense(CLASSES)

    def call(self, inputs):
        return tf.nn.softmax(self.head(self.pool(self.conv(inputs))))


@pytest.mark.parametrize("mode", ["posthoc", *left_to_all("by-design")])
def test_a_softmax_that_is_no_layer(mode, dataset):
    model = HiddenSoftmax()
    expected = np.asarray(model(dataset.test.images / np.float32(255))).argmax(axis=1)
    found = train_interpreter(model, dataset, mode, attributes=3, epochs=1)
    if mode == "posthoc":
        np.testing.assert_array_equal(found.answers.predictor, expected)
    assert np.isfinite(found.answers.relevance).all()


def not_finite():
    model = small_network()
    weights = model.get_weights()
    model.set_weights([weights[0] * np.nan, *weights[1:]])
    return model


@pytest.mark.long
def test_a_saved_interpreter_is_opened_in_another_process(tmp_path):
    Interpreter(small_network(), 4).save(tmp_path / "saved.keras")
    program = (
        "import pathlib, sys\n"
        "from xnas_tf.explanation.model_loading import load_subject\n"
        "print(type(load_subject(pathlib.Path(sys.argv[1])).model).__name__)"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "saved.keras")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "Interpreter"


def test_images_of_a_data_set_for_a_subclassed_model():
    source = ModelSource(Path("model.keras"), None, "digits", None, True)
    subject = ModelSubject(Subclassed(), "model")
    data = load_data(source, subject, EXPLANATIONS)
    assert sample_of(subject.model, data.test, 3, "auto", False).images.shape == (3, 8, 8, 1)


def test_maximised_images_excite_their_attribute_more(monkeypatch):
    monkeypatch.setattr("xnas_tf.interpretation.flint.activation.STAGES", 2)
    model = Interpreter(small_network(), attributes=3)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    places = np.arange(3)
    changed = maximize_activation(model, images, places)
    assert changed.shape == images.shape and changed.dtype == np.uint8
    start, end = (
        float(objective(model, tf.constant(each / 255, tf.float32), tf.eye(3), GREY))
        for each in (0.3 * images, changed)
    )
    assert end > start
    assert maximize_activation(model, images[:0], places[:0]).shape == (0, 8, 8, 1)


def signed():
    return keras.Sequential([keras.Input((4, 4, 8)), layers.Flatten(), layers.Dense(3)])


@cache
def cached_network():
    """For what is refused before the network is changed."""
    return small_network()


@pytest.mark.parametrize(
    ("make", "options", "problem"),
    [
        (lambda: dense_model((8, 8, 1)), {}, "the model has no convolutions"),
        (lambda: small_network(classes=1), {}, "3 classes, but the model has 2"),
        (lambda: small_network(classes=4), {}, "3 classes, but the model has 4"),
        (lambda: small_network(shape=(9, 9, 1)), {}, r"\(8, 8, 1\); the model expects \(9, 9"),
        (cached_network, {"layers": ["twu"]}, "'twu' .did you mean 'two'"),
        (not_finite, {}, "values that are not finite"),
        (cached_network, {"layers": "twu"}, "'twu' .did you mean 'two'"),
        (cached_network, {"attributes": 0}, "`attributes` 0: allowed: whole numbers, 1 to"),
        (cached_network, {"attributes": -3}, "`attributes` -3: allowed"),
        (cached_network, {"attributes": 2.5}, "`attributes` 2.5: allowed: whole numbers"),
        (cached_network, {"epochs": 0}, "`epochs` 0"),
        (cached_network, {"epochs": 2.5}, "`epochs` 2.5"),
        (cached_network, {"rate": -1.0}, "`rate` -1.0: allowed"),
        (cached_network, {"rate": "a"}, "`rate` 'a': allowed"),
        (cached_network, {"rate": float("nan")}, "`rate` nan: allowed"),
        (cached_network, {"seed": -1}, "`seed` is -1"),
        (cached_network, {"seed": 2**40}, "`seed` 1099511627776: allowed: whole numbers, 0 to"),
        (cached_network, {"mode": "by-desing"}, "did you mean 'by-design'"),
        (cached_network, {"settings": "gray"}, "'gray' .did you mean 'grey'"),
        (cached_network, {"settings": ["grey"]}, "settings: no settings are called "),
        (cached_network, {"settings": {"batsch": 3}}, "did you mean 'batch'"),
        (cached_network, {"settings": {"sparsity": 0.1}}, "settings: sparsity: given 0.1"),
        (cached_network, {"settings": {"rate": "a"}}, "settings: rate: given 'a'"),
        (
            cached_network,
            {"settings": {"entropy": [[1, -2]]}},
            "entropy.0.1: given -2; .* or equal",
        ),
        (cached_network, {"settings": {"attributes": 0}}, "settings: attributes: given 0"),
    ],
)
def test_what_is_wrong_is_said(make, options, problem, dataset):
    with pytest.raises(InputError, match=problem):
        train_interpreter(make(), dataset, **options)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="allowed: .images, 3., with values of 0 or more"):
        Interpreter(small_network(), 3, attribute_network=signed())
    small = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Reshape((2, 2, 1))])
    with pytest.raises(InputError, match=r"decoder returns .2, 2, 2, 1.; allowed: .2, 8, 8, 1"):
        Interpreter(small_network(), 3, decoder=small)
    with pytest.raises(InputError, match="`model` is of type str; allowed: a Keras model"):
        Interpreter("model.keras")
    model = InterpretableModel(small_network())
    model.compile("adam")
    with pytest.raises(InputError, match="no loss, so f would learn nothing"):
        model.fit(np.zeros((2, 8, 8, 1)), np.zeros(2), verbose=0)


def test_values_of_settings_survive_json():
    seven = settings_for("colour", 3, 7)
    assert settings_for(json.loads(json.dumps(seven.model_dump())), 3) == seven
    assert isinstance(seven, FlintOptions) and seven.attributes == 7
    assert settings_for({"attributes": 5}, 1) == SETTINGS["grey"].changed(attributes=5)


def subject(model, ranks, data, count=None):
    part = data.train
    mine = np.arange(len(part))[: count or len(part)][ranks.rank :: ranks.size]
    images = part.images[mine]
    probabilities = np.eye(CLASSES, dtype=np.float32)[part.labels[mine]]
    return Subject(model, ranks, data.class_names, images, part.labels[mine], probabilities)


@pytest.mark.parametrize("count", [8, *left_to_all(1, 60)])
@pytest.mark.parametrize("objective", [Fidelity(epochs=2), *left_to_all(Conciseness(epochs=2))])
def test_objectives_do_not_depend_on_the_number_of_ranks(objective, count, dataset):
    models = [without_statistics() for _ in range(2)]

    def score(ranks):
        return objective.score(subject(models[ranks.rank], ranks, dataset, count))

    alone = score(SingleProcess())
    assert np.isfinite(alone.value) and bool(alone.reason) >= (count == 1)
    for found in on_ranks(2, score):
        assert found.value == pytest.approx(alone.value, abs=1e-6)


@pytest.mark.long
def test_an_interpreter_that_says_nothing_is_the_least_concise(dataset, monkeypatch):
    monkeypatch.setattr(
        "xnas_tf.interpretation.flint.networks.NonNegative.call", lambda self, inputs: 0 * inputs
    )
    found = Conciseness(attributes=7, epochs=1).score(
        subject(trained_network(dataset), SingleProcess(), dataset)
    )
    assert found.value == 7 and found.metrics["conciseness/cns"] == 0
    assert found.metrics["conciseness/silent"] == 1 and "explains no image" in found.reason


@pytest.mark.long
def test_a_good_predictor_is_interpreted_better_than_chance(dataset):
    data = make_dataset(count=120)
    score = Fidelity(epochs=30).score(subject(trained_network(data), SingleProcess(), data))
    assert score.value > 0.9 > score.metrics["fidelity/constant"]


@pytest.mark.long
def test_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_network(classes=10).save("model.keras")
    words = ["interpret", "model.keras", "--dataset", "digits", "--epochs", "2", "--explain", "7"]
    done = CliRunner().invoke(main, [*words, "--format", "json"])
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "interpretations" / "model"
    assert json.loads(done.stdout) == json.loads((folder / "interpretation.json").read_text())
    assert "epoch 2 of 2" in done.stderr
    assert isinstance(keras.models.load_model(folder / "interpreted.keras"), xt.Interpreter)
    assert {each.stem for each in folder.glob("*.png")} >= {"relevance", "explanations"}
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2 and "already exists and was not touched" in again.stderr
    for wrong, problem in (
        (["--attributes", "0"], "--attributes 0: allowed: whole numbers, 1 to"),
        (["--layers", "onne"], "did you mean 'one'"),
        (["--candidate", "3"], "model.keras is not a run"),
        (["--explain", "4000"], "--explain 4000: allowed: 0 to 359, of the test split"),
        (["--hypermodel", "a:b"], "both are given"),
    ):
        done = CliRunner().invoke(main, [*words, *wrong, "--out", "never"])
        assert done.exit_code == 2 and problem in " ".join(done.stderr.split()), done.stderr
        assert not (tmp_path / "never").exists()


@pytest.mark.long
def test_a_hypermodel_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hypermodel = ["interpret", "--hypermodel", "examples.small_convnet:SmallConvNet"]
    words = [*hypermodel, "--dataset", "digits", "--mode", "by-design", "--epochs", "1"]
    done = CliRunner().invoke(main, [*words, "--out", "new"])
    assert done.exit_code == 0 and "accuracy of the model" in done.stdout
    model = keras.models.load_model(tmp_path / "new" / "interpreted.keras")
    assert isinstance(model, xt.InterpretableModel)
    for wrong, problem in (
        ([*hypermodel, "--dataset", "digits"], "is not trained yet; allowed: --mode by-design"),
        ([*hypermodel, "--mode", "by-design"], "give --dataset NAME"),
        ([*words, "--seed", "-1"], "--seed -1: allowed"),
        (["interpret"], "neither is given"),
    ):
        done = CliRunner().invoke(main, wrong)
        assert done.exit_code == 2 and problem in " ".join(done.stderr.split())


def test_the_loss_of_a_predictor_that_learns_in_half_precision_is_scaled(dataset):
    """Otherwise, its smallest gradients would vanish."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        models = [small_network(), small_network()]
    finally:
        keras.config.set_dtype_policy(before)
    learned, posthoc = InterpretableModel(models[0], 3), Interpreter(models[1], 3)
    for model in (learned, posthoc):
        learn(model, dataset, 1, 0.01, 0, SingleProcess())
    scaled = keras.optimizers.LossScaleOptimizer
    assert isinstance(learned.optimizer, scaled) and not isinstance(posthoc.optimizer, scaled)
    kernels = [np.asarray(model.trainable_variables[0]) for model in models]
    assert np.isfinite(kernels[0]).all() and not np.array_equal(*kernels)
