"""``training.keep`` and ``training.warmup_epochs``: which weights are kept, and the rates."""

import json
from dataclasses import replace
from functools import cache

import keras
import keras_tuner
import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.spaces import small_cells
from tests.unit.test_supervision import TaskCallback
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.supernet.backend import SupernetBackend
from xnas_tf.evaluation.validator import Validator
from xnas_tf.execution.preparation import ignored_options
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import Interrupted
from xnas_tf.training.checkpoint import BestEpoch, best_epoch
from xnas_tf.training.compilation import compile_model, learning_rate
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.predictor import Predictor

SHAPE = (8, 8, 1)
CANDIDATE = Candidate(1, "small", {"units": 3}, seed=3, epochs=4)
CELL = replace(CANDIDATE, hyperparameters=dict.fromkeys(EDGES, "nor_conv_1x1"))
BEST = 2


class Small(keras_tuner.HyperModel):
    """A tiny network with all that has a state, compiled or not."""

    def __init__(self, is_compiled=False):
        super().__init__()
        self._is_compiled = is_compiled

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Dense(hp.Int("units", 2, 4))(keras.layers.Flatten()(inputs))
        x = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization()(x))
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
        if self._is_compiled:
            model.compile("sgd", "sparse_categorical_crossentropy")
        return model


class Scripted(Validator):
    """The validation accuracies that decide are given: of four epochs the second is the best."""

    def validate(self, model, predictor, epoch):
        accuracies = (0.4, 0.9, 0.5, 0.6)
        return super().validate(model, predictor, epoch) | {"val_accuracy": accuracies[epoch - 1]}


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    monkeypatch.setattr("xnas_tf.evaluation.evaluator.Validator", Scripted)


@cache
def search_space():
    return SearchSpace(Small(), SHAPE, 3)


def parts(keep="best", has_cells=False, **training):
    """Configuration, few images, one step an epoch, too few to be traced, and the search space."""
    settings = {"epochs": 4, "batch_size": 24, "optimizer": "sgd", "keep": keep, **training}
    overrides = [f"training={json.dumps(settings)}", "objectives=[error, parameters]"]
    space = small_cells() if has_cells else search_space()
    return load_config(overrides=overrides), make_dataset(24), space


def evaluator(given, ranks=None, is_shared=False):
    """Evaluates candidates."""
    given = *given, ranks or SingleProcess()
    return Evaluator(*given, SupernetBackend(*given) if is_shared else None)


def evaluated(evaluator, candidate=CANDIDATE, callback=None):
    """The result, and the weights of the model that is kept."""
    weights = []
    keep = lambda _, model: weights.extend(model.get_weights())  # noqa: E731
    result = evaluator.evaluate(candidate, keep, callback)
    assert result.state == "done", result.reason
    return result, weights


class EachEpoch(Evaluator):
    """Notes the weights after each epoch."""

    def __init__(self, *given):
        super().__init__(*given)
        self.weights = []

    def _ends_early(self, candidate, trainer, history):
        self.weights.append(self._model.get_weights())
        return False


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xnas_tf.evaluation.evaluator.Validator", Scripted)
        return evaluated(evaluator(parts()))


def check_same(found, expected, is_exact=True):
    (result, weights), (wanted, wanted_weights) = found, expected
    tolerance = {"rtol": 0, "atol": 0} if is_exact else {"rtol": 1e-4, "atol": 1e-5}
    for one, other in zip(weights, wanted_weights, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)
    assert result.reason == wanted.reason
    for name in ("objectives", "metrics"):
        pairs = getattr(result, name), getattr(wanted, name)
        assert pairs[0] == (pairs[1] if is_exact else pytest.approx(pairs[1], rel=1e-4))
    for one, other in zip(result.history, wanted.history, strict=True):
        assert one == (other if is_exact else pytest.approx(other, rel=1e-4))


@pytest.mark.parametrize(
    ("values", "best"),
    [([(0.5, 1.0)], 1), ([(0.5, 1), (0.7, 2), (0.6, 0.1)], 2), ([(0.7, 2), (0.7, 1), (0.7, 1)], 2)],
)
def test_the_best_epoch_is_that_of_the_highest_accuracy_then_the_lowest_loss(values, best):
    assert best_epoch([{"val_accuracy": a, "val_loss": b} for a, b in values]) == best


def test_the_weights_of_the_epoch_are_kept_and_scored(whole):
    noting = EachEpoch(*parts("last"), SingleProcess())
    found = whole, evaluated(noting)
    best, last = noting.weights[BEST - 1], noting.weights[-1]
    for (result, weights), expected in zip(found, (best, last), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(weights, expected, strict=True))
        model = search_space().build(CANDIDATE.hyperparameters)
        model.set_weights(weights)
        validation = make_dataset(24).validation
        wrong = Predictor(model)(validation.images).argmax(axis=1) != validation.labels
        assert result.objectives["error"] == np.mean(wrong)
    (kept, _), (ended, _) = found
    assert kept.history == ended.history and not np.array_equal(best[0], last[0])
    assert kept.metrics["best_epoch"] == BEST and "best_epoch" not in ended.metrics
    assert kept.metrics["val_loss"] == kept.history[BEST - 1]["val_loss"]


