"""One contract for every registered objective; then what each must be."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import on_ranks
from xnas_tf.distributed import SingleProcess
from xnas_tf.objectives import OBJECTIVES
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.class_distance import distance_of
from xnas_tf.objectives.cost import count_flops
from xnas_tf.objectives.introspectability import Introspectability
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


def direct(representation, predicted):
    """The paper's formula, word for word."""
    means = [representation[predicted == c].mean(axis=0) for c in np.unique(predicted)]
    pairs = [(a, b) for i, a in enumerate(means) for b in means[i + 1 :]]
    return np.mean([1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs])


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10**6), st.integers(2, 150))
def test_activations_score_is_the_formula_on_stored_activations(seed, count):
    model = make_model(seed)
    subject = make_subject(model, count, seed)
    view = keras.Model(model.inputs, [layer.output for layer in model.layers[1:4]])
    outputs = view((subject.images / 255).astype(np.float32), training=False)
    stored = np.concatenate([np.reshape(o, (count, -1)) for o in outputs], axis=1)
    expected = direct(stored, subject.predicted) if len(set(subject.predicted)) > 1 else 0.0
    score = Introspectability(sources=("activations",), images=1000).score(subject)
    assert score.value == pytest.approx(expected, abs=1e-5)


def test_several_sources_are_averaged_and_recorded(model):
    sources = ("grad_cam", "integrated_gradients", "activations")
    score = Introspectability(sources=sources).score(make_subject(model))
    parts = [score.metrics[f"introspectability/{source}"] for source in sources]
    assert score.value == pytest.approx(np.mean(parts))
    assert score.metrics["introspectability/groups"] == CLASSES


def test_a_network_that_predicts_one_class_is_not_introspectable(model):
    subject = make_subject(model, predicted=np.zeros(70, int))
    assert Introspectability().score(subject).value == 0


@pytest.mark.parametrize("size", [2, 3])
def test_several_ranks_score_what_one_does(size):
    """Also with labels that only one rank has, and images that don't divide evenly."""
    objective = Introspectability(sources=("activations", "grad_cam"), images=33)
    models = [make_model() for _ in range(size)]  # not in the threads: their seed is global
    whole = make_subject(models[0], 71)

    def score(communicator):
        rows = slice(communicator.rank, None, communicator.size)
        part = [a[rows] for a in (whole.images, whole.labels, whole.probabilities)]
        return objective.score(Subject(models[communicator.rank], communicator, NAMES, *part))

    (alone,), together = on_ranks(1, score), on_ranks(size, score)
    for one in together:
        assert one.value == pytest.approx(alone.value, abs=1e-5)
        assert list(one.metrics.values()) == pytest.approx(list(alone.metrics.values()), abs=1e-5)


@pytest.mark.parametrize(
    ("gram", "predicted", "distance"),
    [
        (np.eye(3), [1, 1, 1], 1.0),
        (np.ones((3, 3)), [1, 1, 1], 0.0),
        (np.array([[1.0, -1.0], [-1.0, 1.0]]), [1, 1], 2.0),
        (np.eye(2), [1, 0], 0.0),
        (np.zeros((3, 3)), [1, 1, 1], 0.0),
        (np.diag([1.0, 5.0, 0.0]), [1, 1, 0], 1.0),
        (np.diag([1.0, 5.0, 0.0]), [1, 1, 1], 1 / 3),
    ],
)
def test_class_distance_of_known_cases(gram, predicted, distance):
    mask = np.array(predicted, bool)
    assert distance_of(gram, mask) == pytest.approx(distance)
    assert distance_of(gram * 7, mask) == pytest.approx(distance)


def test_nan_activations_are_not_hidden():
    assert np.isnan(distance_of(np.array([[1.0, np.nan], [np.nan, 1.0]]), np.ones(2, bool)))
