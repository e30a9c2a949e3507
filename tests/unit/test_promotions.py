"""Searches with several fidelities, without Keras."""

import io
import json
from csv import DictReader
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import ANY

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_conductor import (
    FAILED,
    INFEASIBLE,
    Groups,
    Killed,
    candidates,
    coordinator_of,
    done,
)
from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.execution.search_run import SearchState
from xnas_tf.execution.stopping import StoppingCriteria
from xnas_tf.figures.front_figure import front_info
from xnas_tf.reporting import candidate_tables as tables
from xnas_tf.reporting.status import run_status, status_text
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import checkpoint_path
from xnas_tf.strategy.pareto import pareto_front
from xnas_tf.strategy.successive_halving import SuccessiveHalving

WORDS = ["objectives=[error, parameters]", "search.fidelity.epochs=[1, 3, 9]"]


def configuration(**search):
    given = {"candidates": 30, "population": 6, **search}
    return load_config(
        overrides=[*WORDS, *(f"search.{key}={value}" for key, value in given.items())]
    )


class Halved(Groups):
    """Groups whose candidates become better with more epochs, each in its own way."""

    @staticmethod
    def result_of(task):
        error, parameters, luck = np.random.default_rng(task.seed).random(3).tolist()
        gain, more_luck = np.random.default_rng([task.seed, task.epochs]).random(2).tolist()
        if luck < 0.2:
            return INFEASIBLE
        if more_luck < 0.1:
            return FAILED
        return done(error / task.epochs + gain / 5, parameters)


def search(path, config, count=1, seed=0, steady_state=False, steps=10**9, **parts):
    Halved(path, config, steady_state, count, np.random.default_rng(seed), **parts).run(steps)
    return candidates(path, config)


def facts(candidate):
    c = candidate
    return c.id, c.genotype, c.epochs, c.promoted_from, c.state, c.finished_before, c.finish_order


@pytest.mark.long
@given(st.lists(st.integers(1, 40), max_size=4), st.booleans(), st.integers(0, 99))
@settings(deadline=None, max_examples=8)
def test_a_killed_search_promotes_as_an_uninterrupted_one(
    tmp_path_factory, kills, steady_state, seed
):
    config, folder = configuration(seed=seed), tmp_path_factory.mktemp("runs")
    for steps in kills:
        try:
            search(folder / "killed", config, steady_state=steady_state, steps=steps)
        except Killed:
            pass
    whole = search(folder / "whole", config, steady_state=steady_state)
    killed = search(folder / "killed", config, steady_state=steady_state)
    assert [facts(c) for c in killed] == [facts(c) for c in whole]
    check(whole, config)


def check(found, config):
    """What holds of any search that has ended."""
    by_id = {c.id: c for c in found}
    first = [c for c in found if not c.promoted_from]
    assert sum(c.trained for c in first) == config.search.candidates
    assert {c.epochs for c in first} == {1}
    assert len({(c.genotype, c.epochs) for c in found}) == len(found)
    halving = SuccessiveHalving(config.rungs, config.search.population)
    for c in sorted(found, key=lambda c: c.finish_order):
        if c.state == "done":
            halving.update(c.id, c.epochs, list(c.objectives.values()), 0.0)
    for c in (c for c in found if c.promoted_from):
        below = by_id[c.promoted_from]
        assert (c.epochs, below.state) == (3 * below.epochs, "done")
        assert below.finish_order <= c.finished_before
        same = "genotype", "hyperparameters", "seed", "parents", "generation"
        assert all(getattr(c, name) == getattr(below, name) for name in same)
        halving.promoted(below.id, below.epochs)
    assert halving.next(is_idle=True) is None


@pytest.mark.long
@given(
    st.integers(2, 9), st.booleans(), st.lists(st.integers(1, 60), max_size=3), st.integers(0, 99)
)
@settings(deadline=None, max_examples=8)
def test_any_number_of_groups_may_be_killed(tmp_path_factory, count, steady_state, kills, seed):
    path, config = tmp_path_factory.mktemp("run") / "run", configuration(seed=seed)
    known = {}
    for steps in kills:
        try:
            search(path, config, count, seed, steady_state, steps)
        except Killed:
            pass
        ended = {c.id: facts(c) for c in candidates(path, config) if c.finish_order}
        assert known.items() <= ended.items()
        known = ended
    found = search(path, config, count, seed, steady_state)
    assert known.items() <= {c.id: facts(c) for c in found}.items()
    check(found, config)


@given(st.integers(0, 99))
@settings(deadline=None, max_examples=6)
@pytest.mark.long
def test_the_search_itself_hears_of_the_first_rung_only(tmp_path_factory, seed):
    """So what it proposes is what it would propose with one rung of as many epochs."""
    folder, config = tmp_path_factory.mktemp("runs"), configuration(seed=seed)
    halved = search(folder / "halved", config)
    words = ["search={candidates: 30, population: 6}", f"search.seed={seed}"]
    one = load_config(overrides=[WORDS[0], "training.epochs=1", *words])
    plain = search(folder / "plain", one)
    assert [c.genotype for c in halved if not c.promoted_from] == [c.genotype for c in plain]


def test_a_free_group_promotes_where_it_would_have_to_wait(tmp_path):
    """In generational mode, for who is slow."""
    coordinator = coordinator_of(tmp_path / "run", configuration())
    coordinator.algorithm.is_steady_state = False
    slow = coordinator.ask(0)
    for number in range(5):
        coordinator.tell(coordinator.ask(1), done(float(number), 1.0))
    task = coordinator.ask(1)
    assert (task.promoted_from, task.epochs) == (slow.id + 1, 3)


