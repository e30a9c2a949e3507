"""The order in which TensorFlow sums the gradients of a cell's input.

A sum of three floating-point numbers depends on their order, and training can amplify a
difference in the last digit to a tenth of the loss within 20 steps. A cell's own network sums the
gradients of its input with ``AddN``, in the order of the tape's backward pass: breadth first
(``ComputeGradient`` in TensorFlow 2.18's tensorflow/c/eager/tape.h). ``AddN`` starts with the first
term whose memory is not used elsewhere, and then adds the others in order
(tensorflow/core/kernels/aggregate_ops.h). The term that it starts with is simply the first one,
unless the same term occurs twice. The supernet sums the gradients in the same order.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from xnas_tf.spaces.cells import EDGES, NODES, plain

Order = tuple[int, ...]
"""Indices of the edges whose gradients are summed, from left to right."""
Input = tuple[int, int | None]
"""A tensor, and the edge whose gradient flows back to it; None between an edge's operations."""
Term = str | tuple[str, Any]
"""A gradient, identified by the operations and gradients from which it is computed."""
OPERATIONS_OF_EDGE = {"none": 0, "skip_connect": 0, "avg_pool_3x3": 1}
"""Number of TensorFlow operations on an edge; ``CONVOLUTION_OPERATIONS`` if not listed."""
CONVOLUTION_OPERATIONS = 3
"""Relu, convolution and normalisation."""


def aliases(cell: Mapping[str, str]) -> tuple[bool, ...]:
    """Return which nodes are copies of the cell's input, made by skip connections only, (4,)."""
    operations = plain(cell)
    is_input = [True] + [False] * (NODES - 1)
    for node in range(1, NODES):
        incoming = [e for e, (_, to) in EDGES.items() if to == node and operations[e] != "none"]
        if len(incoming) == 1 and operations[incoming[0]] == "skip_connect":
            is_input[node] = is_input[EDGES[incoming[0]][0]]
    return tuple(is_input)


def order_of(cell: Mapping[str, str]) -> Order:
    """Return the edges in the order in which a cell's own network sums the input's gradients.

    The first two may be swapped, because a + b equals b + a. An edge that only passes the input on
    has no gradient of its own. Such an edge is replaced by the edges after it or, if those have no
    gradients either, by the last edge.
    """
    operations, output = _backward(cell)
    if not output:  # the input itself
        last = [to == NODES - 1 and plain(cell)[edge] != "none" for edge, (_, to) in EDGES.items()]
        return (last.index(True),)
    order = []
    uses = Counter(tensor for inputs in operations.values() for tensor, _ in inputs)
    queue = deque([output])
    while queue:
        for tensor, edge in operations.get(queue.popleft(), ()):
            if tensor == 0 and edge is not None:
                order.append(edge)
            uses[tensor] -= 1
            if not uses[tensor]:
                queue.append(tensor)
    terms = [_term(edge, cell) for edge in order]
    alone = [place for place, term in enumerate(terms) if terms.count(term) == 1]
    if alone:  # the first one comes first
        order[0], order[alone[0]] = order[alone[0]], order[0]
    return tuple(order)


def _term(edge: int, cell: Mapping[str, str]) -> Term:
    """Return the inputs from which an edge's gradient is computed.

    Equal terms stand for the same tensor. No weights are involved, so TensorFlow computes each of
    these tensors only once.
    """
    name, (_, target) = list(EDGES.items())[edge]
    if cell[name] not in OPERATIONS_OF_EDGE:
        return name
    gradient = _gradient_of(target, cell)
    return gradient if cell[name] == "skip_connect" else (cell[name], gradient)


def _gradient_of(node: int, cell: Mapping[str, str]) -> Term:
    operations = plain(cell)
    outgoing = [
        index
        for index, (edge, (source, _)) in enumerate(EDGES.items())
        if source == node and operations[edge] != "none"
    ]
    return _term(outgoing[0], operations) if len(outgoing) == 1 else str(node)


def _backward(cell: Mapping[str, str]) -> tuple[dict[int, list[Input]], int]:
    """Return the inputs of each operation, by the number of the tensor it computes, and the output.

    The backward pass traverses this graph of a cell, whose input is tensor 0.
    """
    operations: dict[int, list[Input]] = {}

    def add(*inputs: Input) -> int:
        operations[number := len(operations) + 1] = list(inputs)
        return number

    chosen, nodes = plain(cell), {0: 0}
    for node in range(1, NODES):
        total: Input | None = None
        for number, (edge, (source, target)) in enumerate(EDGES.items()):
            if target == node and chosen[edge] != "none":
                term: Input = nodes[source], number
                for _ in range(OPERATIONS_OF_EDGE.get(chosen[edge], CONVOLUTION_OPERATIONS)):
                    term = add(term), None
                term = term[0], number
                total = (add(total, term), None) if total else term
        if total:
            nodes[node] = total[0]
    return operations, nodes[NODES - 1]


FULL_ORDERS: tuple[Order, ...] = tuple(
    order
    for edges in ((0, 1, 3), (0, 3, 5), (3, 4, 5), (1, 2, 3, 4))
    for order in itertools.permutations(edges)
    if order[0] < order[1]
)
"""Orders in which the gradients of any cell can be summed, with zeros for edges that have none.
The sets of edges belong to four cases: no other node is the input itself, the third node is, all
nodes are, and the second node is. The first two terms of a sum may be swapped.
"""


def number_of(cell: Mapping[str, str]) -> int:
    """Return the index of the first of ``FULL_ORDERS`` that matches a cell's own network."""
    wanted = order_of(cell)
    for number, full in enumerate(FULL_ORDERS):
        order = tuple(edge for edge in full if edge in wanted)
        if len(order) == len(wanted) and order[2:] == wanted[2:]:
            return number
    raise ValueError(f"no order sums the edges {wanted}")
