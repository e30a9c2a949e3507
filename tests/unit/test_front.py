import itertools

import numpy as np
import platypus
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.execution.search_run import SearchRun, SearchState
from xnas_tf.figures.front_figure import FrontInfo, front_figure
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import Front, costs, pareto_front

TWO = load_config(overrides=["objectives=[error, introspectability]"])
THREE = load_config(overrides=["objectives=[error, introspectability, parameters]"])
ONE = load_config(overrides=["objectives=[error]"])
FIVE = load_config(overrides=["objectives=[error, introspectability, parameters, flops, deletion]"])


def candidates(config, rows, **extra):
    names = [objective.name for objective in config.objectives]
    return [
        Candidate(
            i, str(i), {}, state="done", objectives=dict(zip(names, row, strict=True)), **extra
        )
        for i, row in enumerate(rows, start=1)
    ]


grid = st.integers(0, 6).map(float)
fine = st.integers(0, 30).map(lambda number: number / 10)


@given(st.lists(st.tuples(grid, grid), max_size=12))
def test_front_is_what_nothing_dominates(rows):
    everyone = candidates(TWO, rows)

    def dominates(a, b):
        better_or_equal = a[0] <= b[0] and a[1] >= b[1]
        return better_or_equal and a != b

    expected = [i for i, row in enumerate(rows, 1) if not any(dominates(o, row) for o in rows)]
    assert [c.id for c in pareto_front(everyone, TWO)] == expected


def test_unfinished_and_limit_breaking_candidates_are_never_on_the_front():
    config = load_config(TWO, ["constraints.error='<= 3'"])
    good, breaking, failed = candidates(config, [(2.0, 1.0), (4.0, 9.0), (0.0, 9.0)])
    failed.state = "failed"
    assert pareto_front([good, breaking, failed], config) == [good]


@pytest.mark.parametrize("config", [ONE, TWO, THREE], ids=["1", "2", "3"])
@given(data=st.data())
def test_hypervolume_is_the_share_of_grid_boxes_dominated(config, data):
    """On whole numbers the dominated volume is a count of unit boxes.

    An objective in which all are equal has a side up to the best possible value, and does not
    change the volume.
    """
    size = len(config.objectives)
    rows = data.draw(st.lists(st.tuples(*[grid] * size), min_size=2, max_size=7))
    everyone = candidates(config, rows)
    signs = np.array([objective.sign for objective in config.objectives])
    costs = np.array(rows) * signs
    worst, best = costs.max(axis=0), costs.min(axis=0)
    is_equal = worst == best
    left = worst - np.array([0, -2, 0])[:size]
    spans = np.where(is_equal, np.where(left > 0, left, 1.0), worst - best)
    worst = np.where(is_equal, worst + spans, worst)
    boxes = itertools.product(*(np.arange(b, w) for b, w in zip(best, worst, strict=True)))
    volume = sum(any((cost <= np.array(box)).all() for cost in costs) for box in boxes)
    front = pareto_front(everyone, config)
    measured = HypervolumeMeter(everyone, of_population(config, size=len(rows)))(front)
    assert measured == pytest.approx(volume / np.prod(spans), abs=1e-9)


def of_population(config, size=2):
    return load_config(config, [f"search.population={size}"])


def test_hypervolume_grows_beyond_the_first_generation():
    config = of_population(TWO)
    first = candidates(config, [(0.4, 0.2), (0.2, 0.1)])
    later = candidates(config, [(0.1, 0.5)], generation=1)
    meter = HypervolumeMeter(first + later, config)
    assert meter(later) > 1 > meter(first) >= 0
    assert meter([]) == 0


def test_hypervolume_is_unknown_until_as_many_results_have_come_as_the_population_has():
    config = of_population(TWO, size=3)
    failed, duplicate, *good = candidates(config, [(0.0, 0.0)] * 2 + [(3.0, 1.0), (1.0, 3.0)])
    failed.state, failed.objectives = "failed", {}
    duplicate.state = "duplicate"
    meter = HypervolumeMeter([failed, duplicate, good[0]], config)
    assert meter(good[:1]) is None
    assert meter.update(good[1]) and not meter.update(good[1])
    assert meter(good[1:]) == 1
    one = HypervolumeMeter([failed, failed, good[0]], config)
    assert one(good[:1]) is None  # one point spans no box