def check_interruptions(own, candidate, expected, is_exact):
    """After the best of epochs of three steps, and while the model with its weights is scored."""
    counting = TaskCallback()
    check_same(evaluated(own, candidate, counting), expected, is_exact)
    for at in (13, counting.beats):
        callback = TaskCallback(at, Interrupted("terminated", 143))
        with pytest.raises(Interrupted):
            own.evaluate(candidate, callback=callback)
        resumed = evaluated(own, candidate, TaskCallback(data=callback.data))
        check_same(resumed, expected, is_exact)


@pytest.mark.long
def test_interrupted_anywhere_it_ends_with_the_same_weights():
    given = parts(batch_size=8)
    expected = evaluated(evaluator(given))
    check_interruptions(evaluator(given), CANDIDATE, expected, is_exact=True)


@pytest.mark.long
def test_in_the_supernet_too():
    given = parts(has_cells=True, batch_size=8)
    expected = evaluated(evaluator(given), CELL)
    shared = evaluator(given, is_shared=True)
    check_interruptions(shared, CELL, expected, is_exact=False)


@pytest.mark.parametrize("data", left_to_all(b"damaged", b""))
def test_a_damaged_checkpoint_is_ignored(data, whole):
    result, _ = evaluated(evaluator(parts()), callback=TaskCallback(data=data))
    assert "its checkpoint was ignored" in result.reason
    assert (result.history, result.metrics) == (whole[0].history, whole[0].metrics)


@pytest.mark.parametrize("rung", [1, *left_to_all(3)])
def test_a_promotion_resumes_from_the_last_weights_and_keeps_the_best_of_all_epochs(rung):
    """The best epoch is in the promotion, or in the rung below and not its last one."""
    own = evaluator(parts(schedule="constant"))
    lower, promoted = replace(CANDIDATE, epochs=rung), replace(CANDIDATE, id=2, promoted_from=1)
    below = TaskCallback()
    first, _ = evaluated(own, lower, below)
    assert first.metrics["best_epoch"] == min(rung, BEST)
    check_same(
        evaluated(own, promoted, TaskCallback(data=below.data)),
        evaluated(own, CANDIDATE, TaskCallback()),
    )


@pytest.mark.parametrize("is_shared", left_to_all(False, True))
def test_all_ranks_keep_the_same_epoch(is_shared):
    given = parts(has_cells=is_shared, batch_size=8)

    def work(ranks):
        own = evaluator(given, ranks, is_shared)
        return evaluated(own, CELL if is_shared else CANDIDATE)

    first, second = on_ranks(2, work)
    check_same(first, second)
    assert first[0].metrics["best_epoch"] == BEST


def test_rank_0_decides_which_epoch_is_the_best():
    """Losses may differ in their last digits on other processors."""
    models = [keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]) for _ in range(2)]

    def work(ranks):
        model, history = models[ranks.rank], []
        best = BestEpoch(model, ranks)
        for epoch, losses in enumerate([(0.3, 0.2), (0.2, 0.3), (0.4, 0.4)]):
            model.set_weights([np.full((1, 1), float(epoch)), np.zeros(1)])
            history.append({"val_accuracy": 0.5, "val_loss": losses[ranks.rank]})
            best.update(history)
        best.restore()
        return best.epoch, float(model.get_weights()[0][0, 0])

    assert on_ranks(2, work) == [(2, 1.0)] * 2


# The warm-up


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize(("warmup", "steps"), [(0.25, 100), (1.5, 7), (2, 10), (0.25, 3), (0, 5)])
def test_the_learning_rate_rises_linearly_and_then_follows_the_schedule(schedule, warmup, steps):
    config = TrainingOptions(epochs=3, learning_rate=0.4, schedule=schedule, warmup_epochs=warmup)
    rate, first, total = learning_rate(config, steps), int(warmup * steps), 3 * steps
    places = np.unique([0, first // 2, first, first + 1, (first + total) // 2, total - 1, total])
    found = [float(rate(int(place))) if callable(rate) else rate for place in places]
    rising = 0.4 * places / max(first, 1)
    after = (places - first) / (total - first)
    falling = 0.2 * (1 + np.cos(np.pi * after)) if schedule == "cosine" else 0.4 + 0 * after
    expected = np.where(places < first, rising, falling)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_a_model_that_is_not_compiled_gets_the_warm_up():
    model = search_space().build(CANDIDATE.hyperparameters)
    compile_model(model, TrainingOptions(learning_rate=0.4, warmup_epochs=2), 4)
    model.optimizer.iterations.assign(6)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.warmup_epochs=3"], "training.warmup_epochs: given 3; allowed: less than"),
        (["training.warmup_epochs=-1"], "training.warmup_epochs: given -1"),
        (["training.keep=bset"], "training.keep: given 'bset' (did you mean 'best'?"),
        (
            ["search.fidelity.epochs=[1, 3]", "training.warmup_epochs=1.5"],
            "search.fidelity.epochs: its first rung is 1, but training.warmup_epochs is 1.5",
        ),
    ],
)
def test_what_is_wrong_is_named(overrides, message):
    with pytest.raises(InputError) as error:
        load_config(overrides=overrides)
    assert message in str(error.value)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_options_that_a_compiled_model_ignores_are_named(is_compiled):
    space = SearchSpace(Small(is_compiled), SHAPE, 3)
    assert ignored_options(load_config(), space) == []
    config = load_config(overrides=["training.warmup_epochs=1", "training.weight_decay=0.1"])
    notes = ignored_options(config, space)
    assert [note.split()[0] for note in notes] == (
        ["training.weight_decay", "training.warmup_epochs"] if is_compiled else []
    )
