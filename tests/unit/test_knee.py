import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_front import FIVE, ONE, THREE, TWO, candidates
from xnas_tf.config import load_config
from xnas_tf.strategy.compromise import distances, knee, normalised
from xnas_tf.strategy.pareto import costs, pareto_front

FOUR = load_config(overrides=["objectives=[error, introspectability, parameters, flops]"])
SEVERAL = pytest.mark.parametrize("config", [TWO, THREE, FOUR, FIVE], ids=["2", "3", "4", "5"])


def of_costs(config, values):
    """Candidates whose objectives, turned so that less is better, are these."""
    return candidates(config, np.array(values) * [o.sign for o in config.objectives])


def knee_of(config, values):
    """Its id."""
    front = pareto_front(of_costs(config, values), config)
    found = knee(front, config)
    assert knee(front[::-1], config) == found
    return found[0].id


def test_the_knee_of_a_hyperbola_is_where_its_slope_is_that_of_the_line():
    """y = 1/x from 1/4 to 4: the slope of the line between its ends is -1, that of the curve at
    x = 1."""
    x = 4.0 ** np.linspace(-1, 1, 41)
    assert knee_of(TWO, np.stack([x, 1 / x], axis=1)) == 21
    # and with a longer end the knee moves: the line from (1/4, 4) to (16, 1/16) has slope -1/4
    x = 2.0 ** np.linspace(-2, 4, 61)
    assert x[knee_of(TWO, np.stack([x, 1 / x], axis=1)) - 1] == pytest.approx(2)


def test_its_distance_is_that_of_geometry():
    scaled = normalised(np.array([[0.0, 2.0], [1.0, 0.0], [0.25, 0.5]]))
    assert distances(scaled) == pytest.approx([0, 0, 0.5 / np.sqrt(2)])


@SEVERAL
@settings(max_examples=30)
@given(seed=st.integers(0, 999), count=st.integers(1, 30))
def test_the_knee_of_a_sphere_is_its_middle(config, seed, count):
    """Points at distance 1 from (1, …, 1): by symmetry, whatever else of the sphere is there,
    as long as its corners are."""
    size = len(config.objectives)
    directions = np.random.default_rng(seed).random((count, size)) + 1e-3
    directions = np.concatenate([np.ones((1, size)), np.eye(size), 1 - np.eye(size), directions])
    values = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert knee_of(config, values) == 1


@SEVERAL
@settings(max_examples=30)
@given(data=st.data())
def test_neither_scales_nor_dominated_candidates_change_it(config, data):
    """Scales are powers of two, so that nothing is rounded."""
    size = len(config.objectives)
    number = st.integers(0, 64).map(float)
    values = np.array(data.draw(st.lists(st.tuples(*[number] * size), min_size=1, max_size=9)))
    before = knee_of(config, values)
    scales = 2.0 ** np.array(data.draw(st.tuples(*[st.integers(-9, 9)] * size)))
    shifts = np.array(data.draw(st.tuples(*[st.integers(-64, 64)] * size)))
    worse = values + data.draw(st.integers(1, 9))
    assert knee_of(config, (values + shifts) * scales) == before
    assert knee_of(config, np.concatenate([values, worse])) == before
    config = load_config(config, ["constraints.error='<= 1e9'"])
    assert knee_of(config, values) == before


@SEVERAL
@settings(max_examples=30)
@given(data=st.data())
def test_every_front_has_one_which_is_on_it(config, data):
    number = st.sampled_from([0.0, 1e-300, 0.5, 1.0, 1e300])
    row = st.tuples(*[number] * len(config.objectives))
    rows = data.draw(st.lists(row, min_size=1, max_size=8))
    front = pareto_front(of_costs(config, rows), config)
    assert knee(front, config)[0].id in {c.id for c in front}


def test_fronts_without_a_knee_say_so():
    assert knee(of_costs(TWO, [[1, 2]]), TWO)[1] == ""
    assert knee(of_costs(ONE, [[1], [1]]), ONE)[1] == ""
    two, why = knee(of_costs(TWO, [[1, 2], [2, 1]]), TWO)
    assert two.id == 1 and "no knee" in why
    hollow, why = knee(of_costs(TWO, [[0, 1], [0.7, 0.8], [1, 0]]), TWO)
    assert hollow.id in (1, 3) and "no knee" in why


def test_where_the_extremes_span_no_plane_that_cuts_all_axes_all_objectives_count_alike():
    """The last is nearest to the first two axes, the first to the third: the plane has equal
    slopes and goes through their middle, where costs add up to (5/4 + 5/4 + 1) / 3."""
    values = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.5, 0.25, 0.5]])
    expected = (3.5 / 3 - values.sum(axis=1)) / np.sqrt(3)
    assert distances(normalised(values)) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9))
def test_an_objective_in_which_the_front_does_not_differ_is_left_out(rows):
    front = pareto_front(of_costs(TWO, rows), TWO)
    places = [[*costs([c], TWO)[0], 7.0] for c in front]
    wider = of_costs(THREE, places)
    for one, other in zip(front, wider, strict=True):
        other.id = one.id
    (one, why), (other, same) = knee(front, TWO), knee(wider, THREE)
    assert (one.id, why) == (other.id, same)
