import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnas_tf.candidate import Candidate
from xnas_tf.config import load_config
from xnas_tf.strategy.front import HypervolumeMeter, pareto_front

TWO = load_config(overrides=["objectives=[error, introspectability]"])
THREE = load_config(overrides=["objectives=[error, introspectability, parameters]"])
ONE = load_config(overrides=["objectives=[error]"])


def candidates(config, rows, **extra):
    names = [objective.name for objective in config.objectives]
    return [
        Candidate(
            i, str(i), {}, state="done", objectives=dict(zip(names, row, strict=True)), **extra
        )
        for i, row in enumerate(rows, start=1)
    ]


grid = st.integers(0, 6).map(float)


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
    """On whole numbers the dominated volume is a count of unit boxes."""
    size = len(config.objectives)
    rows = data.draw(st.lists(st.tuples(*[grid] * size), min_size=2, max_size=7))
    everyone = candidates(config, rows)
    signs = np.array([objective.sign for objective in config.objectives])
    costs = np.array(rows) * signs
    worst, best = costs.max(axis=0), costs.min(axis=0)
    spans = np.where(worst > best, worst - best, 1.0)
    boxes = itertools.product(*(np.arange(b, w) for b, w in zip(best, worst, strict=True)))
    count = sum(any((cost <= np.array(box)).all() for cost in costs) for box in boxes)
    volume = count if (worst > best).all() else 0
    front = pareto_front(everyone, config)
    measured = HypervolumeMeter(everyone, config)(front)
    assert measured == pytest.approx(volume / np.prod(spans), abs=1e-9)


def test_hypervolume_grows_beyond_the_first_generation():
    first = candidates(TWO, [(0.4, 0.2), (0.2, 0.1)])
    later = candidates(TWO, [(0.1, 0.5)], generation=1)
    meter = HypervolumeMeter(first + later, TWO)
    assert meter(later) > 1 > meter(first) >= 0
    assert HypervolumeMeter([], TWO)([]) == 0
