"""Going on with a search at any point finds what the uninterrupted search would."""

import itertools
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import left_to_all
from tests.unit.test_conductor import WORDS, Groups, Killed, candidates, facts
from xnas_tf.config import load_config
from xnas_tf.strategy.selection import SELECTIONS

EPSILONS = "epsilons: {error: 0.1, parameters: 0.1}"


@pytest.mark.parametrize(
    ("algorithm", "surrogate"), [*itertools.product(sorted(SELECTIONS), [False]), ("nsga2", True)]
)
@pytest.mark.parametrize("steady_state", [True, *left_to_all(False)])
@settings(deadline=None, max_examples=2)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=2))
def test_a_killed_search_goes_on_as_if_nothing_had_been(algorithm, surrogate, steady_state, kills):
    how = algorithm, surrogate, steady_state
    assert played(*how, kills) == uninterrupted(*how)


@cache
def uninterrupted(algorithm, surrogate, steady_state):
    return played(algorithm, surrogate, steady_state, [])


def played(algorithm, surrogate, steady_state, kills):
    """What is recorded of a search that is killed after so many steps of each session."""
    search = f"algorithm: {algorithm}, surrogate: {str(surrogate).lower()}, {EPSILONS}"
    overrides = [*WORDS, f"search={{candidates: 12, population: 4, {search}}}"]
    config = load_config(overrides=overrides)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        groups = Groups(path, config, steady_state, 1, np.random.default_rng(0))
        for steps in [*kills, 10**9]:
            try:
                groups.run(steps)
            except Killed:
                pass
        return [facts(c) for c in candidates(path, config)]
