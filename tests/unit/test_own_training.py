"""Models that a user's code trains: ``HyperModel.fit``, or a ``train_step`` of their own."""

import json
import math
import re
from dataclasses import asdict

import keras
import keras_tuner
import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.execution.preparation import _check_training
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback, Interrupted
from xnas_tf.training.custom_fit import check_own_training

SHAPE, CLASSES = (8, 8, 1), 3
VALUES = {"filters": 3}
BASE = ["training={epochs: 2, batch_size: 20}", "objectives=[error, parameters]"]


class Plain(keras_tuner.HyperModel):
    """A tiny network, quicker run eagerly than traced; what it is compiled with can be chosen."""

    kind = keras.Model
    compiled = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "run_eagerly": True}

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Conv2D(hp.Int("filters", 3, 5), 3, activation="relu")(inputs)
        x = keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.Flatten()(x))
        model = self.kind(inputs, x)
        if self.compiled:
            model.compile(**self.compiled)
        return model


class Fitting(Plain):
    """Notes what its fit gets, and trains as Keras does."""

    def __init__(self):
        super().__init__()
        self.got = []

    def fit(self, hp, model, *args, **kwargs):
        self.got.append((args, kwargs))
        return model.fit(*args, **kwargs)


def judge(hypermodel, *more, communicator=None, dataset=None):
    config = load_config(overrides=[*BASE, *more])
    space = SearchSpace(hypermodel, SHAPE, CLASSES)
    return Evaluator(config, dataset or make_dataset(), space, communicator or SingleProcess())


def evaluate(hypermodel, *more, values=VALUES, epochs=2, **options):
    kept = []
    candidate = Candidate(1, "g", values, seed=1, epochs=epochs)
    judged = judge(hypermodel, *more)
    outcome = judged.evaluate(candidate, lambda _, model: kept.append(model), **options)
    return outcome, kept[0] if kept else None


def test_fit_is_called_as_keras_tuner_calls_it():
    hypermodel = Fitting()
    outcome, _ = evaluate(hypermodel)
    assert outcome.state == "done", outcome.reason
    (images, labels), kwargs = hypermodel.got[-1]
    data = make_dataset()
    np.testing.assert_array_equal(images, data.train.images / np.float32(255))
    np.testing.assert_array_equal(labels, data.train.labels)
    assert images.dtype == np.float32 and len(kwargs["validation_data"][0]) == len(data.validation)
    assert (kwargs["epochs"], kwargs["batch_size"], len(kwargs["callbacks"])) == (2, 20, 1)
    assert len(outcome.history) == 2
    assert {"loss", "val_loss", "val_accuracy"} <= set(outcome.history[0])
    assert outcome.objectives["error"] == pytest.approx(1 - outcome.metrics["val_accuracy"])


@pytest.mark.long
def test_the_same_seed_trains_the_same_network():
    first, again = (evaluate(Fitting())[0] for _ in range(2))
    assert first.history == again.history and first.objectives == again.objectives


@pytest.mark.long
def test_a_model_that_is_not_compiled_is_compiled_as_the_configuration_says():
    class Uncompiled(Fitting):
        compiled = None

    outcome, _ = evaluate(Uncompiled(), "training.optimizer=adam", "training.learning_rate=0.01")
    assert outcome.state == "done", outcome.reason
    assert outcome.history[1]["loss"] < outcome.history[0]["loss"]


def test_a_loss_of_one_hot_vectors_gets_these():
    class OneHot(Fitting):
        compiled = {**Plain.compiled, "loss": "categorical_crossentropy"}

    hypermodel = OneHot()
    assert evaluate(hypermodel)[0].state == "done"
    (_, targets), kwargs = hypermodel.got[-1]
    np.testing.assert_array_equal(targets.argmax(axis=1), make_dataset().train.labels)
    assert targets.shape == (60, CLASSES) and kwargs["validation_data"][1].shape == (30, CLASSES)


class Asking(Plain):
    """Asks for hyperparameters as keras-tuner's guides do."""

    batches = []

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("batch_size", [10, 20])
        self.batches.append(size)
        return model.fit(*args, batch_size=size, shuffle=hp.Boolean("shuffle"), **kwargs)


def test_hyperparameters_of_fit_are_found_and_what_it_gives_itself_is_left_out():
    judged = judge(Asking())
    names = ["filters", "batch_size", "shuffle"]
    assert [variable.name for variable in judged._space.variables] == names
    values = {**VALUES, "batch_size": 20, "shuffle": True}
    outcome = judged.evaluate(Candidate(1, "g", values, seed=1, epochs=2))
    assert outcome.state == "done" and Asking.batches[-1] == 20


