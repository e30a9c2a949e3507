"""One contract for every registered objective; then what each must be."""

import keras
import numpy as np
import pytest

from xnas_tf.distributed import SingleProcess
from xnas_tf.objectives import OBJECTIVES
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.cost import count_flops
from xnas_tf.objectives.performance import Error

CLASSES = 3
NAMES = ("a", "b", "c")


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Conv2D(5, 3)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(x))


def make_subject(model, count=70, seed=0, predicted=None):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    if predicted is None:
        predicted = rng.integers(0, CLASSES, count)
    probabilities = np.eye(CLASSES, dtype=np.float32)[predicted]
    labels = rng.integers(0, CLASSES, count).astype(np.int32)
    return Subject(model, SingleProcess(), NAMES, images, labels, probabilities)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_contract(name, model):
    cls = OBJECTIVES.get(name)
    objective = cls()
    assert issubclass(cls, Objective) and objective.name == name and cls.__doc__
    assert objective.sign == (1 if objective.direction == "minimize" else -1)
    before = [w.copy() for w in model.get_weights()]
    subject = make_subject(model)
    first, again = objective.score(subject), objective.score(subject)
    assert np.isfinite(first.value) and first == again
    assert all(isinstance(v, float) for v in [first.value, *first.metrics.values()])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    if not objective.needs_training:
        assert objective.score(Subject(model, SingleProcess(), NAMES)) == first
    with pytest.raises(ValueError):
        cls(no_such_option=1)


def test_error_is_the_share_of_wrong_answers(model):
    subject = make_subject(model)
    assert Error().score(subject).value == np.mean(subject.predicted != subject.labels)


def test_flops_of_a_dense_layer_are_two_per_weight_and_one_per_bias():
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(7)])
    assert count_flops(model) == 2 * 20 * 7 + 7
