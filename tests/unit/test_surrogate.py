"""What a surrogate predicts, and what it chooses."""

import itertools
import sys
import zlib
from operator import itemgetter
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_algorithm import CellSpace, algorithm_of, scores
from xnas_tf.execution.session import ExactCosts
from xnas_tf.objectives.base import Objective, ObjectiveValue
from xnas_tf.spaces.variables import Choice, Condition, Range, decode
from xnas_tf.strategy import Algorithm
from xnas_tf.strategy.options import SearchOptions
from xnas_tf.strategy.regression import Regression, _Transform
from xnas_tf.strategy.surrogate import ENOUGH, TUNING_RESULTS, Encoding, Surrogate

NAMES = {"f0": "minimize", "f1": "minimize"}


class Mixed(CellSpace):
    """A choice, an ordered one, and a number that is active with one of the choices."""

    variables = (
        Choice("kind", ("plain", "fancy", "odd")),
        Choice("width", (8, 16, 64), ordered=True),
        Range("rate", lambda p: 10 ** (-3 * p), (Condition("kind", ("fancy",)),)),
    )
    size = 1e9

    def genotype(self, values):
        return repr(sorted(values.items()))

    def features(self, values):
        return [7.0]


def test_architectures_are_encoded_as_numbers_between_0_and_1():
    encoding = Encoding(Mixed())
    rows = {row: decode(Mixed.variables, row) for row in [(0, 0, 0.25), (1, 1, 0.25), (2, 2, 1.0)]}
    encoded = [encoding.encode(values, row).tolist() for row, values in rows.items()]
    assert encoded == [
        [1, 0, 0, 0.0, 0, 0, 7],
        [0, 1, 0, 0.5, 0.25, 1, 7],
        [0, 0, 1, 1.0, 0, 0, 7],
    ]


FIGURES = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30)


@settings(deadline=None)
@given(FIGURES)
def test_bending_can_be_undone_and_keeps_the_order(figures):
    figures = np.array(figures, float)
    transform = _Transform.of(figures)
    bent = transform.apply(figures)
    # finer differences than 1e-6 of the spread are lost in the powers
    span = np.ptp(figures) or 1.0
    np.testing.assert_allclose(transform.invert(bent), figures, atol=1e-6 * span + 1e-9, rtol=1e-6)
    order = np.argsort(figures, kind="stable")
    assert (np.diff(bent[order]) >= -1e-9).all()
    assert abs(bent.mean()) < 1e-6


def test_what_lies_beyond_the_best_can_be_predicted():
    transform = _Transform.of(np.array([0.0, 1.0, 2.0, 50.0]))
    best = transform.apply(np.array([0.0]))
    assert transform.invert(best - 0.5) < 0


def test_a_smooth_function_is_learnt_and_optimism_grows_away_from_what_is_known():
    features = np.linspace(0, 1, 12)[:, None]
    figures = np.sin(3 * features[:, 0]) * 1e4
    regression = Regression()
    regression.tune(features, figures)
    regression.fit(features, figures)
    between = features[:-1] + 0.04
    np.testing.assert_allclose(
        regression.predict(between), np.sin(3 * between[:, 0]) * 1e4, atol=200
    )
    places = np.array([[0.5], [3.0]])
    near, far = regression.predict(places) - regression.predict(places, deviations=1.0)
    assert 0 <= near < far


def volume(points, corner):
    """Hypervolume on a grid of whole numbers: by counting cells."""
    cells = itertools.product(*(range(c) for c in corner))
    return sum(any((np.array(x) <= cell).all() for x in points) for cell in cells)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.integers(2, 3))
def test_gains_are_what_a_network_adds_to_the_hypervolume(data, objectives):
    point = st.tuples(*[st.integers(0, 6)] * objectives)
    front = data.draw(st.lists(point, max_size=6))
    offspring = data.draw(st.lists(point, min_size=1, max_size=6))
    corner = [5] * objectives
    surrogate = Surrogate(CellSpace(), objectives, lambda _: {}, corner)
    known = np.array(front, float).reshape(len(front), objectives)
    gains = surrogate._gains(np.array(offspring, float), known)
    expected = [volume([*front, x], corner) - volume(front, corner) for x in offspring]
    np.testing.assert_allclose(gains, expected, atol=1e-9)