@pytest.mark.long
def test_hyperparameters_of_fit_tell_evaluations_apart():
    values = [{**VALUES, "batch_size": size, "shuffle": True} for size in (10, 20, 20)]
    first, other, same = (evaluate(Asking(), values=each)[0].digest for each in values)
    assert first != other == same


class Loop(Plain):
    """A loop of its own, that tells nobody how it goes."""

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        for _ in range(3):
            loss = model.train_on_batch(x, y)
        return {"my_loss": loss}


class Late(Loop):
    """A loop that asks for something once it knows how it goes."""

    def fit(self, hp, model, x, y, validation_data, callbacks=None, **kwargs):
        returned = super().fit(hp, model, x, y, validation_data)
        if len(x) > CLASSES:
            hp.Int("late", 1, 2)
        return returned


def test_a_loop_without_callbacks_has_one_epoch_and_what_it_returns():
    outcome, _ = evaluate(Loop(), "objectives=[{name: 'metric:my_loss', direction: minimize}]")
    assert outcome.state == "done", outcome.reason
    assert len(outcome.history) == 1
    assert outcome.objectives == {"metric:my_loss": outcome.metrics["my_loss"]}


def test_what_fit_asks_for_too_late_is_named():
    outcome, _ = evaluate(Late())
    assert outcome.state == "failed"
    assert "fit() asks for hyperparameters that were not discovered before: late" in outcome.reason


def test_a_fit_that_fails_at_once_is_refused_before_the_search():
    class Wrong(Plain):
        def fit(self, hp, model, *args, **kwargs):
            return model.fit(*args, **kwargs, callback=[])

    with pytest.raises(InputError, match=r"HyperModel Wrong: fit\(\) fails .*callback"):
        SearchSpace(Wrong(), SHAPE, CLASSES)


class Emptied(Plain):
    """Ends with other weights than the last epoch's, as where the best are restored."""

    def fit(self, hp, model, *args, **kwargs):
        history = model.fit(*args, **kwargs)
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        return history


@pytest.mark.long
def test_the_figures_are_those_of_the_weights_in_the_end():
    outcome, _ = evaluate(Emptied(), "training.epochs=8", epochs=8)
    assert outcome.history[-1]["val_loss"] != pytest.approx(np.log(CLASSES), rel=1e-3)
    assert outcome.metrics["val_loss"] == pytest.approx(np.log(CLASSES))
    assert outcome.objectives["error"] == pytest.approx(2 / 3)


class Exploding(Plain):
    def build(self, hp):
        self.compiled = {**self.compiled, "optimizer": keras.optimizers.SGD(1e30)}
        return super().build(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, **kwargs)


@pytest.mark.long
def test_a_loss_that_is_no_number_fails_the_candidate():
    outcome, _ = evaluate(Exploding())
    assert outcome.state == "failed" and "the loss became" in outcome.reason


class Undefined(Plain):
    """Compiled with a metric without a value; its fit may leave weights that are no numbers."""

    def __init__(self, returned=0.5, factor=1.0):
        super().__init__()
        self.returned, self.factor = returned, factor
        undefined = keras.metrics.MeanMetricWrapper(lambda y, p: p[:, 0] * np.nan, name="undefined")
        self.compiled = {**self.compiled, "metrics": [undefined]}

    def fit(self, hp, model, x, y, **kwargs):
        model.set_weights([self.factor * w for w in model.get_weights()])
        return {"mine": self.returned}


@pytest.mark.parametrize(
    ("hypermodel", "reason"),
    [
        (Undefined(), ""),
        (
            Undefined(returned=math.inf),
            "unknown metric 'mine' .* or its value is not a finite number",
        ),
        (Undefined(factor=np.nan), "the validation loss became nan in epoch 1"),
    ],
)
def test_figures_that_are_no_numbers_are_not_recorded(hypermodel, reason):
    """The record takes none: a search would end with an error that is not the candidate's."""
    outcome, _ = evaluate(hypermodel, "objectives=[{name: 'metric:mine', direction: minimize}]")
    assert outcome.state == ("failed" if reason else "done")
    assert re.search(reason, outcome.reason)
    json.dumps(asdict(outcome), allow_nan=False)


class Interrupting(EvaluationCallback):
    def __init__(self, at):
        self.at, self.beats = at, 0

    def report_progress(self):
        self.beats += 1
        if self.beats == self.at:
            raise Interrupted("enough")


