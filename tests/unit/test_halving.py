"""Who is promoted, without a search."""

import itertools

import numpy as np
import platypus
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xnas_tf.strategy.successive_halving import (
    SuccessiveHalving,
    best_first,
    epochs_of,
    expected_epochs,
)

points = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        arrays(float, (n, 2), elements=st.integers(0, 9)),
        arrays(float, n, elements=st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0])),
    )
)


def solutions_of(costs, violations):
    problem = platypus.Problem(0, costs.shape[1], nconstrs=1)
    for row, violation in zip(costs, violations, strict=True):
        solution = platypus.Solution(problem)
        solution.objectives[:] = row.tolist()
        solution.constraint_violation = violation
        yield solution


@settings(deadline=None)
@given(points, st.integers(0, 40))
def test_the_best_are_those_of_nsga2(given_points, count):
    """Ranks and crowding distances by Platypus; its order is that of the points in a tie."""
    costs, violations = given_points
    solutions = list(solutions_of(costs, violations))
    platypus.nondominated_sort(solutions)
    keys = [(s.rank, -s.crowding_distance) for s in solutions]
    found = best_first(costs, violations, count)
    if not found:
        return
    assert len(set(found)) == len(found) == min(count, len(costs))
    np.testing.assert_allclose([keys[place] for place in found], sorted(keys)[: len(found)])


RUNGS = [1, 3, 9]


def promotions(halving, is_idle, values, log):
    """Promotes whoever can be, and answers for each."""
    while chosen := halving.next(is_idle):
        number, epochs = chosen
        halving.promoted(number, max(r for r in RUNGS if r < epochs))
        log.append((number, epochs))
        halving.update(number, epochs, values[number], 0.0)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 99))
def test_who_belongs_above_is_there_in_the_end_and_nobody_twice(count, every, seed):
    values = np.random.default_rng(seed).random((count, 2))
    halving, log = SuccessiveHalving(RUNGS, every), []
    for number in range(count):
        halving.update(number, 1, values[number], 0.0)
        promotions(halving, False, values, log)
        second = sum(epochs == 3 for _, epochs in log)
        assert second <= (number + 1) // every * every  # none of an unfinished generation
    promotions(halving, True, values, log)
    assert len(set(log)) == len(log)
    reached = {epochs: [n for n, e in log if e == epochs] for epochs in (3, 9)}
    assert set(reached[9]) <= set(reached[3])
    below = list(range(count))
    for epochs in (3, 9):
        best = best_first(values[below], np.zeros(len(below)), len(below) // 3)
        assert {below[place] for place in best} <= set(reached[epochs])
        below = reached[epochs]


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_it_is_a_function_of_what_was_heard(count, every, is_idle, seed):
    """Not of when it was asked, so that a run is gone on with where it was."""
    values = np.random.default_rng(seed).random((count, 2))
    asked, other = SuccessiveHalving(RUNGS, every), SuccessiveHalving(RUNGS, every)
    for number in range(count):
        for halving in (asked, other):
            halving.update(number, 1, values[number], 0.0)
        asked.next(False), asked.next(True)
    assert asked.next(is_idle) == other.next(is_idle)


def test_high_rungs_come_first_and_broken_limits_last():
    halving = SuccessiveHalving(RUNGS, 1)
    for number in range(9):
        halving.update(number, 1, (float(number), 0.0), violation=float(number == 0))
    promoted = []
    while chosen := halving.next(False):
        number, epochs = chosen
        promoted.append(chosen)
        halving.promoted(number, 1 if epochs == 3 else 3)
        halving.update(10 * number, epochs, (float(number), 0.0), 0.0)
    assert promoted == [(1, 3), (2, 3), (3, 3), (10, 9)]


def test_with_one_rung_nobody_is_promoted():
    halving = SuccessiveHalving([5], 1)
    halving.update(1, 5, (0.0, 0.0), 0.0)
    assert halving.next(True) is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4, unique=True).map(sorted))
def test_epochs_are_counted_once(rungs):
    assert sum(epochs_of(rungs, epochs) for epochs in rungs) == rungs[-1]
    assert expected_epochs(rungs, 0) == 0
    steps = [rungs[0], *(b - a for a, b in itertools.pairwise(rungs))]
    counts = [40 * rungs[0] // r for r in rungs]
    assert expected_epochs(rungs, 40) == sum(map(int.__mul__, steps, counts))
