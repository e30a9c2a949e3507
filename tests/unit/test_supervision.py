"""What an evaluation tells its surroundings, and what it lets them do."""

import errno
import json
import sys
import time
from dataclasses import replace
from functools import cache

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import left_to_all
from tests.datasets import make_dataset
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import RunError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback, Interrupted
from xnas_tf.training.step import Step
from xnas_tf.training.timing import TimedCommunicator
from xnas_tf.utils.phase_times import PhaseTimes

SHAPE = (8, 8, 1)
CANDIDATE = Candidate(1, "g", {"filters": 4}, seed=3, epochs=2)
STEPS = 1
"""Steps of an epoch; so few in all are not traced (test_checkpoint.py traces six)."""
BEATS = 1 + 1 + 2 * (STEPS + 1) + 1 + 2
"""Built, parameters; two epochs of a step and a validation; one method; two measures."""


class Small(keras_tuner.HyperModel):
    """All that has a state: batch normalisation, dropout, and an optimizer."""

    def build(self, hp):
        inputs = keras.Input(SHAPE)
        x = keras.layers.Conv2D(hp.Int("filters", 3, 5), 3)(inputs)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
        x = keras.layers.Dropout(0.2)(keras.layers.Flatten()(x))
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


class TaskCallback(EvaluationCallback):
    """Interrupts at one beat with an error; keeps the last checkpoint."""

    is_careful = True

    def __init__(self, at=None, error=None, data=None):
        self.at, self.error, self.data, self.beats = at, error, data, 0

    def report_progress(self):
        self.beats += 1
        if self.beats == self.at:
            raise self.error

    def wants_checkpoint(self):
        return self.is_careful

    def save_checkpoint(self, data):
        self.data = data

    def checkpoint(self):
        return self.data


def judge_of(**training):
    dataset = make_dataset()
    size = len(dataset.train) // STEPS
    training = {"epochs": 2, "batch_size": size, "augmentation": {"crop": 1}, **training}
    config = load_config(
        overrides=[
            f"training={json.dumps(training)}",
            "objectives=[error, parameters, {name: introspectability, sources: [grad_cam]}]",
        ]
    )
    return Evaluator(config, dataset, small_space(), SingleProcess())


@cache
def small_space():
    return SearchSpace(Small(), SHAPE, 3)


@pytest.fixture(scope="module")
def judge():
    return judge_of()


@pytest.fixture(scope="module")
def whole(judge):
    callback = TaskCallback()
    result = judge.evaluate(CANDIDATE, callback=callback)
    assert result.state == "done" and callback.beats == BEATS
    return result


@pytest.mark.parametrize("at", [BEATS - 3, *left_to_all(4, BEATS)])
def test_interrupted_at_a_beat_it_goes_on_to_the_same_values(judge, whole, at):
    callback = TaskCallback(at, Interrupted("terminated", 143))
    with pytest.raises(Interrupted, match="terminated") as caught:
        judge.evaluate(CANDIDATE, callback=callback)
    assert caught.value.exit_code == 143 and callback.beats == at
    resumed = judge.evaluate(CANDIDATE, callback=TaskCallback(data=callback.data))
    for name in ("state", "reason", "objectives", "metrics", "history"):
        assert getattr(resumed, name) == getattr(whole, name)


def model_after(judge, candidate, callback):
    """The result, and all weights of the model that was judged."""
    weights = []
    keep = lambda _, model: weights.extend(w.tobytes() for w in model.get_weights())  # noqa: E731
    return judge.evaluate(candidate, keep, callback), weights


@pytest.mark.parametrize("is_resumed", [True, *left_to_all(False)])
def test_a_promotion_ends_as_a_training_in_full(is_resumed, monkeypatch):
    """To the last bit where the learning rate is constant, though its state comes from the rung
    below, and from another process."""
    judge = judge_of(schedule="constant", batch_size=30)
    monkeypatch.setattr(TaskCallback, "is_careful", is_resumed)
    lower, promoted = replace(CANDIDATE, epochs=1), replace(CANDIDATE, id=2, promoted_from=1)
    below, above = TaskCallback(), TaskCallback()
    first = judge.evaluate(lower, callback=below)
    above.data = below.data
    if is_resumed:  # cut off in the promotion's second step
        above.at, above.error = 5, Interrupted("terminated", 143)
        with pytest.raises(Interrupted):
            judge.evaluate(promoted, callback=above)
        assert above.data != below.data
        above.at = None
    second, weights = model_after(judge, promoted, above)
    in_full, expected = model_after(judge, CANDIDATE, TaskCallback())
    assert (first.state, first.history) == ("done", in_full.history[:1])
    assert weights == expected
    for name in ("state", "reason", "objectives", "metrics", "history"):
        assert getattr(second, name) == getattr(in_full, name)


