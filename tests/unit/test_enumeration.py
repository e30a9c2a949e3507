"""Searches that train every network of a space."""

import pytest

from tests.unit.test_algorithm import CellSpace, algorithm_of, scores
from tests.unit.test_benchmark import CELLS
from xnas_tf.benchmark.simulation import CellSpace as FeasibleCells
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import Choice, Condition, Range
from xnas_tf.strategy.enumeration import count_networks, enumerate_space, with_candidates
from xnas_tf.strategy.options import SearchOptions


class Conditional(Space):
    """Six architectures, some of which have several encodings."""

    variables = (
        Choice("head", ("mean", "dense")),
        Choice("units", (8, 16), conditions=(Condition("head", ("dense",)),)),
        Choice("depth", (1, 2)),
    )
    size = 8

    def genotype(self, values):
        return str(sorted(values.items()))


def proposed(space, seed=0, **search):
    algorithm = algorithm_of(
        space, ["minimize", "maximize"], 8, seed, steady_state=True, algorithm="all", **search
    )
    while proposal := algorithm.ask():
        yield proposal.genotype
        algorithm.tell(proposal, proposal.number, [0.0, 1.0])


def test_every_network_is_proposed_once_in_an_order_that_does_not_depend_on_the_seed():
    genotypes = list(proposed(Conditional()))
    assert len(genotypes) == len(set(genotypes)) == 6
    assert genotypes == list(proposed(Conditional(), seed=5))
    assert genotypes != sorted(genotypes)


def test_runs_that_skip_divide_a_space():
    everything = list(proposed(Conditional()))
    for skip in range(1, 6):
        assert list(proposed(Conditional(), skip=skip)) == everything[skip:]


def test_the_cells_of_nas_bench_201_are_5424_networks():
    space = FeasibleCells({genotype: 0 for genotype in CELLS})
    assert count_networks(space) == 5424
    assert len(set(proposed(space))) == 5424


def test_enumeration_covers_all_encodings():
    assert len(set(enumerate_space(CellSpace()))) == 5**6


def test_the_number_of_candidates_is_that_of_networks_unless_fewer_are_wanted():
    def candidates(**given):
        search = SearchOptions(**{"algorithm": "all", **given})
        return with_candidates(search, Conditional()).candidates

    assert candidates() == 6
    assert candidates(candidates=4) == 4
    assert candidates(candidates=9) == 6
    assert candidates(skip=4) == 2
    assert candidates(algorithm="nsga2") == 16


def test_what_cannot_be_enumerated_is_named():
    class Endless(Conditional):
        variables = (Range("rate", float),)
        size = float("inf")

    search = SearchOptions(algorithm="all")
    with pytest.raises(InputError, match=r"search.algorithm: given all, .* at most 1,000,000"):
        with_candidates(search, Endless())
    with pytest.raises(InputError, match="search.skip: given 6; allowed: less than 6"):
        with_candidates(search.model_copy(update={"skip": 6}), Conditional())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.skip=3", "skip: given 3; it has an effect only with algorithm: all"),
        ("search={algorithm: all, surrogate: true}", "surrogate: given true, but"),
        (
            "search={algorithm: all, skip: 3, reuse: [runs/x]}",
            "search.skip: given 3 together with search.reuse",
        ),
    ],
)
def test_options_that_contradict_the_algorithm_are_errors(override, message):
    with pytest.raises(InputError, match=message):
        load_config(overrides=[override])


def test_scores_do_not_change_the_order():
    algorithm = algorithm_of(CellSpace(), ["minimize", "maximize"], 8, algorithm="all")
    genotypes = []
    for number in range(1, 30):
        proposal = algorithm.ask()
        genotypes.append(proposal.genotype)
        algorithm.tell(proposal, number, scores(proposal.hyperparameters))
    first = proposed(CellSpace())
    assert genotypes == [next(first) for _ in genotypes]


def test_spaces_of_many_variables_are_enumerated():
    class Wide(Conditional):
        variables = (*(Choice(f"fixed_{n}", (1,)) for n in range(70)), Choice("free", (1, 2)))
        size = 2

    assert len(set(enumerate_space(Wide()))) == 2


def test_constraints_do_not_allow_skipping():
    overrides = ["search={algorithm: all, skip: 3}", "constraints={parameters: '<= 2000'}"]
    with pytest.raises(InputError, match="search.skip: given 3 together with constraints"):
        load_config(overrides=overrides)
