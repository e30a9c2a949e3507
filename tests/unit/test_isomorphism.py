"""Which cells of NAS-Bench-201 are the same network, checked on the networks themselves."""

import itertools
import zlib
from collections import Counter, defaultdict

import keras
import keras_tuner
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spaces import small_cells
from xnas_tf.spaces.cells import EDGES, NODES, OPERATIONS, live_edges, network_of
from xnas_tf.spaces.nas_bench_201 import NASBench201

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
HYPERMODEL = NASBench201(SHAPE, 3, channels=2, cells_per_stack=1)
cells = st.fixed_dictionaries({edge: st.sampled_from(OPERATIONS) for edge in EDGES})


def every_cell():
    for operations in itertools.product(OPERATIONS, repeat=len(EDGES)):
        yield dict(zip(EDGES, operations, strict=True))


@pytest.fixture(scope="module")
def networks():
    """Text of each network -> its cells."""
    groups = defaultdict(list)
    for cell in every_cell():
        groups[network_of(cell)].append(cell)
    return groups


def groups_of(networks, seed, count):
    """Some of the networks that several cells stand for."""
    several = [group for text, group in networks.items() if text and len(group) > 1]
    rng = np.random.default_rng(seed)
    return [several[i] for i in rng.choice(len(several), count, replace=False)]


def canonical(cell):
    """Dong & Yang's canonical text of a cell (arXiv 2001.00326, section 2), node by node.

    ``#`` is nothing: a ``none`` edge, or any operation on nothing. The text does not say whether
    ``(0)@nor_conv_3x3`` twice is one convolution used twice or two convolutions.
    """
    texts = ["0"]
    for node in range(1, NODES):
        edges = []
        for source, text in enumerate(texts):
            operation = cell[f"edge_{source}_{node}"]
            applied = text if operation == "skip_connect" else f"({text})@{operation}"
            edges.append("#" if operation == "none" or text == "#" else applied)
        texts.append("+".join(sorted(edges)))
    return texts[-1]


def test_published_number_of_canonical_forms():
    assert len({canonical(cell) for cell in every_cell()}) == 6_466


def test_infeasible_cells_are_the_empty_network(networks):
    assert len(networks) == 5_425
    assert networks[""] == [cell for cell in every_cell() if not live_edges(cell)]


def terms_of(cell, edge_of):
    """Each node's sum as a sorted tuple of (operation, name of its edge, what it is applied to),
    written without looking at the implementation."""
    sums = {0: (("input",),)}
    for node in range(1, NODES):
        found = []
        for source in range(node):
            edge = f"edge_{source}_{node}"
            if cell[edge] == "none" or not sums[source]:
                continue
            applied = ((cell[edge], edge_of[edge], sums[source]),)
            found += sums[source] if cell[edge] == "skip_connect" else applied
        sums[node] = tuple(sorted(found))
    return sums


@given(cells, st.data())
def test_equal_texts_are_isomorphisms_and_nothing_else(networks, cell, data):
    """Against brute force over all ways to rename the layers of another cell."""
    names = {edge: edge for edge in EDGES}
    wanted = terms_of(cell, names)[NODES - 1]
    relative = data.draw(st.sampled_from(networks[network_of(cell)]))
    changed = data.draw(st.sampled_from(list(EDGES)))
    neighbour = {**relative, changed: data.draw(st.sampled_from(OPERATIONS))}
    for other in (relative, neighbour):
        isomorphic = any(
            terms_of(other, dict(zip(EDGES, renamed, strict=True)))[NODES - 1] == wanted
            for renamed in itertools.permutations(EDGES)
        )
        assert isomorphic == (network_of(other) == network_of(cell))


def inputs_of(cell):
    """Each live edge with a layer -> what its layer computes, as text."""
    sums = terms_of(cell, dict.fromkeys(EDGES, ""))
    return {
        edge: repr((cell[edge], sums[source]))
        for edge, (source, _) in EDGES.items()
        if edge in live_edges(cell) and cell[edge] != "skip_connect"
    }