def test_a_rung_that_was_already_trained_to_its_end_is_not_saved_again(judge):
    """Else no death while it is scored would count, as those after a new checkpoint do not."""
    lower, first = replace(CANDIDATE, epochs=1), TaskCallback()
    judge.evaluate(lower, callback=first)
    again = TaskCallback(data=first.data)
    again.save_checkpoint = lambda data: pytest.fail("saved without any progress")
    assert judge.evaluate(lower, callback=again).state == "done"


@pytest.mark.long
def test_each_rung_is_a_training_of_its_length(judge):
    """The learning rate falls to nothing on each: as in a training of so many epochs, and after
    the first rung from where one of the next rung's length would be."""
    lower, promoted = replace(CANDIDATE, epochs=1), replace(CANDIDATE, id=2, promoted_from=1)
    below = TaskCallback()
    first = judge.evaluate(lower, callback=below)
    short = judge_of(epochs=1).evaluate(lower, callback=TaskCallback())
    # What is short enough in all is not traced, and rounds otherwise.
    assert first.objectives == pytest.approx(short.objectives, rel=1e-5)
    assert first.history[0] == pytest.approx(short.history[0], rel=1e-5)
    rates, step = [], Step.__call__

    def noted(self, *args):
        rates.append(float(self._model.optimizer.learning_rate))
        return step(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Step, "__call__", noted)
        above = TaskCallback()
        above.data = below.data
        judge.evaluate(promoted, callback=above)
    places = np.arange(len(rates), 2 * len(rates)) / (2 * len(rates))
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(np.pi * places)), rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "note"),
    [(None, "was not found"), (b"damaged", "its checkpoint was ignored: it is damaged")],
)
def test_a_promotion_without_a_state_is_trained_anew(judge, whole, data, note):
    promoted = replace(CANDIDATE, id=2, promoted_from=1)
    result = judge.evaluate(promoted, callback=TaskCallback(data=data))
    assert note in result.reason
    assert (result.objectives, result.history) == (whole.objectives, whole.history)


@pytest.mark.long
def test_what_was_trained_is_kept_when_a_signal_comes_while_it_is_judged(judge, whole, monkeypatch):
    monkeypatch.setattr(TaskCallback, "is_careful", False)  # no step is the last before a signal
    steps, step = [], Step.__call__
    monkeypatch.setattr(Step, "__call__", lambda *args: steps.append(1) or step(*args))
    steps_left = set()
    for at in range(1, BEATS + 1):
        callback = TaskCallback(at, Interrupted("terminated", 143))
        with pytest.raises(Interrupted):
            judge.evaluate(CANDIDATE, callback=callback)
        if callback.data is None:
            continue
        steps.clear()
        resumed = judge.evaluate(CANDIDATE, callback=TaskCallback(data=callback.data))
        steps_left.add(len(steps))
        for name in ("state", "reason", "objectives", "metrics", "history"):
            assert getattr(resumed, name) == getattr(whole, name)
    # in the validations of both epochs, and in the scoring after them
    assert steps_left == {STEPS, 0}


@pytest.mark.parametrize(
    ("error", "is_of_horovod"),
    [
        (ValueError("bad shape in /home/a/horovod-lab/space.py"), False),
        (ValueError("File /opt/Horovod/space.py, line 1"), False),
        (MemoryError("Horovod has no memory left"), False),
        (RuntimeError("Horovod has been shut down. This was caused by an exception"), True),
        (RuntimeError("{{node HorovodGroupedAllreduce_gradients}} failed"), True),
    ],
)
def test_a_rank_that_is_gone_is_told_from_a_failing_candidate(
    judge, monkeypatch, error, is_of_horovod
):
    def fail(*_):
        raise error

    monkeypatch.setattr(judge._communicator, "size", 2)
    monkeypatch.setattr(judge, "_evaluate", fail)
    if is_of_horovod:
        with pytest.raises(RunError, match="another rank died"):
            judge.evaluate(CANDIDATE)
    else:
        assert judge.evaluate(CANDIDATE).state == "failed"