def test_a_box_of_the_epsilon_front_takes_no_hypervolume_away():
    """The third candidate replaces the second, which it does not dominate."""
    config = of_population(with_search(TWO, epsilons=1.5), size=2)
    everyone = candidates(config, [(3.0, -3.0), (0.1, -1.6), (1.4, -1.4)])
    state, fronts = SearchState(config), []
    for candidate in everyone:
        state.add(candidate)
        fronts.append([c.id for c in state.front])
    assert fronts == [[1], [2], [3]]
    assert state.hypervolume == pytest.approx((2.9 * 1.4 + 1.6 * 0.2) / (2.9 * 1.4))


@pytest.fixture
def growing(tmp_path):
    """A search's run with two candidates, its state, and a candidate that dominates both."""
    config = of_population(TWO, size=2)
    *known, better = candidates(config, [(0.2, 0.2), (0.3, 0.3), (0.1, 0.4)])
    state = SearchState(config)
    for candidate in known:
        state.add(candidate)
    return SearchRun(tmp_path, config, state, print), state, better


def test_a_front_that_grows_while_a_callbacks_thread_measures_it_is_measured_again(
    growing, monkeypatch
):
    run, state, better = growing
    measure = HypervolumeMeter.__call__

    def measured(self, front):
        value = measure(self, front)
        if better not in state.front:
            state.add(better)
        return value

    monkeypatch.setattr(HypervolumeMeter, "__call__", measured)
    before = run.hypervolume()
    assert run.hypervolume() > before


def test_while_one_thread_copies_a_new_front_another_does_not_get_the_old_one(growing, monkeypatch):
    run, state, better = growing
    assert [candidate.id for candidate in run.pareto()] == [1, 2]
    state.add(better)
    locate, seen = SearchRun.located, []

    def located(self, candidate):
        monkeypatch.setattr(SearchRun, "located", locate)
        seen.extend(each.id for each in run.pareto())  # as another thread
        return candidate

    monkeypatch.setattr(SearchRun, "located", located)
    assert [candidate.id for candidate in run.pareto()] == seen == [3]


@pytest.mark.parametrize("config", [TWO, THREE], ids=["2", "3"])
@settings(max_examples=40)
@given(data=st.data())
def test_hypervolume_never_falls_during_a_search(config, data):
    row = st.tuples(*[fine] * len(config.objectives))
    rows = data.draw(st.lists(row, min_size=2, max_size=12))
    config, known = of_population(config, size=2), []
    state = SearchState(config)
    for candidate in candidates(config, rows):
        state.add(candidate)
        known.append(state.hypervolume)
    assert known[0] is None and None not in known[1:]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(known[1:]))


def with_search(config, **values):
    """A configuration in which every objective has the values of these keys of ``search``."""
    names = [objective.name for objective in config.objectives]
    given = [
        f"search.{key}={{{', '.join(f'{n}: {v}' for n in names)}}}" for key, v in values.items()
    ]
    return load_config(config, given)


@pytest.mark.parametrize("config", [ONE, TWO, THREE], ids=["1", "2", "3"])
@settings(max_examples=40)
@given(data=st.data(), reference=st.integers(-4, 7))
def test_hypervolume_against_a_reference_counts_boxes_that_are_better_than_it(
    config, data, reference
):
    """On whole numbers, in units of the distance from the reference to the best possible value.

    The values of generation 0 do not matter.
    """
    rows = data.draw(st.lists(st.tuples(*[grid] * len(config.objectives)), max_size=7))
    config = with_search(config, reference=reference)
    everyone = candidates(config, rows)
    signs = np.array([objective.sign for objective in config.objectives])
    values, worst = costs(everyone, config), reference * signs
    boxes = itertools.product(*(np.arange(-7, w) for w in worst))
    count = sum(any((value <= np.array(box)).all() for value in values) for box in boxes)
    measured = HypervolumeMeter(everyone[:1], config)(pareto_front(everyone, config))
    left = worst - np.array([0, -2, 0])[: len(signs)]
    assert measured == pytest.approx(count / np.where(left > 0, left, 1).prod())


@pytest.mark.parametrize("reference", [-1e-9, 0.0, 1e-9])
def test_a_reference_near_zero_does_not_inflate_the_hypervolume(reference):
    """A gain in introspectability is measured against the range up to 2, whatever the reference."""
    config = load_config(TWO, [f"search.reference={{error: 0.5, introspectability: {reference}}}"])
    meter = HypervolumeMeter([], config)
    assert meter(candidates(config, [(0.25, 1.0)])) == pytest.approx(0.25)