def test_it_beats_with_each_batch_and_can_be_interrupted():
    judged, candidate = judge(Fitting()), Candidate(1, "g", VALUES, seed=1, epochs=2)
    counting = Interrupting(at=0)
    judged.evaluate(candidate, callback=counting)
    # Built, parameters; two epochs of three steps, two batches validated by Keras and one by us,
    # and an end; a last validation; the error.
    assert counting.beats == 2 + 2 * (3 + 2 + 1 + 1) + 1 + 1
    with pytest.raises(Interrupted):
        judged.evaluate(candidate, callback=Interrupting(at=5))


@keras.saving.register_keras_serializable("tests")
class Signed(keras.Model):
    """Trains with the signs of the gradients, and has a part that is not part of the network."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.teacher = keras.layers.Dense(2)
        self.teacher.build((None, 50))

    def train_step(self, data):
        import tensorflow as tf

        images, labels = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(images, labels, self(images, training=True))
        weights = self.trainable_weights[:4]
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(0.125 * tf.sign(gradient))
        return {"loss": loss}


class Stepping(Plain):
    kind = Signed


@pytest.mark.long
def test_a_train_step_of_its_own_trains_the_model():
    class Still(Stepping):
        def build(self, hp):
            model = super().build(hp)
            for layer in model.layers:
                if layer.weights:
                    layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
            return model

    outcome, model = evaluate(Still())
    assert outcome.state == "done", outcome.reason
    bias = model.layers[-1].get_weights()[1]
    np.testing.assert_array_equal(bias % 0.125, 0)


def test_what_is_measured_and_kept_is_the_plain_network(tmp_path):
    outcome, model = evaluate(Stepping())
    plain, values = Plain(), keras_tuner.HyperParameters()
    values.values = VALUES
    assert outcome.objectives["parameters"] == plain.build(values).count_params()
    assert "tests" not in type(model).__module__
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    images = make_dataset().test.images / np.float32(255)
    np.testing.assert_array_equal(loaded(images), model(images))


class Unpacking(keras.Model):
    """Predicts as the model does, in code of its own."""

    def predict_step(self, data):
        return self(data[0] if isinstance(data, tuple) else data, training=False)


class Scaling(keras.Model):
    """Predicts with images in another range, which whoever calls the model does not know."""

    def predict_step(self, data):
        return super().predict_step(2 * data - 1)


def test_a_predict_step_that_changes_the_images_is_refused():
    class Own(Plain):
        kind = Unpacking

    assert SearchSpace(Own(), SHAPE, CLASSES).compiles_default
    Own.kind = Scaling
    with pytest.raises(InputError, match=r"Scaling\.predict_step returns other values"):
        SearchSpace(Own(), SHAPE, CLASSES)


@pytest.fixture(scope="module")
def spaces():
    """Of a training of one's own, and of trainings that are ours."""
    return [SearchSpace(each(), SHAPE, CLASSES) for each in (Fitting, Plain, Stepping)]


@pytest.mark.parametrize(
    ("change", "ranks", "message"),
    [
        ("search.seed=1", 2, "distributed.ranks_per_candidate must be 1"),
        ("search.fidelity={epochs: [1, 2]}", 1, "search.fidelity must be left out"),
        ("training.augmentation.crop=2", 1, "training.augmentation.crop must be left out"),
        *left_to_all(
            ("training.augmentation.flip=true", 1, "training.augmentation.flip must be left out"),
            ("training.jit_compile=true", 1, "training.jit_compile must be left out"),
        ),
    ],
)
def test_what_an_own_training_cannot_do_is_refused(spaces, change, ranks, message):
    config, (own, *others) = load_config(overrides=[*BASE, change]), spaces
    with pytest.raises(InputError, match=message):
        _check_training(config, make_dataset(), own, ranks)
    for space in others:
        _check_training(config, make_dataset(), space, ranks)


def test_xla_needs_a_step_without_horovod(spaces):
    config = load_config(overrides=[*BASE, "training.jit_compile=true"])
    space = spaces[1]
    _check_training(config, make_dataset(), space, 1)
    with pytest.raises(InputError, match="jit_compile must be false"):
        _check_training(config, make_dataset(), space, 2)


def test_images_that_would_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("xnas_tf.training.custom_fit.MOST_BYTES", 4 * 90 * 64 - 1)
    with pytest.raises(InputError, match=r"set a smaller dataset\.size"):
        check_own_training("it", load_config(overrides=BASE).training, 1, make_dataset(), 1)