@pytest.mark.parametrize("error", [OSError("disk full"), RunError("rank 0 is gone")])
@pytest.mark.parametrize(
    "where", ["report_progress", "wants_checkpoint", "save_checkpoint", "checkpoint"]
)
def test_what_a_supervisor_raises_is_no_failure_of_the_candidate(judge, monkeypatch, error, where):
    def fail(*_):
        raise error

    monkeypatch.setattr(TaskCallback, where, fail)
    with pytest.raises(type(error)) as caught:
        judge.evaluate(CANDIDATE, callback=TaskCallback())
    assert caught.value is error


@pytest.mark.parametrize(
    ("owner", "name"), [(SearchSpace, "build"), (Step, "__call__"), (Scorer, "score")]
)
def test_a_full_disk_is_no_failure_of_the_candidate(judge, monkeypatch, owner, name):
    """Otherwise, all further candidates would fail within seconds, and the search would end."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "log.csv")

    monkeypatch.setattr(owner, name, full)
    with pytest.raises(OSError, match="log.csv"):
        judge.evaluate(CANDIDATE)


@pytest.mark.parametrize("error", [OSError("disk full"), RunError("gone"), Interrupted("stop")])
def test_what_keeping_raises_neither(judge, monkeypatch, error):
    def keep(*_):
        raise error

    def done(candidate, result, callback):
        result.state = "done"

    monkeypatch.setattr(judge, "_evaluate", done)
    judge._model = None
    with pytest.raises(type(error)):
        judge.evaluate(CANDIDATE, keep)


def leave(*_, **__):
    sys.exit("bye")


@pytest.mark.parametrize(
    ("owner", "name"), [(SearchSpace, "build"), (Step, "__call__"), (Scorer, "score")]
)
def test_sys_exit_in_a_users_code_fails_the_candidate_alone(judge, whole, monkeypatch, owner, name):
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, leave)
        result = judge.evaluate(CANDIDATE)
    assert result.state == "failed" and "SystemExit: bye (test_supervision.py:" in result.reason
    assert judge.evaluate(CANDIDATE).objectives == whole.objectives


def test_sys_exit_where_the_model_is_saved_fails_the_candidate(judge):
    result = judge.evaluate(CANDIDATE, leave)
    assert result.state == "failed"
    assert result.reason.startswith("the model cannot be saved: SystemExit: bye")


@pytest.mark.parametrize("name", ["build", "infeasible"])
def test_ctrl_c_is_no_failure_of_the_candidate(judge, monkeypatch, name):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(SearchSpace, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        judge.evaluate(CANDIDATE)


def test_phases_exclude_each_other(monkeypatch):
    ticks = iter([0.0, 2.0, 7.0, 10.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    seconds = PhaseTimes()
    with seconds.timed("outer"), seconds.timed("inner", within="outer"):
        pass
    assert seconds == {"outer": 5.0, "inner": 5.0}


def test_communication_is_timed_in_graphs_and_outside():
    class Slow(SingleProcess):
        size = 2

        def sum(self, *arrays):
            time.sleep(0.02)
            return list(arrays)

        def sum_tensors(self, tensors, name):
            return tf.numpy_function(self.sum, tensors, [t.dtype for t in tensors])

    seconds = PhaseTimes()
    ranks = TimedCommunicator(Slow(), seconds)
    step = tf.function(lambda x: ranks.sum_tensors([x, x + 1], "test"))
    step(tf.ones(2))
    seconds["communication"] = 0.0
    begin = time.perf_counter()
    ranks.sum(np.zeros(3))
    for _ in range(2):
        np.testing.assert_array_equal(step(tf.ones(2)), [[1, 1], [2, 2]])
    assert 0.06 <= seconds["communication"] <= time.perf_counter() - begin


def test_the_phases_are_all_there(whole):
    phases = {"build", "trace", "train", "validate", "score", "clean", "communication"}
    assert set(whole.seconds) == phases
    assert min(whole.seconds.values()) >= 0 and whole.seconds["trace"] > 0
