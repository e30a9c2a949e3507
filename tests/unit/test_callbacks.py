"""Callbacks of a search: when they are called, what they get, and that they cannot harm it."""

import json

import pytest
import yaml

import xnas_tf as xt
from tests.unit.test_conductor import (
    Groups,
    Killed,
    candidates,
    configuration,
    coordinator_of,
    result_of,
)
from xnas_tf.candidate import Result
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import Callbacks, check_callbacks
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import check_resumable, open_database
from xnas_tf.training.callbacks import Interrupted


class Events(xt.Callback):
    """Keeps what it is called with; its methods fail with an error, if one is given."""

    def __init__(self, error=None):
        self.error, self.events, self.messages = error, [], []

    def add(self, *event):
        self.events.append(event)
        if self.error:
            raise self.error

    def on_search_begin(self, run):
        self.add("search begins", len(run))

    def on_candidate_begin(self, run, candidate):
        assert candidate.state == "running" and candidate in run
        self.add("begins", candidate.id)

    def on_candidate_end(self, run, candidate):
        assert run[candidate.id].state == candidate.state != "running"  # it is recorded
        self.add("ends", candidate.id)

    def on_generation_end(self, run, generation):
        self.add("generation", generation)

    def on_message(self, text):
        self.messages.append(text)
        if self.error:
            raise self.error

    def on_search_end(self, run, error):
        self.add("search ends", error)


def search(path, *callbacks, candidates=18, steps=10**9, between=lambda coordinator: None):
    """A search without Keras in one group, as a session runs it."""
    config, called = configuration(candidates, population=6), Callbacks(callbacks)
    record = open_database(path, config)
    try:
        coordinator = Groups(path, config, False, 1, None, callbacks).coordinator(record)
        coordinator.callbacks = called
        with called.over_search(coordinator.run):
            while not coordinator.is_over:
                if steps == 0:
                    raise Killed
                steps -= 1
                with coordinator.transaction():
                    task = coordinator.ask()
                if task:
                    with coordinator.transaction():
                        coordinator.tell(task, result_of(task))
                between(coordinator)
            coordinator.end()
    finally:
        record.close()


def test_the_order_of_a_search(tmp_path):
    heard = Events()
    search(tmp_path / "run", heard)
    events = heard.events
    assert events[0] == ("search begins", 0) and events[-1] == ("search ends", None)
    ended = [number for what, number in events if what == "ends"]
    assert ended == [number for what, number in events if what == "begins"]
    assert ended == [c.id for c in candidates(tmp_path / "run", configuration())]
    assert [number for what, number in events if what == "generation"] == [1, 2, 3]
    for generation in (1, 2, 3):  # after its last candidate
        before = events[events.index(("generation", generation)) - 1]
        assert before[0] == "ends"


def test_a_resumed_search_repeats_only_what_was_not_recorded(tmp_path):
    first, second, third = Events(), Events(), Events()
    with pytest.raises(Killed):
        search(tmp_path / "run", first, steps=9)
    assert isinstance(first.events[-1][1], Killed)
    search(tmp_path / "run", second)
    assert second.events[0] == ("search begins", 9)
    search(tmp_path / "run", third)
    assert [what for what, _ in third.events] == ["search begins", "search ends"]
    for what in ("ends", "generation"):
        heard = [number for event, number in first.events + second.events if event == what]
        assert heard == sorted(set(heard))


def test_a_candidate_given_up_in_a_resumed_search_ends_after_the_search_begins(tmp_path):
    for _ in range(2):
        coordinator = coordinator_of(tmp_path / "run")
        coordinator.lost(coordinator.ask(), "another rank died")
    heard = Events()
    search(tmp_path / "run", heard)
    assert heard.events[:3] == [("search begins", 1), ("ends", 1), ("begins", 2)]


def test_its_run_has_the_front_and_the_hypervolume_that_a_reader_finds(tmp_path):
    class Compared(xt.Callback):
        count = 0

        def on_candidate_end(self, run, candidate):
            read = Run(run.path)
            assert [c.id for c in run.pareto()] == [c.id for c in read.pareto()]
            assert run.hypervolume() == pytest.approx(read.hypervolume())
            assert run.recommendation().id == read.recommendation().id
            Compared.count += 1

    listening = Events()
    search(tmp_path / "run", Compared(), listening)
    assert Compared.count >= 18 and not listening.messages


def test_only_candidates_that_are_new_on_the_front_are_copied(tmp_path):
    """A front of several objectives may have thousands."""

    class Counted(xt.Callback):
        before, sizes = (), []

        def on_candidate_end(self, run, candidate):
            new = [c for c in run.pareto() if all(c is not each for each in self.before)]
            assert [c.id for c in new] in ([], [candidate.id])
            self.before = run.pareto()
            self.sizes.append(len(self.before))

    listening = Events()
    search(tmp_path / "run", Counted(), listening)
    assert max(Counted.sizes) > 1 and not listening.messages


class Clearing(xt.Callback):
    """Changes all that it is given."""

    def clear(self, candidate):
        for values in (candidate.objectives, candidate.metrics, candidate.hyperparameters):
            values.clear()

    def on_candidate_begin(self, run, candidate):
        self.clear(candidate)

    def on_epoch_end(self, run, candidate, epoch, logs):
        self.clear(candidate)
        logs.clear()

    def on_candidate_end(self, run, candidate):
        self.clear(candidate)
        for each in run.pareto():
            self.clear(each)


