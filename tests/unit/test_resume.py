"""Going on with a search at any point finds what the uninterrupted search would."""

import itertools

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
def test_a_killed_search_goes_on_as_if_nothing_had_been(
    tmp_path_factory, algorithm, surrogate, steady_state, kills
):
    search = f"algorithm: {algorithm}, surrogate: {str(surrogate).lower()}, {EPSILONS}"
    overrides = [*WORDS, f"search={{candidates: 12, population: 4, {search}}}"]
    config = load_config(overrides=overrides)

    def play(kills):
        path = tmp_path_factory.mktemp("run") / "run"
        groups = Groups(path, config, steady_state, 1, np.random.default_rng(0))
        for steps in [*kills, 10**9]:
            try:
                groups.run(steps)
            except Killed:
                pass
        return [facts(c) for c in candidates(path, config)]

    assert play(kills) == play([])
