"""Searches that train every network of a space."""

import pytest

from tests.unit.test_algorithm import CellSpace, algorithm_of, scores
from tests.unit.test_benchmark import CELLS
from xnas_tf.benchmark.simulation import CellSpace as FeasibleCells
from xnas_tf.config import load_config
from xnas_tf.errors import InputError
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.cells import network_of, parse_genotype
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


@pytest.fixture(scope="module")
def cells():
    return FeasibleCells({genotype: 0 for genotype in CELLS})


@pytest.fixture(scope="module")
def networks(cells):
    """One genotype of each network of NAS-Bench-201."""
    return set(proposed(cells))


def test_the_cells_of_nas_bench_201_are_5424_networks(cells, networks):
    assert count_networks(cells) == 5424
    assert len(networks) == 5424


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


def test_listed_networks_are_proposed_in_the_order_of_the_whole_space():
    everything = list(proposed(Conditional()))
    listed = [everything[5], everything[0], everything[3]]
    assert list(proposed(Conditional(), networks=listed)) == [everything[n] for n in (0, 3, 5)]
    assert list(proposed(Conditional(), networks=listed, skip=1)) == [everything[3], everything[5]]
    search = SearchOptions(algorithm="all", networks=listed, skip=1)
    assert with_candidates(search, Conditional()).candidates == 2


def test_any_cell_of_a_network_can_be_listed(cells, networks):
    listed = [  # a dead edge; a cell whose network has other, simpler genotypes
        "|none~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|",
        "|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|",
    ]
    identities = {network_of(parse_genotype(genotype)) for genotype in listed}
    found = list(proposed(cells, networks=listed))
    assert {network_of(parse_genotype(genotype)) for genotype in found} == identities
    assert len(found) == 2 and networks.issuperset(found)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (["a"], r"search.networks: number 1 is 'a', which is not a genotype .* such as \"\["),
        ([0, 0], "number 2, .*, has the same network as number 1"),
    ],
)
def test_networks_that_are_not_of_the_space_are_errors(networks, message):
    some = list(proposed(Conditional()))
    given = [some[each] if isinstance(each, int) else each for each in networks]
    with pytest.raises(InputError, match=message):
        with_candidates(SearchOptions(algorithm="all", networks=given), Conditional())


def test_infeasible_networks_are_errors(cells):
    search = SearchOptions(
        algorithm="all", networks=["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"]
    )
    with pytest.raises(InputError, match="search.networks: .* is infeasible: the cell has no path"):
        with_candidates(search, cells)


def test_networks_are_read_from_a_file(tmp_path):
    file = tmp_path / "some.txt"
    file.write_text("\n  one\n\ntwo\n")
    search = load_config(overrides=[f"search={{algorithm: all, networks: {file}}}"]).search
    assert search.networks == ["one", "two"]
    file.write_text("\n")
    for name, message in [
        ("some.txt", "is empty"),
        ("other.txt", "cannot be read: .*No such file"),
    ]:
        with pytest.raises(InputError, match=rf"search.networks: .*{name}' {message}"):
            load_config(overrides=[f"search={{algorithm: all, networks: {tmp_path / name}}}"])
    with pytest.raises(InputError, match="networks: given 1; this has an effect only with alg"):
        load_config(overrides=["search.networks=[one]"])