def logits(cell, occurrence):
    """What the real network says where a layer's weights depend on what it computes alone.

    Args:
        cell: The cell.
        occurrence: Edge -> number that tells layers that compute the same apart.
    """
    hp = keras_tuner.HyperParameters()
    hp.values = cell
    model = HYPERMODEL.build(hp)
    computes = inputs_of(cell)
    for layer in model.layers:
        key = layer.name
        for edge, text in computes.items():
            key = key.replace(edge, f"{text} {occurrence[edge]}")
        rng = np.random.default_rng(zlib.crc32(key.encode()))
        layer.set_weights([_random(weight, rng) for weight in layer.weights])
    return np.asarray(keras.Model(model.inputs[0], model.get_layer("logits").output)(IMAGES))


def _random(weight, rng):
    if weight.path.endswith("kernel"):
        return rng.normal(size=weight.shape) * np.prod(weight.shape[:-1]) ** -0.5
    return rng.uniform(0.5, 1.5, weight.shape)


def occurrences(cell):
    """All ways to number the layers that compute the same."""
    twins = defaultdict(list)
    for edge, text in inputs_of(cell).items():
        twins[text].append(edge)
    orders = [itertools.permutations(range(len(edges))) for edges in twins.values()]
    for chosen in itertools.product(*orders):
        yield {
            edge: number
            for edges, order in zip(twins.values(), chosen, strict=True)
            for edge, number in zip(edges, order, strict=True)
        }


def same(first, second):
    return np.allclose(first, second, rtol=1e-3, atol=1e-3 * np.abs(first).max())


@pytest.mark.long
def test_cells_of_one_network_compute_the_same(networks):
    """Weights are carried over from layer to layer, twins in one of the possible orders."""
    for first, *others in groups_of(networks, seed=0, count=6):
        wanted = logits(first, next(occurrences(first)))
        assert any(same(wanted, logits(others[-1], order)) for order in occurrences(others[-1]))


def convolutions(cell):
    return tuple(sorted(cell[edge] for edge in live_edges(cell) if "conv" in cell[edge]))


def costs(cell):
    """All that is computed in a cell: its layers, and how many tensors are added."""
    live = live_edges(cell)
    ends = Counter(target for _, target in (EDGES[edge] for edge in live))
    layers = Counter(cell[edge] for edge in live if cell[edge] != "skip_connect")
    return layers, sum(ends.values()) - len(ends)


def test_cells_of_one_network_cost_the_same(networks):
    for first, *others in networks.values():
        assert all(costs(other) == costs(first) for other in others)


@pytest.mark.long
def test_cells_of_one_canonical_form_compute_the_same_with_weights_in_common():
    """The published form does not tell twins apart, so they get the same weights: those of one
    form may differ in their number of parameters."""
    forms = defaultdict(dict)
    for cell in every_cell():
        forms[canonical(cell)].setdefault(convolutions(cell), cell)
    several = [list(found.values()) for found in forms.values() if len(found) > 1]
    assert len(several) == 430
    in_common = dict.fromkeys(EDGES, 0)
    for first, second, *_ in several[::90]:
        assert same(logits(first, in_common), logits(second, in_common))


@pytest.mark.long
def test_different_networks_almost_never_compute_the_same(networks):
    """Average pooling is linear, so pooling a sum is a sum of poolings; nothing else is equal."""
    rng = np.random.default_rng(1)
    feasible = [group[0] for text, group in networks.items() if text]
    chosen = [feasible[i] for i in rng.choice(len(feasible), 16, replace=False)]
    outputs = [logits(cell, next(occurrences(cell))) for cell in chosen]
    equal = [same(a, b) for a, b in itertools.combinations(outputs, 2)]
    assert sum(equal) <= len(equal) // 100 == 1


def test_only_one_network_of_an_identity(networks):
    space = small_cells()
    ((first, second, *_),) = groups_of(networks, seed=2, count=1)
    assert space.identity(first) == space.identity(second) == network_of(first)
    assert space.genotype(first) != space.genotype(second)
