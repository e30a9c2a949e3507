"""Candidates of one structure get what a network of their own would have given them."""

import itertools
import weakref
from contextlib import nullcontext

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_dataset, on_ranks, out_of_memory_in_third_call
from tests.unit.test_supervision import Supervisor
from xnas_tf.attribution import explainer
from xnas_tf.attribution.explainer import Explainer
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.shared import twins
from xnas_tf.evaluation.shared.structure import structure_of
from xnas_tf.evaluation.shared.twins import TwinEvaluator
from xnas_tf.evaluation.supervision import Interrupted
from xnas_tf.kernels import kept_kernels
from xnas_tf.spaces.space import SearchSpace
from xnas_tf.tracing import kept_arithmetic

SAMPLE = {"filters": 4, "activation": "relu", "dropout": 0.2, "decay": 0.0, "rate": 0.01}


@pytest.fixture(scope="module", autouse=True)
def arithmetic():
    """As in a search."""
    with kept_arithmetic():
        yield


class Network(keras_tuner.HyperModel):
    """Layers with statistics, with random numbers, and an optimizer of its own or none."""

    def __init__(self, is_compiled=True):
        super().__init__()
        self.is_compiled = is_compiled

    def build(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(hp.Int("filters", 2, 8), 3)(inputs)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation(hp.Choice("activation", ["relu", "gelu"]))(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5))(x)
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        rate, decay = hp.Float("rate", 1e-4, 1e-1), hp.Float("decay", 0.0, 1e-2)
        if self.is_compiled:
            optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
            model.compile(optimizer, "sparse_categorical_crossentropy")
        return model


def judge(kind, ranks=None, objectives="[error, introspectability]", **training):
    given = {"epochs": 3, "batch_size": 12, "weight_decay": 0.01, **training}
    overrides = [f"training.{key}={value}" for key, value in given.items()]
    overrides.append(f"objectives={objectives}")
    config, dataset = load_config(overrides=overrides), make_dataset()
    space = SearchSpace(Network("learning_rate" not in training), dataset.image_shape, 3)
    return kind(config, dataset, space, ranks or SingleProcess())


def judged(evaluator, changes, seed=0, supervisor=None, epochs=3):
    """The outcome's figures and whether it was traced, and the trained model's variables."""
    weights = []

    def keep(_, model):
        weights.extend(np.array(v) for v in [*model.variables, *model.optimizer.variables])

    candidate = Candidate(1, "any", {**SAMPLE, **changes}, seed=seed, epochs=epochs)
    outcome = evaluator.evaluate(candidate, keep, supervisor)
    assert outcome.state == "done", outcome.reason
    return (outcome.history, outcome.objectives, outcome.metrics), weights, outcome