def test_a_callback_that_changes_candidates_does_not_change_the_search(tmp_path):
    history = [{"loss": 1.0}]

    def end_epoch(coordinator):
        with coordinator.transaction():
            for task in list(coordinator._pending.values()):
                coordinator.on_epoch_end(task, history)

    search(tmp_path / "a", Clearing(), between=end_epoch)
    search(tmp_path / "b")
    found, wanted = (candidates(tmp_path / name, configuration()) for name in "ab")
    for one, other in zip(found, wanted, strict=True):
        assert (one.genotype, one.objectives) == (other.genotype, other.objectives)
        assert (one.hyperparameters, one.metrics) == (other.hyperparameters, other.metrics)
    assert history == [{"loss": 1.0}]


@pytest.mark.parametrize("error", [ValueError("no server"), SystemExit(3)])
def test_a_callback_that_fails_costs_a_message_for_each_reason(tmp_path, error):
    alone, beside, broken = Events(), Events(), Events(error)
    search(tmp_path / "alone", alone, candidates=6)
    search(tmp_path / "run", broken, beside, candidates=6)
    assert beside.events == alone.events == broken.events
    (message,) = beside.messages
    assert message.startswith(f"Events failed: {type(error).__name__}: {error} (test_callbacks.py")


def test_an_interruption_is_no_failure():
    def interrupt(callback):
        raise Interrupted("SIGTERM")

    with pytest.raises(Interrupted):
        Callbacks([xt.Callback()]).call(interrupt)


def test_all_callbacks_end_if_one_is_interrupted():
    heard = Events()
    with (
        pytest.raises(KeyboardInterrupt),
        Callbacks([Events(KeyboardInterrupt()), heard]).over_search([]),
    ):
        pass
    assert isinstance(heard.events[-1][1], KeyboardInterrupt)


class Stopping(xt.Callback):
    def on_candidate_end(self, run, candidate):
        if candidate.id == 4:
            run.stop("it is good enough")


def test_a_callback_can_stop_the_search_and_the_same_search_continues_it(tmp_path):
    path, heard = tmp_path / "run", Events()
    search(path, Stopping(), heard)
    assert len(Run(path)) == 4 and heard.messages == ["it is good enough"]
    assert Run(path).fact("ended_because") == "it is good enough"
    search(path)
    assert sum(c.trained for c in Run(path)) == 18


# In the configuration


class Options(xt.Callback):
    def __init__(self, channel="#nas", repeat=1):
        if repeat < 1:
            raise ValueError("repeat must be positive")
        self.channel = channel


HERE = f"{__name__}:Options"


def configured(*entries):
    return load_config(overrides=[f"callbacks={json.dumps(entries)}"]).callbacks


def test_they_are_named_in_the_configuration_with_options():
    plain, with_options = configured(HERE, {"name": HERE, "channel": "#vision"})
    assert (plain.channel, with_options.channel) == ("#nas", "#vision")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("mlfow", "callbacks.0: unknown callback 'mlfow' .did you mean 'mlflow'"),
        (f"{__name__}:Option", "callbacks.0: .*has no 'Option' .did you mean 'Options'"),
        ({"name": HERE, "chanel": 1}, "callbacks.0: .*no option 'chanel' .did you mean 'channel'"),
        ({"name": HERE, "repeat": 0}, "callbacks.0: .*ValueError: repeat must be positive"),
        ({"channel": 1}, "callbacks.0: no name given"),
        ({"name": "wandb", "mode": "ofline"}, "callbacks.0: .*mode: .*did you mean 'offline'"),
    ],
)
def test_what_is_wrong_in_the_configuration_is_named(entry, problem):
    with pytest.raises(InputError, match=problem):
        configured(entry)


class Misspelt(xt.Callback):
    def on_epoch_ends(self, run, candidate, epoch, logs): ...


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([Options], "pass an instance"),
        ([print], "is not an"),
        (Options(), "allowed: a list"),
        ([Misspelt()], "Misspelt.on_epoch_ends would never be called; .*mean 'on_epoch_end'"),
    ],
)
def test_what_is_no_callback_is_named(given, problem):
    with pytest.raises(InputError, match=f"`callbacks`.*{problem}"):
        check_callbacks(given)


def test_no_run_depends_on_them(tmp_path):
    config = load_config(overrides=[f"callbacks=['{HERE}']"])
    open_database(tmp_path / "run", config).close()
    assert "callbacks" not in yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    check_resumable(tmp_path / "run", load_config())
    assert load_config(config, ["search.candidates=3"]).callbacks == config.callbacks


def test_a_failed_candidate_is_given_with_its_reason(tmp_path):
    heard = []

    class Failures(xt.Callback):
        def on_candidate_end(self, run, candidate):
            heard.append((candidate.state, candidate.reason))

    config = configuration(6, population=6)
    record = open_database(tmp_path / "run", config)
    coordinator = Groups(tmp_path / "run", config, False, 1, None, [Failures()]).coordinator(record)
    with coordinator.transaction():
        coordinator.tell(coordinator.ask(), Result("failed", "out of memory"))
    record.close()
    assert heard == [("failed", "out of memory")]
