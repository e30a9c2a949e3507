"""Metrics that a HyperModel compiled its models with, recorded and as objectives."""

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


@pytest.mark.parametrize("kind", [MeasuredOneHot, *left_to_all(Measured)])
def test_metrics_are_the_same_on_any_number_of_ranks(kind):
    data = make_dataset()
    data = replace(data, validation=data.validation.select(np.arange(29)))
    space = SearchSpace(kind(), SHAPE, CLASSES)
    models = [space.build(VALUES) for _ in range(4)]

    def found(communicator):
        validator = Validator(load_config(overrides=BASE), data, communicator)
        model = models[communicator.rank + 1 if communicator.size > 1 else 0]
        model.set_weights(models[0].get_weights())
        return validator.validate(model, Predictor(model, len(data.validation)), 1)

    alone = found(SingleProcess())
    assert {"val_loss", "val_accuracy", "val_top2"} <= alone.keys()
    for each in on_ranks(3, found):
        assert each == pytest.approx(alone, rel=1e-6)


def test_an_objective_of_no_metric_is_refused_before_the_search():
    wanted = "objectives=[{name: 'metric:top3', direction: maximize}]"
    config = load_config(overrides=[*BASE, wanted])
    space = SearchSpace(Measured(), SHAPE, CLASSES)
    with pytest.raises(InputError, match="did you mean 'top2'"):
        _check_training(config, make_dataset(), space, 1)
    with pytest.raises(InputError, match="direction"):
        load_config(overrides=["objectives=['metric:top2']"])
