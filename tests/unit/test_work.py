"""What a rank does with a candidate, and with signals, hangs and failures, without training."""

import functools
import json
import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from tests.datasets import make_dataset
from tests.ranks import on_ranks
from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import Config
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import RankDiedError, RunError
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.execution import task as evaluation
from xnas_tf.execution.task_source import local_source
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.execution.worker import Worker
from xnas_tf.keras_tools.model_files import model_bytes
from xnas_tf.objectives.base import ObjectiveValue
from xnas_tf.training.callbacks import Interrupted


class Source:
    """Hands out a list of tasks and notes what it is told."""

    def __init__(self, *tasks):
        self.tasks = list(tasks)
        self.told, self.models, self.checkpoints, self.deaths = [], {}, {}, []
        self.epochs = []

    def ask(self, group=0):
        return self.tasks.pop(0) if self.tasks else None

    def known(self, task, result):
        return replace(result, state="done", reused_from=result.digest)

    def wants_model(self, task, result):
        return result.objectives["error"] < 0.5

    def save_model(self, task, data):
        self.models[task.id] = data

    def save_checkpoint(self, task, data):
        self.checkpoints[task.id] = data

    def checkpoint(self, task):
        return self.checkpoints.get(task.id, b"")

    def on_epoch_end(self, task, history):
        self.epochs.append((task.id, len(history)))

    def tell(self, task, result):
        self.told.append((task.id, result.state, result.reason))

    def lost(self, task, why):
        self.deaths.append((task.id, why))


class Evaluator:
    """Does what it is told with each candidate, and calls that an evaluation."""

    def __init__(self, *acts):
        self.acts = list(acts)

    def evaluate(self, candidate, keep=None, callback=None):
        return self.acts.pop(0)(candidate, keep, callback)


def done(candidate, keep, callback):
    callback.report_progress()
    return Result("done", objectives={"error": 0.9})


def task(number):
    return Candidate(number, f"g{number}", {}, seed=1)


def worker(source, evaluator, ranks=None, minutes=1e-9):
    local = local_source(source) if source else None
    return Worker(evaluator, ranks or SingleProcess(), local, Watchdog(60), minutes)


def test_all_ranks_work_until_nothing_is_left():
    source = Source(task(1), task(2))

    def rank(ranks):
        failed = lambda *_: Result("failed", "the loss became nan")  # noqa: E731
        evaluator = Evaluator(done, failed)
        worker(source if ranks.rank == 0 else None, evaluator, ranks).run()
        return evaluator.acts

    assert on_ranks(2, rank) == [[], []]
    assert source.told == [(1, "done", ""), (2, "failed", "the loss became nan")]


def test_rank_0_reports_each_epoch():
    def trains(candidate, keep, callback):
        history = []
        for _ in range(2):
            history.append({"loss": 1.0})
            callback.on_epoch_end(history)
        return Result("done", history=history)

    source = Source(task(1))

    def rank(ranks):
        worker(source if ranks.rank == 0 else None, Evaluator(trains), ranks).run()

    on_ranks(2, rank)
    assert source.epochs == [(1, 1), (1, 2)]


def test_what_is_known_is_taken_over():
    def known(candidate, keep, callback):
        result = Result(digest="candidate 3 of run")
        result.update(callback.known(result))
        assert (result.state, result.reused_from) == ("done", "candidate 3 of run")
        return result

    source = Source(task(1))
    worker(source, Evaluator(known)).run()
    assert source.told == [(1, "done", "")]


def test_models_are_kept_that_the_search_wants():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

    def of(error):
        def act(candidate, keep, callback):
            result = Result("done", objectives={"error": error})
            keep(result, model)
            return result

        return act

    source = Source(task(1), task(2))
    worker(source, Evaluator(of(0.1), of(0.9))).run()
    assert set(source.models) == {1} and source.models[1][:2] == b"PK"


def test_checkpoints_go_to_the_search_and_come_back():
    def act(candidate, keep, callback):
        assert callback.checkpoint() is None
        assert callback.wants_checkpoint()  # every 1e-9 minutes
        callback.save_checkpoint(b"half")
        assert callback.checkpoint() == b"half"
        return Result("done")

    source = Source(task(1))
    worker(source, Evaluator(act)).run()
    assert source.checkpoints == {1: b"half"}


def test_checkpoints_are_wanted_in_time_only():
    def act(candidate, keep, callback):
        assert not callback.wants_checkpoint()
        return Result("done")

    worker(Source(task(1)), Evaluator(act), minutes=60).run()


