"""What every algorithm must do, in both modes, with and without a surrogate."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import left_to_all
from tests.unit.test_algorithm import CellSpace, algorithm_of, scores
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import Choice, Condition, Range, decode
from xnas_tf.strategy.selection import SELECTIONS

NAMES = sorted(SELECTIONS)
WAYS = [
    *itertools.product(NAMES, (False, True), (False,)),
    ("nsga2", True, True),
    *left_to_all(("nsga2", False, True)),
]
"""Algorithm, steady state, surrogate: of which no selection knows."""


class Cells(CellSpace):
    """Cells of which those with ``none`` on the first edge cannot be trained, and skips on the
    first two edges are the same network."""

    def infeasible(self, values):
        return "no first edge" if values["edge_0_1"] == "none" else None

    def identity(self, values):
        return self.genotype(
            {**values, "edge_0_2": "x"} if "skip" in values["edge_0_1"] else values
        )


def made(name, steady_state=False, surrogate=False, seed=0, space=None, objectives=2, population=8):
    return algorithm_of(
        space or Cells(),
        ["minimize", "maximize", "minimize", "minimize", "minimize"][:objectives],
        population,
        seed,
        steady_state,
        algorithm=name,
        surrogate=surrogate and name != "all",  # there is nothing to choose
    )


def played(algorithm, count, score=scores, open_at_once=1, shuffle=0):
    """Asks and tells; every seventh fails, every ninth is rejected."""
    rng, waiting, asked = np.random.default_rng(shuffle), [], []
    while len(asked) < count:
        while algorithm.can_ask and len(waiting) < open_at_once:
            proposal = algorithm.ask()
            if proposal is None:
                return asked
            waiting.append(proposal)
            asked.append(proposal)
        proposal = waiting.pop(int(rng.integers(len(waiting))))
        values = score(proposal.hyperparameters)
        if proposal.number % 9 == 0:
            algorithm.reject(proposal)
        elif proposal.number % 7 == 0:
            algorithm.tell(proposal, proposal.number, None)
        else:
            algorithm.tell(proposal, proposal.number, values, violation=max(0, values[0] - 5))
    return asked


@pytest.mark.parametrize("name, steady_state, surrogate", WAYS)
def test_proposals_are_new_feasible_and_of_earlier_parents(name, steady_state, surrogate):
    space = Cells()
    count = 20 if surrogate else 50  # the surrogate is fitted again and again
    asked = played(made(name, steady_state, surrogate), count, open_at_once=3)
    assert len({space.identity(p.hyperparameters) for p in asked}) == count
    assert not any(space.infeasible(p.hyperparameters) for p in asked)
    out = {p.number for p in asked if p.number % 9 == 0 or p.number % 7 == 0}
    for proposal in asked:
        assert all(parent < proposal.number and parent not in out for parent in proposal.parents)
    bred = sum(bool(p.parents) for p in asked)
    assert (bred == 0) == (name in ("all", "random"))


@pytest.mark.parametrize("name, steady_state, surrogate", WAYS)
def test_a_seed_says_everything_and_global_generators_nothing(name, steady_state, surrogate):
    def genotypes(seed):
        algorithm = made(name, steady_state, surrogate, seed)
        return [p.genotype for p in played(algorithm, 12 if surrogate else 20)]

    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist()
    first = genotypes(1)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
    random.seed(6)
    np.random.seed(6)
    assert genotypes(1) == first
    # Several runs divide a space among them, whatever their seeds.
    assert (genotypes(2) == first) == (name == "all")


BREEDERS = [name for name in NAMES if name not in ("all", "random")]
# Of five nearly all are Pareto-optimal, so that age decides in regularized evolution.
BREEDING = [
    *[(name, 3) for name in BREEDERS],
    *left_to_all(*itertools.product(BREEDERS, (1, 2)), ("nsga2", 5)),
]


@pytest.mark.parametrize(("name", "objectives"), BREEDING)
def test_any_number_of_objectives_is_searched_better_than_at_random(name, objectives):
    """Objectives are sums over edges, and their sum is compared, in the later proposals."""
    weights = np.random.default_rng(3).random((objectives, 6, 5))
    weights *= np.array([1, -1, 1, 1, 1])[:objectives, None, None]  # the second is maximised

    def score(cell):
        places = [Cells.variables[0].values.index(o) for o in cell.values()]
        return weights[:, np.arange(6), places].sum(axis=1).tolist()

    def mean(name):
        algorithms = [made(name, seed=seed, objectives=objectives) for seed in range(6)]
        late = [p for algorithm in algorithms for p in played(algorithm, 120, score)[60:]]
        return np.mean([np.abs(score(p.hyperparameters)).sum() for p in late])

    assert mean(name) < mean("random") - 0.3


@pytest.mark.parametrize("name", NAMES)
def test_all_failing_and_all_rejected_is_survived(name):
    for answer in ("tell", "reject"):
        algorithm = made(name, surrogate=True)
        for _ in range(30):
            proposal = algorithm.ask()
            if answer == "tell":
                algorithm.tell(proposal, proposal.number, None)
            else:
                algorithm.reject(proposal)
            assert proposal.parents == ()


@pytest.mark.parametrize("name", ["nsga3", "moead", "spea2", "eps_moea", "nsgaa2"])
def test_an_unknown_algorithm_is_named_with_those_allowed(name):
    with pytest.raises(InputError) as error:
        load_config(overrides=[f"search.algorithm={name}"])
    for text in (f"search.algorithm: given '{name}'", *NAMES):
        assert text in str(error.value)


# Spaces


class Listed(Space):
    """A space of given variables."""

    def __init__(self, variables, broken=frozenset()):
        self.variables, self._broken = tuple(variables), broken
        self.size = float(np.prod([float(v.size) for v in self.variables]))

    def genotype(self, values):
        return repr(sorted(values.items()))

    def infeasible(self, values):
        return "broken" if self.genotype(values) in self._broken else None


@st.composite
def spaces(draw, with_numbers):
    """One to four variables; each may depend on an earlier choice."""
    variables = []
    for place in range(draw(st.integers(1, 4))):
        choices = [v for v in variables if isinstance(v, Choice)]
        conditions = ()
        if choices and draw(st.booleans()):
            parent = draw(st.sampled_from(choices))
            values = draw(st.sets(st.sampled_from(parent.values), min_size=1))
            conditions = (Condition(parent.name, tuple(values)),)
        if with_numbers and draw(st.booleans()):
            variables.append(Range(f"v{place}", lambda p: 10**-p, conditions))
        else:
            count, ordered = draw(st.integers(1, 3)), draw(st.booleans())
            variables.append(Choice(f"v{place}", tuple(range(count)), ordered, conditions))
    return Listed(variables)


def reachable(space):
    """All architectures of a countable space, by genotype."""
    rows = itertools.product(*(range(v.size) for v in space.variables))
    return {space.genotype(decode(space.variables, row)) for row in rows}


def value(values):
    """Some number of any hyperparameters."""
    return float(sum(len(name) + v for name, v in values.items()))


EXAMPLES = settings(deadline=None, max_examples=5, suppress_health_check=[HealthCheck.too_slow])


@EXAMPLES
@given(
    spaces(with_numbers=False), st.sampled_from(NAMES), st.booleans(), st.integers(0, 9), st.data()
)
def test_every_feasible_architecture_is_proposed_once(space, name, surrogate, seed, data):
    everything = reachable(space)
    broken = data.draw(st.sets(st.sampled_from(sorted(everything))))
    space = Listed(space.variables, frozenset(broken))
    algorithm = made(name, surrogate=surrogate, seed=seed, space=space, population=4)
    asked = played(algorithm, 10**6, lambda values: [value(values), -value(values)])
    assert sorted(p.genotype for p in asked) == sorted(everything - broken)
    assert algorithm.ask() is None


@pytest.mark.long
@EXAMPLES
@given(spaces(with_numbers=True), st.sampled_from(NAMES), st.booleans(), st.integers(0, 9))
def test_proposals_have_exactly_the_active_variables_with_values_of_their_own(
    space, name, surrogate, seed
):
    algorithm = made(name, surrogate=surrogate, seed=seed, space=space, population=4)
    asked = played(algorithm, 30, lambda values: [value(values), -value(values)])
    for proposal in asked:
        values = proposal.hyperparameters
        for variable in space.variables:
            is_active = all(values.get(c.parent) in c.values for c in variable.conditions)
            assert (variable.name in values) == is_active
            if is_active and isinstance(variable, Choice):
                assert values[variable.name] in variable.values
            elif is_active:
                assert 0.1 <= values[variable.name] <= 1
    assert len({p.genotype for p in asked}) == len(asked)
