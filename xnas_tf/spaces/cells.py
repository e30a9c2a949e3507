"""Cells of NAS-Bench-201 and their genotype strings; needs neither Keras nor TensorFlow."""

from __future__ import annotations

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
