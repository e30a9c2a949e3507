"""The numbers of the 15,625 cells in the published files of NAS-Bench-201 and NATS-Bench.

The authors put all cells in a random order with a fixed seed (``generate_meta_info`` in
``exps/NAS-Bench-201/main.py`` of https://github.com/D-X-Y/AutoDL-Projects). A cell's position is
its index in both APIs, for instance in ``api.query_by_index(index)``.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from functools import cache

from xnas_tf.spaces.cells import EDGES, all_operations, network_of

SEED = 88
"""Seed of the authors' shuffle."""


@cache
def published_indices() -> Mapping[str, tuple[int, ...]]:
    """Return the published indices of all cells of each network, in increasing order.

    The keys are those of ``network_of``; the empty text stands for all infeasible cells.
    """
    indices: dict[str, list[int]] = defaultdict(list)
    for index, cell in enumerate(published_cells()):
        indices[network_of(cell)].append(index)
    return {network: tuple(each) for network, each in indices.items()}


def published_cells() -> list[dict[str, str]]:
    """Return all cells; a cell's position is its published index."""
    cells = [dict(zip(EDGES, each, strict=True)) for each in all_operations()]
    random.Random(SEED).shuffle(cells)
    return cells