def test_a_signal_makes_rank_0_save_and_leave():
    source = Source(task(1), task(2))
    working = worker(source, None, minutes=60)

    def act(candidate, keep, callback):
        working.signals.stopping = 143
        assert callback.wants_checkpoint()
        callback.save_checkpoint(b"half")
        callback.report_progress()
        pytest.fail("it went on")

    working.evaluator = Evaluator(act)
    with pytest.raises(Interrupted, match="SIGTERM") as raised:
        working.run()
    assert raised.value.exit_code == 143
    assert source.checkpoints == {1: b"half"} and source.told == []


def test_a_signal_between_two_candidates_ends_the_search_too():
    source = Source(task(1))
    working = worker(source, None)
    working.signals.stopping = 130
    with pytest.raises(Interrupted, match="SIGINT"):
        working.run()
    assert source.told == [] and source.tasks


class Member(SingleProcess):
    """A rank of two that is not the first."""

    rank, size = 1, 2


def test_a_signal_lets_another_rank_go_on_until_rank_0_is_gone():
    working = worker(None, Evaluator(done), ranks=Member())
    heard = iter([vars(task(1)), None, None])
    working.ranks.broadcast = lambda message=None: next(heard)
    working.signals.stopping = 143
    working.run()  # what rank 0 says counts
    with pytest.raises(Interrupted):  # it says nothing more
        working.run()
    working.signals.stopping = 0
    with pytest.raises(RunError, match="another rank is gone"):
        working.run()


def test_a_rank_that_dies_is_noted_with_the_candidate():
    def act(candidate, keep, callback):
        raise RankDiedError("another rank died")

    source = Source(task(7))
    with pytest.raises(RunError):
        worker(source, Evaluator(act)).run()
    assert source.deaths == [(7, "another rank died")] and source.told == []


@pytest.mark.parametrize(("seconds", "error"), [(15, RunError), (1, Interrupted)])
def test_it_is_not_where_a_signal_has_left_it_no_time(seconds, error):
    """horovodrun sends the others SIGTERM as soon as a rank has died."""

    def act(candidate, keep, callback):
        working.signals.stopping = 143
        working.signals._deadline = time.monotonic() + seconds
        raise RankDiedError("another rank died")

    source = Source(task(7))
    working = worker(source, Evaluator(act))
    with pytest.raises(error):
        working.run()
    assert bool(source.deaths) == (seconds > 5) and source.told == []


def fails(candidate, keep, callback):
    callback.failed("out of memory")
    return Result("failed", "out of memory")


def test_where_all_ranks_fail_the_search_goes_on():
    source = Source(task(1), task(2))
    on_ranks(
        2,
        lambda ranks: worker(
            source if ranks.rank == 0 else None, Evaluator(fails, done), ranks
        ).run(),
    )
    assert source.told == [(1, "failed", "out of memory"), (2, "done", "")]


def test_a_failure_of_one_rank_alone_ends_the_job(monkeypatch):
    monkeypatch.setattr(evaluation, "FAILURE_TIMEOUT", 0.1)

    class First(SingleProcess):
        size = 2

        def sum_tensors(self, tensors, name):
            raise RuntimeError("nobody comes")

    source = Source(task(1))
    with pytest.raises(RunError, match="candidate 1 failed only on rank 0 of its group"):
        worker(source, Evaluator(fails), First()).run()
    ((number, state, reason),) = source.told
    assert (number, state) == (1, "failed") and "out of memory" in reason


def test_figures_are_plain_enough_for_json():
    result = Result("done", objectives={"error": np.float64(0.5)})
    with result.seconds.timed("train"):
        pass
    assert json.loads(json.dumps(result.as_dict()))["objectives"] == {"error": 0.5}


def test_what_a_users_measure_finds_is_plain_enough_for_json(monkeypatch):
    scorer, result = Scorer(Config(), make_dataset()), Result()
    for measure in scorer._measures:
        score = ObjectiveValue(
            np.float32(0.5), {"part": np.float32(0.25), "none": np.float32("nan")}
        )
        monkeypatch.setattr(type(measure), "score", lambda *_, score=score: score)
    scorer.score(None, result, trained=True)
    found = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert set(found["objectives"].values()) == {0.5} and found["metrics"] == {"part": 0.25}


def test_a_model_is_saved_without_how_it_was_compiled(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))
    model.compile("adam", functools.partial(keras.losses.sparse_categorical_crossentropy))
    (tmp_path / "model.keras").write_bytes(model_bytes(model))
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    images = np.eye(3, dtype=np.float32)
    assert not loaded.compiled and model.compiled
    np.testing.assert_array_equal(loaded(images), model(images))
