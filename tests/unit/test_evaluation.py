import gc

import keras
import numpy as np
import pytest

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from tests.ranks import on_ranks
from tests.spaces import small_cells
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.evaluation.backend import Backend
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.objectives.base import Objective, ObjectiveValue
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.predictor import BATCH, Predictor, cross_entropy
from xnas_tf.training.trainer import Trainer

SHAPE = (8, 8, 1)


def small_model(seed=0, **compiled):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    if compiled:
        model.compile(**compiled)
    return model


def train(model, epochs=3, **changes):
    settings = [
        "training.batch_size=20",
        "training.learning_rate=0.05",
        f"training.epochs={epochs}",
    ]
    settings += [f"training.{key}={value}" for key, value in changes.items()]
    config = load_config(overrides=settings)
    trainer = Trainer(model, make_dataset(), config.training, SingleProcess(), seed=4)
    return [trainer.run_epoch() for _ in range(epochs)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("schedule", ["cosine", *left_to_all("constant")])
def test_every_optimizer_and_schedule_learns(optimizer, schedule):
    rate = 0.05 if optimizer == "sgd" else 0.01
    figures = train(
        small_model(), optimizer=optimizer, schedule=schedule, learning_rate=rate, weight_decay=1e-4
    )
    assert figures[-1]["loss"] < 0.6 * figures[0]["loss"]


def test_a_compiled_model_keeps_its_optimizer_and_a_one_hot_loss_works():
    model = small_model(optimizer=keras.optimizers.Adam(0.02), loss="categorical_crossentropy")
    optimizer = model.optimizer
    figures = train(model)
    assert model.optimizer is optimizer and int(optimizer.iterations) == 9
    assert figures[-1]["loss"] < figures[0]["loss"]


def test_weight_decay_is_the_gradient_of_an_l2_penalty():
    decay = 0.3
    decayed, penalised = small_model(), small_model()
    for weight in penalised.trainable_variables:
        weight.regularizer = keras.regularizers.L2(decay / 2)
    train(decayed, epochs=1, weight_decay=decay)  # three steps, which are not traced
    train(penalised, epochs=1)
    for one, other in zip(decayed.get_weights(), penalised.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 126, *left_to_all(125, 499, 500, 501)])
def test_prediction_does_not_depend_on_batches(count):
    images = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    model = small_model()
    found = Predictor(model)(images)
    assert found.shape == (count, 3)
    for i in range(count):
        if i % BATCH in (0, 1, BATCH - 1):
            expected = model(images[i : i + 1] / np.float32(255))
            np.testing.assert_allclose(found[i : i + 1], expected, atol=1e-6)


def test_cross_entropy_of_known_cases():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    assert cross_entropy(probabilities, np.array([0, 1])) == pytest.approx(-np.log(0.5 * 0.75))
    assert np.isfinite(cross_entropy(np.array([[0.0, 1.0]]), np.array([0])))


def evaluator(*overrides, dataset=None, ranks=None):
    dataset = dataset or make_dataset()
    base = ["training.batch_size=20", "training.epochs=2", "objectives=[error, parameters]"]
    config = load_config(overrides=[*base, *overrides])
    return Evaluator(config, dataset, small_cells(), ranks or SingleProcess())


def candidate(operation="nor_conv_1x1", seed=1):
    """Of a cell with one operation, from its input to its output: quick to trace."""
    direct = [edge for edge, ends in EDGES.items() if ends == (0, 3)]
    cell = dict.fromkeys(EDGES, "none") | dict.fromkeys(direct, operation)
    return Candidate(1, "g", cell, seed=seed, epochs=2)


@pytest.mark.long
def test_an_evaluation_is_a_pure_function():
    judge = evaluator()
    first, other = judge.evaluate(candidate()), judge.evaluate(candidate(seed=2))
    again = judge.evaluate(candidate())
    assert first.state == "done" and set(first.objectives) == {"error", "parameters"}
    assert (first.objectives, first.metrics) == (again.objectives, again.metrics)
    assert first.metrics != other.metrics
    phases = {"build", "trace", "train", "validate", "score", "clean", "communication"}
    assert len(first.history) == 2 and set(first.seconds) == phases


@pytest.mark.long
def test_an_evaluation_leaves_no_graph_behind():
    judge = evaluator("objectives=[error, introspectability]")
    known = {id(graph) for graph in live_graphs()}
    assert judge.evaluate(candidate()).state == "done"
    assert [graph.name for graph in live_graphs() if id(graph) not in known] == []


def live_graphs():
    gc.unfreeze()  # what is frozen is not found
    gc.collect()
    return [it for it in gc.get_objects() if type(it).__name__ == "FuncGraph"]


@pytest.mark.long
def test_the_test_part_is_never_looked_at():
    """Test images of another shape would break anything that touched them."""
    from dataclasses import replace

    from xnas_tf.data import Split

    whole = make_dataset()
    hidden = replace(whole, test=Split(np.zeros((1, 1), np.uint8), np.zeros(1, np.int32)))
    scores = [evaluator(dataset=d).evaluate(candidate()).objectives for d in (whole, hidden)]
    assert scores[0] == scores[1]


