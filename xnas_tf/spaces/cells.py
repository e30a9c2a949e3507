"""Cells of NAS-Bench-201 and their genotype strings, independent of Keras and TensorFlow."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from xnas_tf.errors import InputError, suggest

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4
EDGES: dict[str, tuple[int, int]] = {
    f"edge_{source}_{target}": (source, target)
    for target in range(1, NODES)
    for source in range(target)
}
"""Name of each edge -> (source node, target node), in the order of the genotype string."""


def all_operations() -> Iterator[tuple[str, ...]]:
    """Yield the edge operations of each of the 15,625 cells."""
    return itertools.product(OPERATIONS, repeat=len(EDGES))


def format_genotype(cell: Mapping[str, str]) -> str:
    """Format a cell (the operation on each edge) as ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
    nodes = []
    for node in range(1, NODES):
        edges = (f"{cell[f'edge_{source}_{node}']}~{source}" for source in range(node))
        nodes.append("|" + "|".join(edges) + "|")
    return "+".join(nodes)


def parse_genotype(genotype: str, where: str = "") -> dict[str, str]:
    """Parse a genotype string into a cell; the inverse of ``format_genotype``.

    Raises:
        InputError: If the text is not a genotype or names an unknown operation. The message begins
            with ``where``.
    """
    named = f"{where}: " * bool(where) + f"genotype {genotype!r}"
    operations = re.findall(r"\|?([^|~+]+)~\d", genotype)
    for operation in operations:
        if operation not in OPERATIONS:
            raise InputError(f"{named}: unknown operation {suggest(operation, OPERATIONS)}")
    cell = dict(zip(EDGES, operations, strict=False))
    if len(operations) != len(EDGES) or format_genotype(cell) != genotype:
        raise InputError(f"{named} is not of the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
    return cell


def live_edges(cell: Mapping[str, str]) -> set[str]:
    """Return the edges that lie on a path from the cell's input to its output.

    Edges with ``none`` lie on no path. The set is empty if no path reaches the output.
    """
    kept = {edge: ends for edge, ends in EDGES.items() if cell[edge] != "none"}
    reached = {0}
    for source, target in sorted(kept.values()):
        if source in reached:
            reached.add(target)
    used = {NODES - 1}
    for source, target in sorted(kept.values(), reverse=True):
        if target in used:
            used.add(source)
    return {edge for edge, (source, target) in kept.items() if source in reached and target in used}


def network_of(cell: Mapping[str, str]) -> str:
    """Describe a cell's network as text.

    Two cells have the same text if and only if their networks differ at most in the names of
    layers. Only live edges count, a skip connection is replaced by its source, and the order of
    summands does not matter. The list of all layers after ``with`` distinguishes one convolution
    used twice from two convolutions of the same input. The 15,625 cells form 5,425 networks; the
    text of the 341 infeasible cells is empty.
    """
    live = live_edges(cell)
    terms: dict[int, list[str]] = {0: ["0"], **{node: [] for node in range(1, NODES)}}
    layers = []
    for edge, (source, target) in EDGES.items():
        if edge not in live:
            continue
        if cell[edge] == "skip_connect":
            terms[target] += terms[source]
        else:
            layers.append(f"({'+'.join(sorted(terms[source]))})@{cell[edge]}")
            terms[target].append(layers[-1])
    output = "+".join(sorted(terms[NODES - 1]))
    return f"{output} with {', '.join(sorted(layers))}" if layers else output


def plain(cell: Mapping[str, str]) -> dict[str, str]:
    """Return the cell with the same network and ``none`` on all edges that are not live."""
    live = live_edges(cell)
    return {edge: cell[edge] if edge in live else "none" for edge in EDGES}


PATHS = tuple(
    path
    for length in range(1, NODES)
    for path in itertools.combinations(EDGES, length)
    if (EDGES[path[0]][0], EDGES[path[-1]][1]) == (0, NODES - 1)
    and all(EDGES[a][1] == EDGES[b][0] for a, b in itertools.pairwise(path))
)
"""The edges of each of the four paths from the input to the output."""


def path_counts(cell: Mapping[str, str]) -> list[float]:
    """Count the operations on each path from the input to the output.

    For each path without ``none``, return a 1 and the number of times that each other operation
    occurs on it; for any other path, return zeros. Surrogates predict errors better from these
    counts than from the edges alone (docs/benchmarks/search.md).
    """
    counts: list[float] = []
    for path in PATHS:
        operations = [cell[edge] for edge in path]
        is_open = "none" not in operations
        counts.append(float(is_open))
        counts += [float(is_open * operations.count(o)) for o in OPERATIONS if o != "none"]
    return counts
