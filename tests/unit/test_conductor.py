"""The search without Keras: candidates handed out, answered in any order, killed at any time."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_algorithm import CellSpace
from xnas_tf.candidate import Result
from xnas_tf.config import load_config
from xnas_tf.errors import RunError
from xnas_tf.execution import coordinator as coordination
from xnas_tf.execution.callbacks import Callback, Callbacks
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.storage.run_directory import checkpoint_path, model_path, open_database
from xnas_tf.strategy import Algorithm
from xnas_tf.strategy.pareto import pareto_front

WORDS = ["objectives=[error, parameters]", "training.epochs=1"]


def configuration(candidates=30, population=6):
    return load_config(
        overrides=[*WORDS, f"search={{candidates: {candidates}, population: {population}}}"]
    )


def search_of(config, steady_state=True):
    return Algorithm(config.search, config.directions, CellSpace(), steady_state)


FAILED = Result("failed", "the loss became nan in epoch 1")
INFEASIBLE = Result("infeasible", "no path")


def done(error, parameters, **more):
    objectives = {"error": error, "parameters": parameters}
    return Result("done", objectives=objectives, seconds={"train": 1.0}, **more)


def result_of(task):
    """What an evaluation would find: a function of the task alone."""
    error, parameters, luck = np.random.default_rng(task.seed).random(3).tolist()
    if luck < 0.1:
        return FAILED
    if luck < 0.25:
        return INFEASIBLE
    return done(error, parameters, metrics={"val_accuracy": 1 - error})


class Notes(Callback):
    """Keeps the messages for the user."""

    def __init__(self):
        self.texts = []

    def on_message(self, text):
        self.texts.append(text)


class Killed(Exception):
    """The process was killed: nothing it held in memory is left."""


class Groups:
    """Groups that work at their own pace until the search is over or the process is killed."""

    result_of = staticmethod(result_of)

    def __init__(self, path, config, steady_state, count, rng, observers=(), clock=time.monotonic):
        self.path, self.config, self.steady, self.count = path, config, steady_state, count
        self.rng, self.observers, self.clock = rng, observers, clock

    def run(self, steps=10**9):
        """Makes so many moves, each of a group drawn at random; returns all tasks."""
        record = open_database(self.path, self.config)
        try:
            coordinator = self.coordinator(record)
            self._work(coordinator, steps)
            coordinator.end()
        finally:
            record.close()

    def coordinator(self, record):
        algorithm = search_of(self.config, self.steady)
        return Coordinator(
            self.path, self.config, record, algorithm, Callbacks(self.observers), self.clock
        )

    def begin(self, coordinator, task):
        """What there is to tell of a task in the end."""
        return self.result_of(task)

    def end(self, coordinator, task, result):
        coordinator.tell(task, result)

    def _work(self, coordinator, steps):
        busy = {}
        while not coordinator.is_over:
            steps -= 1
            if steps < 0:
                raise Killed
            group = int(self.rng.integers(self.count))
            with coordinator.transaction():
                if group in busy:
                    self.end(coordinator, *busy.pop(group))
                elif task := coordinator.ask(group):
                    busy[group] = task, self.begin(coordinator, task)


def candidates(path, config):
    record = open_database(path, config)
    found = record.candidates()
    record.close()
    return found


def facts(c):
    return c.id, c.genotype, c.parents, c.state, c.finish_order


@settings(deadline=None, max_examples=12)
@given(
    st.integers(1, 9), st.booleans(), st.lists(st.integers(1, 40), max_size=4), st.integers(0, 99)
)
@pytest.mark.long
def test_kills_lose_and_repeat_nothing(tmp_path_factory, count, steady_state, kills, seed):
    """Whatever the number of groups, which may change from start to start."""
    path = tmp_path_factory.mktemp("run") / "run"
    config, rng = configuration(), np.random.default_rng(seed)
    known = {}
    for steps in kills:
        groups = Groups(path, config, steady_state, int(rng.integers(1, count + 1)), rng)
        try:
            groups.run(steps)
        except Killed:
            pass
        ended = {c.id: facts(c) for c in candidates(path, config) if c.finish_order}
        assert known.items() <= ended.items()
        known = ended
    Groups(path, config, steady_state, count, rng).run()
    found = candidates(path, config)
    assert known.items() <= {c.id: facts(c) for c in found}.items()
    assert sum(c.trained for c in found) == 30
    assert [c.id for c in found] == list(range(1, len(found) + 1))
    assert len({c.genotype for c in found}) == len(found)
    assert sorted(c.finish_order for c in found) == list(range(1, len(found) + 1))
    assert all(c.finished_before < c.finish_order for c in found)


@pytest.mark.long
@settings(deadline=None, max_examples=8)
@given(st.integers(1, 9), st.integers(0, 99))
def test_a_generational_search_finds_the_same_with_any_number_of_groups(
    tmp_path_factory, count, seed
):
    found = []
    for groups in (1, count):
        path = tmp_path_factory.mktemp("run") / "run"
        rng = np.random.default_rng(seed)
        Groups(path, configuration(), False, groups, rng).run()
        trained = [c for c in candidates(path, configuration()) if c.trained]
        found.append([(c.genotype, c.parents, c.generation) for c in trained][:24])
    # The last generation may be cut off elsewhere, since it is not whole.
    assert found[0] == found[1]


def test_a_group_that_is_free_never_waits_in_steady_state(tmp_path):
    coordinator = coordinator_of(tmp_path / "run")
    slow = coordinator.ask(0)
    for _ in range(200):
        if coordinator._stopping.trained < 29:
            task = coordinator.ask(1)
            assert task is not None
            coordinator.tell(task, result_of(task))
    # nothing is left to hand out, but the slow one may still be infeasible
    assert coordinator.ask(1) is None and not coordinator.is_over
    coordinator.tell(slow, INFEASIBLE)
    assert coordinator.ask(1) is not None


def coordinator_of(path, config=None, callbacks=(), **more):
    config = config or configuration()
    record = open_database(path, config)
    return Coordinator(path, config, record, search_of(config), Callbacks(callbacks), **more)


def test_only_the_first_outcome_of_a_candidate_counts(tmp_path):
    coordinator = coordinator_of(tmp_path / "run")
    task = coordinator.ask()
    coordinator.tell(task, Result("failed", "it hung"))
    coordinator.tell(task, result_of(task))
    assert [c.reason for c in candidates(tmp_path / "run", configuration())] == ["it hung"]


def test_models_and_checkpoints_of_candidates_are_kept(tmp_path):
    path = tmp_path / "run"
    coordinator = coordinator_of(path)
    good, bad = coordinator.ask(), coordinator.ask()
    coordinator.save_checkpoint(good, b"half way")
    assert coordinator.checkpoint(good) == b"half way"
    assert coordinator.checkpoint(replace(good, id=99)) == b""
    assert coordinator.wants_model(good, done(0.1, 5.0))
    coordinator.save_model(good, b"model")
    with coordinator.transaction():
        coordinator.tell(good, done(0.1, 5.0))
        assert checkpoint_path(path, good.id).exists()  # until that is recorded
    assert model_path(path, good.id).read_bytes() == b"model"
    assert not checkpoint_path(path, good.id).exists()
    assert not coordinator.wants_model(bad, done(0.2, 6.0))
    assert not coordinator.wants_model(bad, FAILED)


def test_a_candidate_whose_group_dies_twice_is_failed_when_the_run_goes_on(tmp_path):
    for _ in range(2):
        coordinator = coordinator_of(tmp_path / "run")
        tasks = [coordinator.ask(group) for group in (0, 1)]
        coordinator.lost(tasks[1], "another rank died")
        assert tasks[1].id == 2
    coordinator = coordinator_of(tmp_path / "run")
    assert [coordinator.ask().id for _ in range(2)] == [1, 3]  # 2 is not tried again
    first, second, _ = candidates(tmp_path / "run", configuration())
    assert (first.state, first.lost_groups) == ("running", 0)
    assert (second.state, second.lost_groups) == ("failed", 2)
    assert second.reason == DEAD


DEAD = "its process died 2 times while it was evaluated, as happens if memory runs out"


def test_a_candidate_that_ends_its_process_twice_is_failed(tmp_path):
    """Each coordinator stands for a process that ends without another word."""
    notes = Notes()
    for _ in range(2):
        task = coordinator_of(tmp_path / "run", in_process=True).ask()
        assert task.id == 1
    coordinator = coordinator_of(tmp_path / "run", callbacks=[notes], in_process=True)
    with coordinator.transaction():
        assert coordinator.ask().id == 2
    first, _ = candidates(tmp_path / "run", configuration())
    assert (first.state, first.lost_groups, first.reason) == ("failed", 2, DEAD)
    assert "the process died while candidate 1 was evaluated" in notes.texts[0]
    assert (tmp_path / "run" / ".evaluating").read_text() == "2"


def test_a_process_that_ends_in_order_is_not_held_against_its_candidate(tmp_path):
    for end in (lambda c, _: c.stop_blaming(), lambda c, task: c.lost(task, "rank 1 died"), None):
        coordinator = coordinator_of(tmp_path / "run", in_process=True)
        task = coordinator.ask()
        if end:
            end(coordinator, task)
    (first,) = candidates(tmp_path / "run", configuration())
    assert first.lost_groups == 1  # by the rank that died, and nothing else


def test_a_process_that_was_asked_to_stop_blames_no_candidate_that_it_was_about_to_begin(tmp_path):
    """The signal may come while the algorithm proposes, which takes long with a surrogate."""
    for _ in range(2):
        coordinator = coordinator_of(tmp_path / "run", in_process=True)
        coordinator.stop_blaming()
        coordinator.ask()
    assert not (tmp_path / "run" / ".evaluating").exists()
    (first,) = candidates(tmp_path / "run", configuration())
    assert (first.state, first.lost_groups) == ("running", 0)


@pytest.mark.parametrize("death", ["of the process", "of a rank"])
def test_only_deaths_without_a_new_checkpoint_count(tmp_path, death):
    """Otherwise, a long training that is killed now and then would be recorded as failed."""
    for is_saved in (True, True, True, False, True, False):
        coordinator = coordinator_of(tmp_path / "run", in_process=death == "of the process")
        task = coordinator.ask()
        assert task.id == 1
        if is_saved:
            coordinator.save_checkpoint(task, b"state")
        if death == "of a rank":
            coordinator.lost(task, "another rank died")
    coordinator_of(tmp_path / "run", in_process=True).ask()
    first, _ = candidates(tmp_path / "run", configuration())
    assert (first.state, first.lost_groups, first.reason) == ("failed", 2, DEAD)


def test_a_result_is_not_counted_as_a_death(tmp_path):
    coordinator = coordinator_of(tmp_path / "run", in_process=True)
    coordinator.tell(coordinator.ask(), done(0.1, 5.0))
    assert coordinator_of(tmp_path / "run", in_process=True).ask().id == 2
    found = candidates(tmp_path / "run", configuration())
    assert [c.lost_groups for c in found] == [0, 0]


def test_a_driver_that_dies_blames_no_group_but_counts_an_earlier_death(tmp_path):
    for in_process in (False, True, False, False):  # the second dies on its own
        coordinator_of(tmp_path / "run", in_process=in_process).ask()
    (first,) = candidates(tmp_path / "run", configuration())
    assert (first.state, first.lost_groups) == ("running", 1)


def test_a_full_disk_is_not_held_against_a_candidate(tmp_path):
    for _ in range(3):
        coordinator = coordinator_of(tmp_path / "run", in_process=True)
        coordinator.ask()
        coordinator.database.close()  # nothing can be written any more
        coordinator.stop_blaming()
    (first,) = candidates(tmp_path / "run", configuration())
    assert (first.state, first.lost_groups) == ("running", 0)


def test_the_seconds_before_an_interruption_count_up_to_the_last_checkpoint(tmp_path):
    now = [0.0]
    for steps in ([100, 50, 7], [20, 3], [10]):  # the last of each is lost, or ends the evaluation
        coordinator = coordinator_of(tmp_path / "run", clock=lambda: now[0])
        task = coordinator.ask()
        for seconds in steps[:-1]:
            now[0] += seconds
            coordinator.save_checkpoint(task, b"state")
        now[0] += steps[-1]
    (running,) = candidates(tmp_path / "run", configuration())
    assert running.seconds == {"train": pytest.approx(170)}
    coordinator.tell(task, done(0.1, 5.0))
    (ended,) = candidates(tmp_path / "run", configuration())
    assert ended.seconds == {"train": pytest.approx(171)}


def test_versions_are_those_of_the_evaluation_and_changes_are_warned_of(tmp_path, monkeypatch):
    path, notes = tmp_path / "run", []

    class Listener(Callback):
        def on_message(self, text):
            notes.append(text)

    for keras in ("3.1", "3.1", "3.2"):
        monkeypatch.setattr(coordination, "versions", lambda keras=keras: {"keras": keras})
        coordinator = coordinator_of(path, callbacks=[Listener()])
        task = coordinator.ask()
        with coordinator.transaction():
            coordinator.tell(task, result_of(task))
        coordinator.ask()  # killed while this one is evaluated
    found = [c.versions["keras"] for c in candidates(path, configuration())]
    assert found == ["3.1", "3.1", "3.2", "3.2"]
    (note,) = notes
    assert note.startswith("warning: versions have changed since the latest result (keras: '3.1' ")


def test_a_run_of_another_search_is_not_gone_on_with(tmp_path):
    coordinator_of(tmp_path / "run").ask()
    config = configuration()
    other = search_of(config)
    other.ask()
    record = open_database(tmp_path / "run", config)
    with pytest.raises(RunError, match="cannot be resumed: candidate 1 in its database"):
        Coordinator(tmp_path / "run", config, record, other)


def test_the_front_is_that_of_all_candidates(tmp_path):
    config = configuration()
    Groups(tmp_path / "run", config, True, 3, np.random.default_rng(0)).run()
    coordinator = coordinator_of(tmp_path / "run")
    everyone = candidates(tmp_path / "run", config)
    assert {c.id for c in coordinator._state.front} == {
        c.id for c in pareto_front(everyone, config)
    }
    assert coordinator.is_over and coordinator.ask() is None