def test_hours_end_promotions_too(tmp_path):
    seconds = 0.0
    config = configuration(hours=1, candidates=6)
    coordinator = coordinator_of(tmp_path / "run", config, clock=lambda: seconds)
    coordinator.algorithm.is_steady_state = False
    for number in range(6):
        coordinator.tell(coordinator.ask(), done(float(number), 1.0))
    assert not coordinator.is_over
    seconds = 3600.0
    assert coordinator.ask() is None and coordinator.is_over


def test_states_are_kept_as_long_as_they_may_be_of_use(tmp_path):
    path, config = tmp_path / "run", configuration(candidates=6)
    coordinator = coordinator_of(path, config)
    kept = lambda: {int(p.stem) for p in (path / "checkpoints").glob("*.npz")}  # noqa: E731
    for number in range(6):
        with coordinator.transaction():
            task = coordinator.ask()
            coordinator.save_checkpoint(task, b"state %d" % task.id)
            coordinator.tell(task, FAILED if number == 5 else done(number, number))
    assert kept() == {1, 2, 3, 4, 5}  # what failed is of no use
    with coordinator.transaction():
        task = coordinator.ask()
    assert task.promoted_from == 1
    assert coordinator.checkpoint(task) == b"state 1"
    coordinator = coordinator_of(path, config)  # killed
    with coordinator.transaction():
        assert coordinator.ask() == replace(task, started=ANY)
    coordinator.save_checkpoint(task, b"half way")
    assert coordinator.checkpoint(task) == b"half way"
    with coordinator.transaction():
        coordinator.tell(task, done(0, 0))
        assert kept() == {1, 2, 3, 4, 5, task.id}  # until that is recorded
    assert kept() == {2, 3, 4, 5, task.id}  # which is of use for 9 epochs
    assert coordinator.is_over
    coordinator.end()
    assert kept() == set()
    checkpoint_path(path, 2).write_bytes(b"left by a kill")
    coordinator_of(path, config).end()
    assert kept() == set()


def test_the_front_is_of_the_highest_fidelity_reached(tmp_path):
    path, config = tmp_path / "run", configuration()
    found = search(path, config, steady_state=True)
    top = [c for c in found if c.epochs == 9]
    assert top and Run(path).pareto()
    assert {c.id for c in Run(path).pareto()} == {c.id for c in pareto_front(top, config)}
    coordinator = coordinator_of(path, config)
    assert {c.id for c in coordinator._state.front} == {c.id for c in Run(path).pareto()}
    listed = tables.listing(Run(path), everyone=True)
    shown = list(tables.pareto_table(listed).columns[3].cells)
    assert shown == [str(c.epochs) for c in listed.candidates]
    rows = json.loads(tables.pareto_json(listed))["candidates"]
    assert [row["epochs"] for row in rows] == [c.epochs for c in listed.candidates]
    rows = DictReader(io.StringIO(tables.pareto_csv(listed)))
    assert [int(row["epochs"]) for row in rows] == [c.epochs for c in listed.candidates]
    info = front_info(found, Run(path).pareto(), config, None)
    assert len(info.dominated) + len(info.front) == sum(c.state == "done" for c in top)


def test_a_model_is_kept_of_each_that_is_on_the_front_in_the_end(tmp_path):
    path, config = tmp_path / "run", configuration()
    coordinator = coordinator_of(path, config)
    wanted = set()
    while not coordinator.is_over:
        with coordinator.transaction():
            task = coordinator.ask()
            result = Halved.result_of(task)
            if coordinator.wants_model(task, result):
                wanted.add(task.id)
            coordinator.tell(task, result)
    assert {c.id for c in Run(path).pareto()} <= wanted


def test_status_says_who_reached_which_rung(tmp_path):
    path, config = tmp_path / "run", configuration()
    found = search(path, config)
    status = run_status(Run(path))
    counts = {e: sum(c.epochs == e and c.state == "done" for c in found) for e in (1, 3, 9)}
    assert status["reached"] == counts
    assert status["done"] == counts[1] and status["done"] + status["failed"] == 30
    lost = sum(c.promoted_from > 0 and c.state != "done" for c in found)
    text = status_text(status)
    assert f"{counts[1]} candidates reached 1, {counts[3]} reached 3, {counts[9]} reached 9" in text
    assert status["promotions_failed"] == lost and (f"{lost} failed before they did" in text) == (
        lost > 0
    )
    assert status["seconds_left"] == 0


@pytest.mark.parametrize(
    ("plateau", "trainings"),
    [
        # The front of a higher fidelity begins with one candidate, and a smaller hypervolume.
        (1, [(0.1, 1), (0.5, 3), (0.4, 3), (0.6, 3)]),
        # Candidates of lower fidelities cannot increase the hypervolume of a higher one's front.
        (
            2,
            [(0.5, 1), (0.4, 3), (0.6, 1), (0.6, 1), (0.6, 1), (0.3, 3), (0.6, 1), (0.4, 3)]
            + [(0.4, 3)],
        ),
    ],
)
def test_only_trainings_of_the_fronts_fidelity_make_a_plateau(plateau, trainings):
    config = configuration(plateau=plateau, reference="{error: 1.0, parameters: 1.0}")
    record = SimpleNamespace(fact=lambda name: None)
    notes, state = [], SearchState(config)
    limits = StoppingCriteria(config.search, record, notes.append, lambda: 0.0)
    for number, (value, epochs) in enumerate(trainings, start=1):
        candidate = Candidate(
            number, "g", {}, epochs=epochs, promoted_from=epochs // 3, state="done"
        )
        candidate.objectives = {"error": value, "parameters": value}
        state.add(candidate)
        assert notes == []
        limits.update(candidate, state)
    assert len(notes) == 1 and f"the last {plateau} trainings added no more" in notes[0]
    assert limits.trained == sum(epochs == 1 for _, epochs in trainings)
