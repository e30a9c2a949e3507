"""Metrics that a HyperModel compiled its models with, recorded and as objectives."""

import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.unit.test_own_training import BASE, CLASSES, SHAPE, VALUES, Plain, evaluate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.validator import Validator
from xnas_tf.execution.preparation import _check_training
from xnas_tf.keras_tools.targets import build_metrics
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.predictor import Predictor


class Measured(Plain):
    """Compiled with metrics; its outputs are logits if wanted."""

    ends, loss, top = "softmax", "sparse_categorical_crossentropy", "SparseTopKCategoricalAccuracy"

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Conv2D(hp.Int("filters", 3, 5), 3)(inputs)
        x = keras.layers.Dense(CLASSES, activation=self.ends)(keras.layers.Flatten()(x))
        model = keras.Model(inputs, x)
        # Own names, as Keras' losses and metrics have none that are the same for all outputs.
        top = getattr(keras.metrics, self.top)(2, name="top2")
        model.compile("sgd", self.loss, metrics=["accuracy", top])
        return model


class MeasuredOneHot(Measured):
    loss, top = "categorical_crossentropy", "TopKCategoricalAccuracy"


class MeasuredLogits(Measured):
    ends = None

    @property
    def loss(self):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Highest(keras.metrics.Metric):
    """A user's metric, which is no mean over images."""

    def __init__(self):
        super().__init__(name="top2")
        self.highest = self.add_variable((), "zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.highest.assign(keras.ops.maximum(self.highest, keras.ops.max(y_pred)))

    def result(self):
        return 1 * self.highest


class MeasuredByEvaluate(Plain):
    """Has a loss that outputs do not show, and a user's metric."""

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Conv2D(hp.Int("filters", 3, 5), 3, activity_regularizer="l2")(inputs)
        x = keras.layers.Dense(CLASSES, activation="softmax")(keras.layers.Flatten()(x))
        model = keras.Model(inputs, x)
        loss = "sparse_categorical_crossentropy"
        model.compile("sgd", loss, metrics=[Highest()], run_eagerly=True)
        return model


@pytest.mark.parametrize("kind", [MeasuredLogits, *left_to_all(Measured, MeasuredOneHot)])
def test_metrics_that_a_model_was_compiled_with_are_recorded(kind):
    objective = "objectives=[{name: 'metric:top2', direction: maximize}]"
    few_steps = "training.batch_size=30"  # which are not traced
    outcome, model = evaluate(kind(), objective, few_steps)
    assert outcome.state == "done", outcome.reason
    data = make_dataset().validation
    outputs = np.asarray(model(data.images / np.float32(255)))
    right = outputs[np.arange(len(data)), data.labels]
    expected = np.mean((outputs > right[:, None]).sum(axis=1) < 2)
    assert [*outcome.history[0]].count("val_top2") == 1
    assert outcome.history[-1]["val_top2"] == pytest.approx(expected)
    assert outcome.objectives == {"metric:top2": outcome.metrics["val_top2"]}


@pytest.mark.parametrize("kind", [MeasuredOneHot, MeasuredByEvaluate, *left_to_all(Measured)])
def test_metrics_are_the_same_on_any_number_of_ranks(kind):
    data = make_dataset()
    data = replace(data, validation=data.validation.select(np.arange(29)))
    space = SearchSpace(kind(), SHAPE, CLASSES)
    models = [space.build(VALUES) for _ in range(4)]
    for model in models:
        build_metrics(model, CLASSES)  # as a trainer does

    def found(communicator):
        validator = Validator(load_config(overrides=BASE), data, communicator)
        model = models[communicator.rank + 1 if communicator.size > 1 else 0]
        model.set_weights(models[0].get_weights())
        return validator.validate(model, Predictor(model, len(data.validation)), 1)

    alone = found(SingleProcess())
    assert {"val_loss", "val_accuracy", "val_top2"} <= alone.keys()
    for each in on_ranks(3, found):
        assert each == pytest.approx(alone, rel=1e-6)


def test_all_ranks_take_what_rank_0_measured(monkeypatch):
    """Otherwise, random numbers in a ``test_step`` could let only some of them fail or stop."""
    space, numbers = SearchSpace(MeasuredByEvaluate(), SHAPE, CLASSES), itertools.count(1.0)
    models = [space.build(VALUES) for _ in range(2)]
    for model in models:
        build_metrics(model, CLASSES)
    evaluated = "xnas_tf.evaluation.validator.evaluate"
    monkeypatch.setattr(evaluated, lambda *_: {"loss": next(numbers)})

    def found(communicator):
        validator = Validator(load_config(overrides=BASE), make_dataset(), communicator)
        model = models[communicator.rank]
        return validator.validate(model, Predictor(model, 10), 1)["val_loss"]

    assert len(set(on_ranks(2, found))) == 1


def test_an_objective_of_no_metric_is_refused_before_the_search():
    wanted = "objectives=[{name: 'metric:top3', direction: maximize}]"
    config = load_config(overrides=[*BASE, wanted])
    space = SearchSpace(Measured(), SHAPE, CLASSES)
    with pytest.raises(InputError, match="did you mean 'top2'"):
        _check_training(config, make_dataset(), space, 1)
    with pytest.raises(InputError, match="direction"):
        load_config(overrides=["objectives=['metric:top2']"])


def test_a_metric_of_several_values_is_refused_before_the_search():
    hypermodel, measure = Plain(), keras.metrics.F1Score(name="f1")
    hypermodel.compiled = {"loss": "categorical_crossentropy", "metrics": [measure]}
    space = SearchSpace(hypermodel, SHAPE, CLASSES)

    def check(name):
        objective = f"objectives=[{{name: 'metric:{name}', direction: maximize}}]"
        _check_training(load_config(overrides=[*BASE, objective]), make_dataset(), space, 1)

    check("f1_1")
    with pytest.raises(InputError, match="compiles no metric 'f1' .*f1_0"):
        check("f1")


class Doubling(keras.layers.Layer):
    """A layer of one's own, which might add a loss."""

    def call(self, inputs):
        return 2 * inputs


class AnySize(Plain):
    """Takes images of any size."""

    def build(self, hp):
        inputs = keras.Input((None, None, 1))
        x = Doubling()(keras.layers.Conv2D(hp.Int("filters", 3, 5), 3)(inputs))
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x))
        model.compile(**self.compiled)
        return model