def test_infeasible_candidates_cost_no_training(monkeypatch):
    monkeypatch.setattr(Trainer, "run_epoch", lambda *_: pytest.fail("it was trained"))
    no_path = evaluator().evaluate(candidate("none"), lambda *_: pytest.fail("it was kept"))
    assert no_path.state == "infeasible" and "no path" in no_path.reason
    too_large = evaluator("constraints.parameters='<= 10'").evaluate(candidate())
    assert too_large.state == "infeasible" and "wanted: <= 10" in too_large.reason


@pytest.mark.long
def test_a_limit_on_what_is_no_objective_is_measured_and_recorded():
    result = evaluator("constraints.flops='>= 1'").evaluate(candidate())
    assert result.metrics["flops"] > 1 and "flops" not in result.objectives


class Joules(Objective):
    """A measured cost, of which each rank finds another value."""

    needs_training = False
    is_measured = True

    def score(self, subject):
        return ObjectiveValue(11.0 - 10 * subject.communicator.rank)


def test_all_ranks_heed_the_limit_that_rank_0_finds_broken():
    """Otherwise, the others would begin to train, and wait for rank 0."""
    name = f"{__name__}:Joules"
    measured = [f"objectives=[error, '{name}']", f"constraints={{'{name}': '<= 5'}}"]
    found = on_ranks(2, lambda ranks: evaluator(*measured, ranks=ranks).evaluate(candidate()))
    assert [result.state for result in found] == ["infeasible", "infeasible"]
    assert {result.reason for result in found} == {f"{name} is 11, wanted: <= 5"}


def test_what_goes_wrong_is_recorded_and_later_candidates_are_fine(monkeypatch):
    few_steps = "training.batch_size=30"  # four, which are not traced
    lost = evaluator(few_steps, "training.learning_rate=1e38").evaluate(candidate())
    assert lost.state == "failed" and "loss became" in lost.reason and not lost.objectives

    judge = evaluator(few_steps)
    for error in (MemoryError("out of memory"), ValueError("some reason"), RuntimeError("")):

        def fail(*_, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(NASBench201, "_build", fail, raising=False)
            patch.setattr(SearchSpace, "build", fail)
            result = judge.evaluate(candidate())
        assert result.state == "failed" and type(error).__name__ in result.reason
    assert judge.evaluate(candidate()).state == "done"


@pytest.mark.long
def test_a_validation_loss_that_is_no_number_is_recorded(tmp_path, monkeypatch):

    from xnas_tf.evaluation import validator as module
    from xnas_tf.storage.database import Database

    monkeypatch.setattr(module, "evaluate_outputs", lambda *_: {"loss": float("nan")})
    result = evaluator().evaluate(candidate())
    assert result.state == "failed" and "validation loss became nan in epoch 1" in result.reason
    record = Database(tmp_path / "run.sqlite", create=True)
    record.save(candidate().with_result(result))
    assert record.candidates()[0].state == "failed"


def test_a_test_loss_that_is_no_number_is_not_recorded(tmp_path, monkeypatch):
    """The database refuses it, which ended the search, and each search that resumed it."""

    from xnas_tf.evaluation.validator import Validator
    from xnas_tf.storage.database import Database

    def predict(images):
        return np.full((len(images), 3), np.nan, np.float32)

    test = Validator.test
    monkeypatch.setattr(Validator, "test", lambda self, _: test(self, predict))
    result = evaluator("test=all").evaluate(candidate())
    assert result.state == "done" and "not recorded: test_loss is nan" in result.reason
    assert "test_loss" not in result.metrics and 0 <= result.metrics["test_accuracy"] <= 1
    record = Database(tmp_path / "run.sqlite", create=True)
    record.save(candidate().with_result(result))
    assert record.candidates()[0].metrics == result.metrics


def test_saved_models_are_queried_without_the_devices_of_objectives():
    """The driver on Ray has no GPU, on which its ranks measured the latency."""
    dataset = make_dataset()
    with pytest.raises(InputError, match="latency: device: '/GPU:7'"):
        evaluator("objectives=[error, {name: latency, device: '/GPU:7'}]", dataset=dataset)
    model, images = small_model(), dataset.test.images
    access = Backend().reloaded(candidate(), model, len(images))
    expected = model.predict(images / np.float32(255), verbose=0)
    np.testing.assert_allclose(access.predictor(images), expected, rtol=1e-5)
    assert access.shared_models == {}


def test_what_went_wrong_in_a_graph_is_said_in_one_line():
    import tensorflow as tf

    from xnas_tf.registry import describe

    def act(x):
        raise MemoryError("a GPU is full")

    @tf.function
    def step(x):
        return tf.numpy_function(act, [x], x.dtype) * 2

    with pytest.raises(tf.errors.ResourceExhaustedError) as raised:
        step(tf.ones(3))
    assert describe(raised.value).startswith("ResourceExhaustedError: MemoryError: a GPU is full (")


def test_what_went_wrong_in_a_layer_names_the_layer():
    from xnas_tf.registry import describe

    class Odd(keras.layers.Layer):
        def call(self, x):
            raise ValueError("too odd a number")

    with pytest.raises(ValueError, match="too odd") as raised:
        Odd()(np.ones((1, 3), np.float32))
    assert describe(raised.value).startswith("ValueError: too odd a number (in Odd.call()) (")
