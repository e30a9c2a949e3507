"""Metrics that a HyperModel compiled its models with, recorded and as objectives."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.conftest import make_dataset, on_ranks
from tests.unit.test_own_training import BASE, CLASSES, SHAPE, VALUES, Plain, evaluate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator, validation_order
from xnas_tf.execution.preparation import _check_training
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.compiled_metrics import compiled_metrics


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


@pytest.mark.parametrize("kind", [Measured, MeasuredOneHot, MeasuredLogits])
def test_metrics_that_a_model_was_compiled_with_are_recorded(kind):
    objective = "objectives=[{name: 'metric:top2', direction: maximize}]"
    outcome, model = evaluate(kind(), objective)
    assert outcome.state == "done", outcome.reason
    data = make_dataset().validation
    outputs = np.asarray(model(data.images / np.float32(255)))
    right = outputs[np.arange(len(data)), data.labels]
    expected = np.mean((outputs > right[:, None]).sum(axis=1) < 2)
    assert [*outcome.history[0]].count("val_top2") == 1
    assert outcome.history[-1]["val_top2"] == pytest.approx(expected)
    assert outcome.objectives == {"metric:top2": outcome.metrics["val_top2"]}


def test_metrics_are_the_same_on_any_number_of_ranks():
    data = make_dataset()
    data = replace(data, validation=data.validation.select(np.arange(29)))

    def found(communicator):
        config = load_config(overrides=BASE)
        space = SearchSpace(Measured(), SHAPE, CLASSES)
        judged = Evaluator(config, data, space, communicator)
        judged._communicator, judged._model = communicator, space.build(VALUES)
        rng = np.random.default_rng(0)
        everything = rng.dirichlet(np.ones(CLASSES), 29).astype(np.float32)
        mine = np.arange(communicator.rank, 29, communicator.size)
        judged._probabilities = everything[mine]
        labels = data.validation.labels[validation_order(config, data)]
        assert judged._own_metrics() == {
            f"val_{name}": value
            for name, value in compiled_metrics(judged._model, everything, labels).items()
        }
        return judged._own_metrics()

    assert found(SingleProcess()) == on_ranks(3, found)[0]


def test_an_objective_of_no_metric_is_refused_before_the_search():
    wanted = "objectives=[{name: 'metric:top3', direction: maximize}]"
    config = load_config(overrides=[*BASE, wanted])
    space = SearchSpace(Measured(), SHAPE, CLASSES)
    with pytest.raises(InputError, match="did you mean 'top2'"):
        _check_training(config, make_dataset(), space, 1)
    with pytest.raises(InputError, match="direction"):
        load_config(overrides=["objectives=['metric:top2']"])