def test_own_layers_of_a_model_for_images_of_any_size_are_measured():
    outcome, _ = evaluate(AnySize())
    assert outcome.state == "done", outcome.reason


def share(labels, outputs):
    """Is a number on batches of 20 training images, and none on the 30 of the validation split."""
    return outputs[:, 0] * (np.nan if outputs.shape[0] == 30 else 1)


def test_a_metric_without_a_validation_value_is_not_that_of_training():
    hypermodel, measure = Plain(), keras.metrics.MeanMetricWrapper(share, name="share")
    hypermodel.compiled = {**Plain.compiled, "metrics": [measure]}
    objective = "[{name: 'metric:share', direction: maximize}]"
    outcome, _ = evaluate(hypermodel, f"objectives={objective}")
    assert (outcome.state, outcome.reason) == ("failed", "metric:share is nan")
    outcome, _ = evaluate(hypermodel, f"record={objective}")
    assert outcome.state == "done" and "not recorded: metric:share is nan" in outcome.reason
    assert "share" in outcome.metrics and "metric:share" not in outcome.metrics


def test_metrics_of_the_best_epoch_are_not_those_of_the_last(monkeypatch):
    """Even if they have no value for the weights that are kept."""

    class Scripted(Validator):
        def validate(self, model, predictor, epoch):
            found = super().validate(model, predictor, epoch)
            best = epoch == 1
            self.undefined = ["val_share"] if best else []
            shares = {} if best else {"val_share": 0.5}
            return found | shares | {"val_accuracy": 0.9 if best else 0.1}

    monkeypatch.setattr("xnas_tf.evaluation.evaluator.Validator", Scripted)
    outcome, _ = evaluate(Plain(), "training.keep=best")
    assert outcome.history[1]["val_share"] == 0.5 and outcome.metrics["best_epoch"] == 1
    assert outcome.state == "done" and "val_share" not in outcome.metrics