def assert_same(first, second):
    assert first[0] == second[0]
    for a, b in zip(first[1], second[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("batch_size", "kernels"), [(12, nullcontext), (1, kept_kernels)])
def test_they_give_what_networks_of_their_own_give(batch_size, kernels):
    """To the last bit: step by step and in loops, in a user's space and in this package's."""
    shared, own = (judge(kind, batch_size=batch_size) for kind in (TwinEvaluator, Evaluator))
    traced = []
    with kernels():
        for seed in range(4):
            for activation in ("relu", "gelu"):
                changes = {"rate": 0.002 * (seed + 1), "activation": activation}
                theirs = judged(shared, changes, seed)
                assert_same(theirs, judged(own, changes, seed))
                traced.append("trace" in theirs[2].seconds)
    assert traced == [True] * 4 + [False] * 4


def test_so_they_do_where_the_configuration_says_how_they_are_trained():
    training = {"learning_rate": 0.05, "schedule": "cosine"}
    shared, own = (judge(kind, **training) for kind in (TwinEvaluator, Evaluator))
    for seed in range(4):
        assert_same(judged(shared, {}, seed), judged(own, {}, seed))
    assert len(shared._kept) == 1


def test_so_they_do_in_trainings_of_all_lengths():
    """In each the learning rate falls to nothing."""
    training = {"learning_rate": 0.05, "schedule": "cosine"}
    shared, own = (judge(kind, **training) for kind in (TwinEvaluator, Evaluator))
    for seed in range(3):
        for epochs in (1, 2, 3):
            assert_same(*(judged(each, {}, seed, epochs=epochs) for each in (shared, own)))
    assert len(shared._kept) == 3


def test_so_they_do_with_the_same_attributions_traced(monkeypatch):
    """Traced or not depends on all that is asked by a method, whoever asks."""
    one_batch, counts = Explainer._one_batch, []

    def counted(self, *given):
        found = one_batch(self, *given)
        counts.append((self._method.name, self._passes))
        return found

    monkeypatch.setattr(Explainer, "_one_batch", counted)
    objectives = "[error, introspectability, {name: sparseness, method: grad_cam}]"
    for kind in (TwinEvaluator, Evaluator):
        evaluator = judge(kind, objectives=objectives)
        for seed in range(3):
            judged(evaluator, {}, seed)
    half = len(counts) // 2
    assert counts[:half] == counts[half:] != []


def test_several_ranks_train_one_together():
    def both(ranks):
        shared, own = judge(TwinEvaluator, ranks), judge(Evaluator, ranks)
        for rate in (0.01, 0.02, 0.03):
            assert_same(judged(shared, {"rate": rate}), judged(own, {"rate": rate}))
        return len(shared._kept)

    assert on_ranks(2, both) == [1, 1]


@pytest.fixture
def warm():
    """One that has kept the graphs of a structure."""
    evaluator = judge(TwinEvaluator)
    for seed in range(2):
        judged(evaluator, {}, seed)
    return evaluator


def test_nothing_stays_of_one_that_fails(warm):
    first = judged(warm, {})
    with out_of_memory_in_third_call():
        outcome = warm.evaluate(Candidate(2, "any", {**SAMPLE, "rate": 0.1}, seed=1, epochs=3))
    assert outcome.state == "failed" and "out of memory" in outcome.reason
    assert not warm._kept  # they might have taken the memory
    assert_same(judged(warm, {}), first)


def test_nothing_stays_of_one_that_diverges(warm):
    first = judged(warm, {})
    outcome = warm.evaluate(Candidate(2, "any", {**SAMPLE, "rate": 1e38}, seed=1, epochs=3))
    assert outcome.state == "failed" and "nan" in outcome.reason
    assert warm._kept
    assert_same(judged(warm, {}), first)


@pytest.mark.parametrize("at", [3, 12])
def test_what_was_interrupted_is_gone_on_with_either_way(at, warm, step_by_step):
    own = judge(Evaluator)
    whole = judged(own, {"rate": 0.03})
    for first, second in itertools.permutations((warm, own)):
        stopping = Supervisor(at, Interrupted(15))
        with pytest.raises(Interrupted):
            judged(first, {"rate": 0.03}, supervisor=stopping)
        assert_same(
            judged(second, {"rate": 0.03}, supervisor=Supervisor(data=stopping.data)), whole
        )


def test_those_used_last_are_kept(monkeypatch):
    monkeypatch.setattr(twins, "MOST", 2)
    evaluator = judge(TwinEvaluator)

    def is_traced(filters):
        return "trace" in judged(evaluator, {"filters": filters})[2].seconds

    for filters in (2, 3):
        assert is_traced(filters) and is_traced(filters)
    assert not is_traced(2)
    assert is_traced(4) and is_traced(4)  # and 3 goes
    assert not is_traced(2) and not is_traced(4) and is_traced(3)


def test_their_attributions_are_traced_when_those_of_their_own_network_are(monkeypatch):
    """Traced and not traced differ in rounding; what was traced for one is not traced again."""
    traced, new_trace = [], Explainer._new_trace
    monkeypatch.setattr(
        Explainer, "_new_trace", lambda *given: traced.append(given) or new_trace(*given)
    )
    for few, expected in ((explainer.FEW_PASSES, 0), (0, 4)):
        monkeypatch.setattr(explainer, "FEW_PASSES", few)
        evaluator = judge(TwinEvaluator)
        for seed in range(4):
            judged(evaluator, {}, seed)
        assert len(traced) == expected  # two methods, of the first two candidates


def test_no_model_but_those_kept_stays():
    evaluator, models, new_trainer = judge(TwinEvaluator), [], TwinEvaluator._new_trainer

    def noted(self, *given):
        models.append(weakref.ref(self._model))
        return new_trainer(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwinEvaluator, "_new_trainer", noted)
        for seed in range(4):
            judged(evaluator, {}, seed)
    assert [model() is not None for model in models] == [False, True, False, False]


def test_their_variables_have_a_limit(monkeypatch):
    evaluator = judge(TwinEvaluator)
    judged(evaluator, {"filters": 2}), judged(evaluator, {"filters": 2})
    (small,) = evaluator._kept.values()
    monkeypatch.setattr(twins, "MOST_BYTES", twins._bytes(small.network.model))
    for seed in range(3):  # one that is larger than all is not kept, and takes no other's place
        assert "trace" in judged(evaluator, {"filters": 8}, seed)[2].seconds
    assert "trace" not in judged(evaluator, {"filters": 2})[2].seconds


def structure(changes=(), wrapped=lambda model: model):
    keras.backend.clear_session()
    hp = keras_tuner.HyperParameters()
    hp.values = {**SAMPLE, **dict(changes)}
    space = SearchSpace(Network(), (8, 8, 1), 3)
    return structure_of(wrapped(Network().build(hp)), space, hp.values, 3)


@given(st.floats(1e-4, 1e-1), st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_values_of_variables_are_no_structure(rate, seed):
    keras.utils.set_random_seed(seed)
    assert structure({"rate": rate}) == structure() is not None


@pytest.mark.parametrize(
    "change",
    [("filters", 5), ("activation", "gelu"), ("dropout", 0.3), ("decay", 0.001)],
)
def test_whatever_a_trace_holds_is(change):
    assert structure([change]) != structure()


def test_what_is_called_first_is():
    """The graphs are the same, but for which layer has the first values."""

    def built(first, second):
        keras.backend.clear_session()
        inputs = keras.Input((8, 8, 1))
        branches = {}
        for kind in (first, second):
            branches[kind] = keras.layers.Conv2D(2, 3, activation=kind)(inputs)
        summed = keras.layers.Add()([branches["relu"], branches["gelu"]])
        outputs = keras.layers.Dense(3)(keras.layers.Flatten()(summed))
        return keras.Model(inputs, outputs)

    space = SearchSpace(Network(), (8, 8, 1), 3)
    orders = ("relu", "gelu"), ("gelu", "relu")
    found = {structure_of(built(*names), space, {}, 3) for names in orders}
    assert len(found) == 2 and None not in found


def of_dense(*layers, loss="mse", optimizer=None, kind=keras.Model):
    inputs = keras.Input((4,))
    outputs = keras.Sequential([*layers, keras.layers.Dense(2)])(inputs)
    model = kind(inputs, outputs)
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss)
    return model


class Scaled(keras.layers.Layer):
    """Could hold any state."""

    def call(self, inputs):
        return 2 * inputs


class Loss(keras.losses.Loss):
    """Could hold any state."""

    def method(self, targets, outputs):
        return keras.ops.mean(targets - outputs)


class Optimizer(keras.optimizers.Adam):
    """Could hold any state."""


class Model(keras.Model):
    """Could have a loss of its own."""


def without_decay_of_biases():
    optimizer = keras.optimizers.AdamW(0.01)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


@pytest.mark.parametrize(
    "build",
    [
        lambda: of_dense(Scaled()),
        lambda: of_dense(keras.layers.Lambda(lambda x: 2 * x)),
        lambda: of_dense(keras.layers.Dense(2, activation=lambda x: 2 * x)),
        lambda: of_dense(keras.layers.Normalization(mean=0.0, variance=1.0)),
        lambda: of_dense(loss=Loss()),
        lambda: of_dense(loss=Loss().method),
        lambda: of_dense(optimizer=Optimizer()),
        lambda: of_dense(optimizer=without_decay_of_biases()),
        lambda: of_dense(kind=Model),
    ],
)
def test_what_may_hold_more_than_it_says_has_none(build):
    space = SearchSpace(Network(), (8, 8, 1), 3)
    assert structure_of(of_dense(), space, {}, 3) is not None
    assert structure_of(build(), space, {}, 3) is None