def search(costs, seed=0, count=40, score=scores, violation=lambda values: 0.0):
    """A search with exact costs; all of its proposals."""
    config = SearchOptions(surrogate=True, seed=seed)
    algorithm = Algorithm(config, NAMES, CellSpace(), True, costs)
    asked = []
    for _ in range(count):
        asked.append(proposal := algorithm.ask())
        values = score(proposal.hyperparameters)
        algorithm.tell(proposal, proposal.number, values, violation(values))
    return asked


@pytest.mark.long
def test_exact_costs_are_asked_of_few_and_decide():
    """A cost that nothing foretells: the cell's text as a number."""
    asked_for = []

    def lottery(values):
        return float(zlib.crc32(CellSpace().genotype(values).encode()) % 997)

    def exact(values):
        asked_for.append(values)
        return {1: lottery(values)}

    def score(values):
        return [scores(values)[0], lottery(values)]

    def late(costs):
        found = [search(costs, seed, score=score)[ENOUGH:] for seed in range(2)]
        return np.mean([lottery(p.hyperparameters) for proposals in found for p in proposals])

    knowing = late(exact)
    assert 0 < len(asked_for) <= 2 * 30 * 8  # eight finalists a choice
    assert knowing < 0.75 * late(lambda values: {})


class Size(Objective):
    """A user's cost, whose code fails for some networks; the models here are texts."""

    needs_training: ClassVar[bool] = False
    name: str = "size"

    def score(self, subject):
        if subject.model == "bad":
            raise ZeroDivisionError
        if subject.model == "worse":
            sys.exit("bye")
        return ObjectiveValue(float(len(subject.model)))


def test_a_network_that_cannot_be_measured_has_no_exact_costs():
    """Its evaluation fails if it is proposed; until then, nothing does."""
    space = SimpleNamespace(genotype=itemgetter("model"), build=itemgetter("model"))
    costs = ExactCosts(SimpleNamespace(objectives=[Size()]), space, ("a", "b"))
    assert costs({"model": "good"}) == {0: 4.0}
    assert costs({"model": "bad"}) == costs({"model": "worse"}) == {}


@pytest.mark.long
def test_what_breaks_constraints_is_avoided():
    def violation(values):
        return max(0.0, values[0] - 1)  # at most one convolution

    asked = search(lambda values: {}, violation=violation)
    first, last = asked[:ENOUGH], asked[-15:]
    broken = [[scores(p.hyperparameters)[0] > 1 for p in some] for some in (first, last)]
    assert np.mean(broken[1]) < 0.5 * np.mean(broken[0])


@pytest.mark.parametrize(("first", "later"), [(ENOUGH, 0), (0, TUNING_RESULTS)])
def test_failures_in_a_row_do_not_disable_it(first, later):
    """The best of a pool is chosen, however many of the first or latest results failed."""
    algorithm = algorithm_of(CellSpace(), ["minimize"], 8, steady_state=True)
    surrogate = Surrogate(CellSpace(), 1, lambda values: {}, [])
    asked = [algorithm.ask() for _ in range(first + 4 * ENOUGH + later)]
    for place, proposal in enumerate(asked):
        proposal.features = surrogate.features(proposal)
        has_failed = not first <= place < first + 4 * ENOUGH
        costs = None if has_failed else [scores(proposal.hyperparameters)[0]]
        surrogate.update(proposal, costs, 0.0)
    pool = [algorithm.ask() for _ in range(40)]
    pool.sort(key=lambda proposal: -scores(proposal.hyperparameters)[0])  # worst first
    for proposal in pool:
        proposal.features = surrogate.features(proposal)
    surrogate.begin_pool()
    values = [scores(proposal.hyperparameters)[0] for proposal in pool]
    assert values[surrogate.best(pool, [])] <= np.quantile(values, 0.25) < values[0]


def test_replaying_asks_for_the_same_and_predicts_nothing(monkeypatch):
    def play(expected=None):
        algorithm = algorithm_of(CellSpace(), ["minimize", "maximize"], 6, surrogate=True)
        found = []
        for number in range(40):
            proposal = algorithm.ask(expected[number] if expected else None)
            algorithm.tell(proposal, proposal.number, scores(proposal.hyperparameters))
            found.append(proposal.genotype)
        return found

    found = play()
    monkeypatch.setattr(Surrogate, "_fit", lambda self: pytest.fail("fitted"))
    assert play(found) == found
