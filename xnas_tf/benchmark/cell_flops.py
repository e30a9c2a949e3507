"""Floating-point operations of NAS-Bench-201 networks, from those of single operations.

All edges of a cell have tensors of the same shape, so an operation takes equally many operations on
each of them, and the operations of a network are a sum. Five networks are counted instead of 5,424.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import keras_tuner

from xnas_tf.objectives.cost import count_flops
from xnas_tf.spaces.cells import EDGES, OPERATIONS, live_edges, parse_genotype
from xnas_tf.utils.randomness import own_generator

SHORTEST, LONGER = "edge_0_3", ("edge_0_1", "edge_1_3")
"""The path of one edge from a cell's input to its output, and a path of two edges."""


class CellFlops:
    """Counts the operations of networks of one skeleton on one image, as ``Flops`` does.

    Args:
        skeleton: The HyperModel ``nas_bench_201`` that builds the networks.
    """

    def __init__(self, skeleton: keras_tuner.HyperModel) -> None:
        skip = {SHORTEST: "skip_connect"}
        self._skeleton = _flops(skeleton, skip)
        self._operations = {
            name: _flops(skeleton, {SHORTEST: name}) - self._skeleton
            for name in OPERATIONS
            if name != "none"
        }
        twice = _flops(skeleton, skip | dict.fromkeys(LONGER, "skip_connect"))
        self._sum = twice - self._skeleton

    def __call__(self, genotype: str) -> int:
        """Return the number of floating-point operations of a genotype's network on one image."""
        cell = parse_genotype(genotype)
        live = live_edges(cell)
        summands = Counter(EDGES[edge][1] for edge in live)
        sums = sum(count - 1 for count in summands.values())
        return self._skeleton + sum(self._operations[cell[e]] for e in live) + sums * self._sum


def _flops(skeleton: keras_tuner.HyperModel, edges: Mapping[str, str]) -> int:
    """Count the operations of the network whose cell has only these edges."""
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values.update({**dict.fromkeys(EDGES, "none"), **edges})
    with own_generator(seed=0):  # the initial values do not matter
        return count_flops(skeleton.build(hyperparameters))