def test_the_unit_of_an_objective_without_a_best_value_is_its_own():
    wanted = "[error, {name: 'metric:score', direction: maximize}]"
    reference = "search.reference={error: 0.5, 'metric:score': 0.001}"
    config = load_config(overrides=[f"objectives={wanted}", reference])
    meter = HypervolumeMeter([], config)
    assert meter(candidates(config, [(0.25, 3.001)])) == pytest.approx(1.5)


@pytest.mark.parametrize("config", [TWO, THREE, FIVE], ids=["2", "3", "5"])
@settings(max_examples=40)
@given(data=st.data())
def test_the_epsilon_front_is_the_best_of_each_box_that_none_dominates(config, data):
    """By its definition, at once, and whatever the order in which candidates come."""
    rows = data.draw(st.lists(st.tuples(*[fine] * len(config.objectives)), max_size=12))
    config = with_search(config, epsilons=0.75)
    everyone = candidates(config, rows)
    places = dict(zip([c.id for c in everyone], costs(everyone, config), strict=True))
    boxes = {number: np.floor(place / 0.75) for number, place in places.items()}
    best = {}
    for number, place in places.items():
        order = (((place / 0.75 - boxes[number]) ** 2).sum(), *place, number)
        best[tuple(boxes[number])] = min(order, best.get(tuple(boxes[number]), order))
    expected = {
        int(order[-1])
        for box, order in best.items()
        if not any(other != box and np.less_equal(other, box).all() for other in best)
    }
    shuffled = data.draw(st.permutations(everyone))
    assert {c.id for c in pareto_front(shuffled, config)} == expected
    assert expected <= {
        c.id for c in pareto_front(everyone, load_config(config, ["search.epsilons={}"]))
    }


@settings(max_examples=40)
@given(st.lists(st.tuples(fine, fine, fine), max_size=12), st.data())
def test_who_is_on_the_epsilon_front_in_the_end_was_wanted_all_along(rows, data):
    """So that its model was kept, whatever else was known when it ended."""
    config = with_search(THREE, epsilons=0.5)
    everyone = candidates(config, rows)
    for candidate in pareto_front(everyone, config):
        others = [c for c in everyone if c is not candidate]
        front = Front(config)
        for known in data.draw(
            st.lists(st.sampled_from(others), unique_by=id) if others else st.just([])
        ):
            front.add(known)
        assert front.wants(candidate) and front.add(candidate) and candidate in front.candidates


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), max_size=12))
def test_the_epsilon_front_has_the_boxes_of_platypus(rows):
    """Which of a box Platypus keeps depends on the order where distances are equal."""
    config = with_search(TWO, epsilons=0.5)
    everyone = candidates(config, rows)
    problem = platypus.Problem(0, 2)
    archive = platypus.EpsilonBoxArchive([0.5, 0.5])
    for row in costs(everyone, config):
        solution = platypus.Solution(problem)
        solution.objectives[:] = row.tolist()
        archive.add(solution)
    theirs = {tuple(np.floor(np.array(s.objectives[:]) / 0.5)) for s in archive}
    ours = [tuple(box) for box in np.floor(costs(pareto_front(everyone, config), config) / 0.5)]
    assert len(ours) == len(theirs) and set(ours) == theirs


def test_the_interval_of_a_single_point_has_both_ends():
    front = np.array([[0.3, 0.5]])
    intervals = np.stack([front - [[0.2, 0]], front + [[0.2, 0]]], axis=-1)
    titles, rest = ("error ↓", "introspectability ↑"), [np.zeros((0, 2))] * 3
    info = FrontInfo(("error", "i"), front, (1,), *rest, 0, titles, intervals)
    low, high = front_figure(info).axes[0].get_xlim()
    assert low < 0.1 and high > 0.5


def test_a_long_interval_leaves_the_points_apart():
    front = np.array([[0.1, 0.3], [0.2, 0.5], [0.3, 0.8]])
    intervals = np.stack([front - 0.02, front + 0.02], axis=-1)
    titles = ("error ↓", "introspectability ↑")
    rest = [np.zeros((0, 2))] * 3
    info = FrontInfo(("error", "i"), front, (1, 2, 3), *rest, 1, titles, intervals)
    low, high = front_figure(info).axes[0].get_ylim()
    intervals[2, 1] = -3.7, 5.3
    long_low, long_high = front_figure(info).axes[0].get_ylim()
    assert long_low < low and long_high > high and long_high - long_low < 3.5 * (high - low)
