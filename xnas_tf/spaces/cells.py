"""Cells of NAS-Bench-201 and their genotype strings; needs neither Keras nor TensorFlow."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from xnas_tf.errors import InputError, suggest

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4
EDGES: dict[str, tuple[int, int]] = {
    f"edge_{source}_{target}": (source, target)
    for target in range(1, NODES)
    for source in range(target)
}
"""Name of each edge -> (source node, target node), in the order of the genotype string."""


def format_genotype(cell: Mapping[str, str]) -> str:
    """Writes a cell as ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    Args:
        cell: Operation of each edge in ``EDGES``.
    """
    nodes = []
    for node in range(1, NODES):
        edges = (f"{cell[f'edge_{source}_{node}']}~{source}" for source in range(node))
        nodes.append("|" + "|".join(edges) + "|")
    return "+".join(nodes)


def parse_genotype(genotype: str) -> dict[str, str]:
    """Reads a genotype string; the inverse of ``format_genotype``.

    Raises:
        InputError: If the text is no genotype or names an unknown operation.
    """
    operations = re.findall(r"\|?([^|~+]+)~\d", genotype)
    for operation in operations:
        if operation not in OPERATIONS:
            raise InputError(
                f"genotype {genotype!r}: unknown operation {suggest(operation, OPERATIONS)}"
            )
    cell = dict(zip(EDGES, operations, strict=False))
    if len(operations) != len(EDGES) or format_genotype(cell) != genotype:
        raise InputError(
            f"genotype {genotype!r} is not of the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
        )
    return cell


def live_edges(cell: Mapping[str, str]) -> set[str]:
    """Returns the edges that lie on a path from the cell's input to its output.

    Edges with ``none`` are cut, and with them all that hangs on them alone. The set is
    empty where nothing reaches the output.
    """
    kept = {edge: ends for edge, ends in EDGES.items() if cell[edge] != "none"}
    fed = {0}
    for source, target in sorted(kept.values()):
        if source in fed:
            fed.add(target)
    used = {NODES - 1}
    for source, target in sorted(kept.values(), reverse=True):
        if target in used:
            used.add(source)
    return {edge for edge, (source, target) in kept.items() if source in fed and target in used}


def canonical(genotype: str) -> str:
    """Dong & Yang's text of a cell: 6,466 of them over the 15,625 cells (arXiv 2001.00326, §2).

    Built from the input on: ``0`` is the input, ``(s)@op`` an operation on what ``s`` writes,
    a skip is ``s`` itself, ``#`` is nothing (a ``none`` edge, or any operation on nothing), and
    a node joins its incoming edges in sorted order. What does not lead to the output is not in
    the output's text.

    Cells of one text compute the same function where convolutions of the same text have the
    same weights. A text does not say whether ``(0)@nor_conv_3x3`` twice is one convolution used
    twice or two of them, however: 430 texts, of 1,786 cells, are of networks that differ in
    their number of parameters. Nor does it see that ``#`` adds nothing. ``network_of`` does both.

    Args:
        genotype: A genotype string, see ``format_genotype``.

    Raises:
        InputError: If it is none.
    """
    cell = parse_genotype(genotype)
    texts = ["0"]
    for node in range(1, NODES):
        edges = (_applied(cell[f"edge_{source}_{node}"], texts[source]) for source in range(node))
        texts.append("+".join(sorted(edges)))
    return texts[-1]


def _applied(operation: str, text: str) -> str:
    if operation == "none" or text == "#":
        return "#"
    return text if operation == "skip_connect" else f"({text})@{operation}"


def network_of(cell: Mapping[str, str]) -> str:
    """The network that a cell stands for, as text; two cells have the same text exactly if they
    are the same network with its layers named otherwise.

    Only live edges count, a skip is what it skips from, and sums are sums of all that goes into
    them, in any order. The text is the output's sum and, after ``with``, each layer once: so one
    convolution used twice and two convolutions of the same input are told apart. The 15,625
    cells are 5,425 networks; the one of the 341 infeasible cells is empty.

    Args:
        cell: Operation of each edge in ``EDGES``.
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
            layers.append(_applied(cell[edge], "+".join(sorted(terms[source]))))
            terms[target].append(layers[-1])
    output = "+".join(sorted(terms[NODES - 1]))
    return f"{output} with {', '.join(sorted(layers))}" if layers else output


def plain(cell: Mapping[str, str]) -> dict[str, str]:
    """The same network with ``none`` on all dead edges."""
    live = live_edges(cell)
    return {edge: cell[edge] if edge in live else "none" for edge in EDGES}


PATHS = tuple(
    path
    for length in range(1, NODES)
    for path in itertools.combinations(EDGES, length)
    if (EDGES[path[0]][0], EDGES[path[-1]][1]) == (0, NODES - 1)
    and all(EDGES[a][1] == EDGES[b][0] for a, b in itertools.pairwise(path))
)
"""The edges of each of the four ways from the input to the output."""


def path_counts(cell: Mapping[str, str]) -> list[float]:
    """Of each path, 1 if nothing on it is ``none``, and how many of each other operation it
    then has. What a path does is what it is made of, wherever on it that is: errors are
    predicted better from this than from the edges alone (docs/search.md).

    Returns:
        (paths * operations,).
    """
    counts: list[float] = []
    for path in PATHS:
        found = [cell[edge] for edge in path]
        is_open = "none" not in found
        counts.append(float(is_open))
        counts += [float(is_open * found.count(o)) for o in OPERATIONS if o != "none"]
    return counts
