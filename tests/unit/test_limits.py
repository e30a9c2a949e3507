"""What ends a search, and going on with it for longer."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import left_to_all
from tests.unit.test_conductor import Groups, Killed, candidates, coordinator_of, facts
from xnas_tf.candidate import Result
from xnas_tf.config import load_config
from xnas_tf.errors import InputError, RunError
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.stopping import PLATEAU_GROWTH, WARNED
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import open_database
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import pareto_front

WORDS = ["objectives=[error, parameters]", "training.epochs=1", "search.population=6"]


def configuration(**search):
    given = [f"search.{key}={value}" for key, value in search.items()]
    return load_config(overrides=[*WORDS, *given])


def run(path, config, count=1, seed=0, steady_state=False, steps=10**9, **parts):
    rng = np.random.default_rng(seed)
    Groups(path, config, steady_state, count, rng, **parts).run(steps)
    return candidates(path, config)


def fact(path, name):
    return Run(path).fact(name)


class Listener(Callback):
    """Keeps what it hears."""

    def __init__(self):
        self.notes, self.generations = [], []

    def on_message(self, text):
        self.notes.append(text)

    def on_generation_end(self, run, generation):
        self.generations.append(generation)


class Clock:
    """Stands still unless it is set."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def __call__(self):
        return self.seconds


class Ticking(Clock):
    """A minute passes with every look at it."""

    def __call__(self):
        self.seconds += 60
        return self.seconds


def test_nothing_is_proposed_after_so_many_hours_and_what_is_open_is_finished(tmp_path):
    clock, listener = Clock(1234.0), Listener()
    config = configuration(hours=2)
    coordinator = coordinator_of(tmp_path / "run", config, callbacks=[listener], clock=clock)
    open_ = [coordinator.ask(group) for group in range(3)]
    clock.seconds += 7199.9
    open_.append(coordinator.ask(3))
    clock.seconds += 0.1
    assert coordinator.ask(4) is None and not coordinator.is_over
    for task in open_:
        with coordinator.transaction():
            coordinator.tell(task, done(task))
    assert coordinator.is_over and coordinator.ask() is None
    coordinator.end()
    assert listener.notes == ["the search has taken 2 h (search.hours)"]
    assert fact(tmp_path / "run", "ended_because") == listener.notes[0]
    assert "finished: the search has taken 2 h" in status_text(run_status(Run(tmp_path / "run")))


def done(task):
    error, parameters = np.random.default_rng(task.seed).random(2).tolist()
    return Result("done", objectives={"error": error, "parameters": parameters})


@given(st.lists(st.floats(6, 100), min_size=1, max_size=8), st.floats(0.1, 1))
@settings(deadline=None, max_examples=6)
def test_hours_count_over_all_sessions_whatever_their_clocks_show(tmp_path_factory, lengths, hours):
    """One session a candidate, killed when it is recorded, until the hours are spent."""
    path = tmp_path_factory.mktemp("run") / "run"
    config = configuration(hours=hours, candidates=10**6)
    spent, number = 0.0, 0
    while True:
        clock = Clock(number * 12345.0)
        coordinator = coordinator_of(path, config, clock=clock)
        task = coordinator.ask()
        if task is None:
            break
        assert spent < hours * 3600 + 0.001 * number
        length = lengths[number % len(lengths)] * 60
        clock.seconds += length
        coordinator.tell(task, done(task))
        spent, number = spent + length, number + 1
        assert fact(path, "seconds_searched") == pytest.approx(spent, abs=0.001 * number)
    assert coordinator.is_over
    assert spent >= hours * 3600 - 0.001 * number


@pytest.mark.parametrize("reference", ["{error: 1.0, parameters: 1.0}", *left_to_all("{}")])
@given(st.integers(1, 12), st.integers(0, 99))
@settings(deadline=None, max_examples=6)
def test_a_plateau_ends_the_search_when_it_is_reached(tmp_path_factory, reference, plateau, seed):
    """Found again from the record: the first training with which the last so many have added
    too little, once the unit is known."""
    path = tmp_path_factory.mktemp("run") / "run"
    config = configuration(
        candidates=60, plateau=plateau, seed=seed, reference=reference, population=10
    )
    everyone = sorted(run(path, config), key=lambda c: c.finish_order)
    places = [place for place, c in enumerate(everyone, 1) if c.trained]

    def has_stalled(now):
        if now < plateau:
            return False
        then = places[now - plateau - 1] if now > plateau else 0
        before, after = (
            HypervolumeMeter(everyone[:end], config)(pareto_front(everyone[:end], config))
            for end in (then, places[now - 1])
        )
        return bool(before) and after <= before * (1 + PLATEAU_GROWTH)

    first = next((now for now in range(1, len(places) + 1) if has_stalled(now)), None)
    assert len(places) == (60 if first is None else first)
    reason = "search.candidates" if first is None else "search.plateau"
    assert reason in fact(path, "ended_because")


@pytest.mark.long
@given(st.lists(st.integers(1, 30), max_size=4), st.integers(0, 99))
@settings(deadline=None, max_examples=6)
def test_a_killed_search_ends_on_the_plateau_of_an_uninterrupted_one(tmp_path_factory, kills, seed):
    config = configuration(candidates=80, plateau=12, seed=seed)
    folder = tmp_path_factory.mktemp("runs")
    for steps in kills:
        try:
            run(folder / "killed", config, steps=steps)
        except Killed:
            pass
    whole, killed = run(folder / "whole", config), run(folder / "killed", config)
    assert [facts(c) for c in whole] == [facts(c) for c in killed]


