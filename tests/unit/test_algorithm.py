import numpy as np
import platypus
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xnas_tf.errors import InputError
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.cells import EDGES, OPERATIONS, format_genotype, live_edges
from xnas_tf.spaces.variables import Choice, Condition, Range, decode
from xnas_tf.strategy import Algorithm
from xnas_tf.strategy.options import SearchOptions
from xnas_tf.strategy.selection import NSGA2


class CellSpace(Space):
    """NAS-Bench-201's cells without their networks."""

    variables = tuple(Choice(edge, OPERATIONS) for edge in EDGES)
    size = 15_625

    def genotype(self, values):
        return format_genotype(values)


def algorithm_of(space, directions, population, seed=0, steady_state=False, **search):
    config = SearchOptions(population=population, seed=seed, **search)
    names = [f"f{number}" for number in range(len(directions))]
    return Algorithm(config, dict(zip(names, directions, strict=True)), space, steady_state)


def scores(cell):
    """Two conflicting objectives: few convolutions, few other live edges."""
    live = live_edges(cell)
    convolutions = sum(cell[edge].startswith("nor") for edge in live)
    return [convolutions, len(live) - convolutions + 0.1 * (6 - convolutions)]


def run(seed, count, violation=lambda values: 0.0):
    algorithm = algorithm_of(CellSpace(), ["minimize", "maximize"], 8, seed)
    proposals = []
    for number in range(1, count + 1):
        proposals.append(algorithm.ask())
        values = scores(proposals[-1].hyperparameters)
        algorithm.tell(proposals[-1], number, values, violation(values))
    return algorithm, proposals


def test_nothing_is_proposed_twice_and_parents_come_before_children():
    algorithm, proposals = run(3, 200)
    assert len({p.genotype for p in proposals}) == 200
    for number, proposal in enumerate(proposals, start=1):
        assert all(1 <= parent < number for parent in proposal.parents)
        assert bool(proposal.parents) == (proposal.generation > 0)
    assert proposals[-1].generation == 24 and algorithm.duplicates > 0


def test_those_within_constraints_come_first():
    algorithm, _ = run(2, 160, violation=lambda values: max(0.0, values[0] - 2.0))
    assert all(s.constraint_violation == 0 for s in algorithm._population)


def test_variables_mutate_to_other_values_of_their_own():
    rng = np.random.default_rng(0)
    for ordered in (False, True):
        variable = Choice("v", range(5), ordered)
        moves = [(p, variable.mutate(p, rng)) for p in range(5) for _ in range(200)]
        assert all(a != b and 0 <= b < 5 for a, b in moves)
        near = np.mean([abs(a - b) == 1 for a, b in moves])
        assert (near > 0.6) == ordered
    assert Choice("v", ("only",)).mutate(0, rng) == 0
    for size, step in ((20, 2), (1000, 100)):  # the mean step; in the middle, no bound shortens it
        moves = [Choice("v", range(size), True).mutate(size // 2, rng) for _ in range(4000)]
        assert np.mean(np.abs(np.subtract(moves, size // 2))) == pytest.approx(step, rel=0.1)
    places = [Range("r", float).mutate(p, rng) for p in np.linspace(0, 1, 300)]
    assert min(places) >= 0 and max(places) <= 1


def test_only_active_variables_have_values():
    variables = (
        Choice("head", ("mean", "dense")),
        Choice("units", (8, 16), conditions=(Condition("head", ("dense",)),)),
        Choice("depth", (1, 2), conditions=(Condition("units", (16,)),)),
    )
    assert decode(variables, [0, 1, 1]) == {"head": "mean"}
    assert decode(variables, [1, 0, 1]) == {"head": "dense", "units": 8}
    assert decode(variables, [1, 1, 1]) == {"head": "dense", "units": 16, "depth": 2}


class Given(platypus.Variator, platypus.Generator):
    """Generates given solutions in place of random ones and of offspring."""

    def __init__(self, solutions):
        super().__init__(arity=2)
        self._solutions = iter(solutions)

    def generate(self, problem):
        return next(self._solutions)

    def evolve(self, parents):
        return [next(self._solutions)]


VALUES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.0])
ROWS = st.tuples(VALUES, VALUES, VALUES, st.sampled_from([0.0, 0.0, 1.0, 2.0]))


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 12).flatmap(lambda n: st.lists(ROWS, min_size=2 * n, max_size=2 * n)))
def test_survivors_are_those_of_platypus_own_nsga2(rows):
    """From the same population and offspring, with and without broken constraints."""
    problem, solutions, size = platypus.Problem(0, 3, nconstrs=1), [], len(rows) // 2
    for *objectives, violation in rows:
        solution = platypus.Solution(problem)
        solution.objectives[:] = objectives
        solution.constraint_violation, solution.evaluated = violation, True
        solutions.append(solution)
    given_ones = Given(solutions)
    library = platypus.NSGAII(problem, size, generator=given_ones, variator=given_ones)
    library.initialize()
    library.iterate()
    ours = NSGA2(size, np.random.default_rng(0)).survive(solutions[:size], solutions[size:])
    assert [id(s) for s in ours] == [id(s) for s in library.population]


def in_any_order(seed, batch, shuffle):
    """A generational search with several proposals open, answered in a random order."""
    algorithm = algorithm_of(CellSpace(), ["minimize", "maximize"], 8, seed)
    rng, waiting, asked = np.random.default_rng(shuffle), [], []
    while len(asked) < 60:
        while algorithm.can_ask and len(waiting) < batch:
            waiting.append(algorithm.ask())
            asked.append(waiting[-1].genotype)
        proposal = waiting.pop(int(rng.integers(len(waiting))))
        if proposal.hyperparameters["edge_0_1"] == "none":  # as if it were infeasible
            algorithm.reject(proposal)
        else:
            algorithm.tell(proposal, proposal.number, scores(proposal.hyperparameters))
    return asked[:60]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 99), st.integers(1, 12), st.integers(0, 99))
def test_a_generation_does_not_depend_on_who_answers_first(seed, batch, shuffle):
    assert in_any_order(seed, batch, shuffle) == in_any_order(seed, 1, 0)


def test_a_generation_waits_for_all_of_the_one_before():
    algorithm = algorithm_of(CellSpace(), ["minimize", "maximize"], 4, 0)
    proposals = [algorithm.ask() for _ in range(4)]
    assert not algorithm.can_ask
    algorithm.reject(proposals[0])
    assert algorithm.can_ask and algorithm.ask().generation == 0
    assert not algorithm.can_ask


def test_steady_state_breeds_from_what_is_known():
    algorithm = algorithm_of(CellSpace(), ["minimize"] * 2, 4, 0, steady_state=True)
    slow = algorithm.ask()
    for number in range(2, 40):
        assert algorithm.can_ask
        proposal = algorithm.ask()
        assert bool(proposal.parents) == (number > 5)  # the first four answers are at random
        algorithm.tell(proposal, number, [float(number), 0.0])
    algorithm.tell(slow, 1, [0.0, 0.0])
    heirs = [algorithm.ask().parents for _ in range(40)]
    assert sum(1 in parents for parents in heirs) > 10  # the late one is the best


def test_a_genotype_of_two_networks_is_refused():
    """A run records candidates by their genotypes."""

    class Short(CellSpace):
        def genotype(self, values):
            return "short"

        def identity(self, values):
            return format_genotype(values)

    algorithm = algorithm_of(Short(), ["minimize"], 8)
    algorithm.ask()
    with pytest.raises(InputError, match="'short' for two networks that its identity"):
        algorithm.ask()
