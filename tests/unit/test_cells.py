import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnas_tf.errors import InputError
from xnas_tf.spaces.cells import EDGES, OPERATIONS, format_genotype, live_edges, parse_genotype

cells = st.fixed_dictionaries({edge: st.sampled_from(OPERATIONS) for edge in EDGES})


@given(cells)
def test_genotype_string_round_trip(cell):
    assert parse_genotype(format_genotype(cell)) == cell


def test_published_spelling():
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    cell = parse_genotype(text)
    assert cell["edge_0_1"] == "nor_conv_3x3"
    assert cell["edge_1_2"] == "skip_connect"
    assert cell["edge_2_3"] == "nor_conv_1x1"


@pytest.mark.parametrize(
    "text", ["", "nonsense", "|none~0|", "|none~0|+|none~0|none~0|+|none~0|none~1|none~2|"]
)
def test_what_is_no_genotype_is_refused(text):
    with pytest.raises(InputError, match="genotype"):
        parse_genotype(text)


def test_unknown_operation_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'nor_conv_3x3'"):
        parse_genotype("|nor_conv3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")


def _paths(cell):
    """All paths from input to output, by brute force over node sequences."""
    for middle in ([], [1], [2], [1, 2]):
        nodes = [0, *middle, 3]
        edges = [f"edge_{a}_{b}" for a, b in itertools.pairwise(nodes)]
        if all(cell[edge] != "none" for edge in edges):
            yield edges


@given(cells)
def test_live_edges_are_those_on_some_path(cell):
    assert live_edges(cell) == {edge for path in _paths(cell) for edge in path}