@pytest.mark.long
@given(st.integers(1, 30), st.integers(0, 99))
@settings(deadline=None, max_examples=6)
def test_going_on_for_longer_finds_what_a_longer_search_finds(tmp_path_factory, first, seed):
    folder = tmp_path_factory.mktemp("runs")
    whole = run(folder / "whole", configuration(candidates=30, seed=seed))
    try:
        run(folder / "longer", configuration(candidates=first, seed=seed))
    except RunError as error:  # nothing to recommend among the first
        assert "no candidate can be recommended" in str(error)
    assert fact(folder / "longer", "ended")
    longer = run(folder / "longer", configuration(candidates=30, seed=seed))
    assert [facts(c) for c in whole] == [facts(c) for c in longer]


limits = st.tuples(
    st.integers(1, 30), st.none() | st.integers(1, 20), st.none() | st.floats(0.2, 3)
)


@pytest.mark.long
@given(
    st.lists(st.tuples(limits, st.integers(1, 9), st.integers(1, 60)), max_size=5),
    st.booleans(),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=8)
def test_a_run_goes_on_whatever_its_limits_and_groups_were_before(
    tmp_path_factory, sessions, steady_state, seed
):
    """What was proposed ahead, or trained after a limit was reached, is replayed as it was."""
    path, known = tmp_path_factory.mktemp("run") / "run", {}
    for (number, plateau, hours), count, steps in sessions:
        config = configuration(
            candidates=number, plateau=plateau or "null", hours=hours or "null", seed=seed
        )
        try:
            run(path, config, count, seed, steady_state, steps, clock=Ticking())
        except Killed:
            pass
        except RunError as error:
            assert "no candidate can be recommended" in str(error)
        found = {c.id: facts(c) for c in candidates(path, config) if c.finish_order}
        assert known.items() <= found.items()
        known = found
    found = run(path, configuration(candidates=40, seed=seed), 4, seed, steady_state)
    assert known.items() <= {c.id: facts(c) for c in found}.items()
    assert sum(c.trained for c in found) == 40
    assert len({c.genotype for c in found}) == len(found)


def test_a_generation_that_was_shown_half_is_shown_when_it_is_whole(tmp_path):
    heard = []
    for number in (9, 9, 18, 18):
        listener = Listener()
        run(tmp_path / "run", configuration(candidates=number), observers=[listener])
        heard.append(listener.generations)
    assert heard == [[1, 2], [], [2, 3], []]


def test_a_search_that_goes_on_has_not_ended(tmp_path):
    path = tmp_path / "run"
    run(path, configuration(candidates=9))
    assert "9 candidates were trained" in status_text(run_status(Run(path)))
    with pytest.raises(Killed):
        run(path, configuration(candidates=12), steps=1)
    status = run_status(Run(path))
    assert not status["ended"] and not status["ended_because"] and status["wanted"] == 12


def record_of(path):
    return {name: (path / name).read_bytes() for name in ("config.yaml", "run.sqlite")}


@pytest.mark.parametrize("less", [{"candidates": 5}, {"hours": 0.001}, {"plateau": 1}, {}])
def test_a_search_that_has_ended_and_is_asked_for_less_stays_as_it_is(tmp_path, less):
    """Nothing is trained, so neither configuration nor times nor the reason of its end change."""
    path, listener = tmp_path / "run", Listener()
    run(path, configuration(candidates=9), clock=Clock(), observers=[listener])
    before = record_of(path)
    assert not any("nothing is left" in note for note in listener.notes)
    wanted = {"candidates": 9, **less}
    run(path, configuration(**wanted), clock=Ticking(), observers=[listener])
    assert record_of(path) == before
    assert "9 candidates were trained" in listener.notes[-1]
    assert ("not recorded" in listener.notes[-1]) == bool(less)
    assert run_status(Run(path))["wanted"] == 9


@pytest.mark.parametrize("first", [None, "done", "failed"])
def test_a_search_whose_candidates_are_all_infeasible_says_so_early(tmp_path, first):
    listener, wrong = Listener(), Result("infeasible", "parameters is 12,345, wanted: <= 8,000")
    coordinator = coordinator_of(tmp_path / "run", configuration(), callbacks=[listener])
    for number in range(WARNED):
        assert listener.notes == []
        with coordinator.transaction():
            task = coordinator.ask()
            begun = {"done": done(task), "failed": Result("failed", "why")}.get(first)
            coordinator.tell(task, begun if begun and number == 0 else wrong)
    warned = [
        note for note in listener.notes if note.startswith("warning: nothing has been trained yet")
    ]
    assert len(warned) == (first is None)
    assert all("the last one: parameters is 12,345" in note for note in warned)


def test_a_stopped_search_that_is_asked_for_less_says_so(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(Killed):
        run(path, configuration(candidates=20), steps=30)
    run(path, configuration(candidates=3))
    assert fact(path, "ended") and Run(path).config.search.candidates == 3
    assert re.search(r"trained +\d+, 3 wanted", status_text(run_status(Run(path))))


def test_the_time_left_is_that_of_the_limit_which_comes_first(tmp_path):
    path = tmp_path / "run"
    for hours, left in ((None, 1800.0), (0.3, 0.3 * 3600 - 100), (0.01, 0.0)):
        clock = Clock()
        config = configuration(candidates=19, hours=hours or "null")
        coordinator = coordinator_of(path, config, clock=clock)
        if hours is None:
            task = coordinator.ask()
            clock.seconds += 100
            coordinator.tell(task, replace(done(task), seconds={"train": 100.0}))
        assert run_status(Run(path))["seconds_left"] == pytest.approx(left)


def test_what_the_search_proposes_may_not_change(tmp_path):
    open_database(tmp_path / "run", configuration()).close()
    with pytest.raises(InputError, match="search.population: 6 -> 7"):
        open_database(tmp_path / "run", configuration(population=7, candidates=99))
