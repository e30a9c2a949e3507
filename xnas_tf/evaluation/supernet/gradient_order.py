"""In which order TensorFlow sums the gradients that reach a cell's input.

Sums of three floating-point numbers depend on their order, and a training can turn a last digit
into a tenth of the loss within 20 steps. A cell's own network sums what comes back from all that
uses its input with ``AddN``, in the order in which the tape goes back: breadth first
(``ComputeGradient`` in TensorFlow 2.18's tensorflow/c/eager/tape.h). ``AddN`` puts the first term
in front whose memory nobody else uses (tensorflow/core/kernels/aggregate_ops.h), which is the first
of all unless the same term is there twice. The shared network sums in that order too.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Mapping

from xnas_tf.spaces.cells import EDGES, NODES, plain

Order = tuple[int, ...]
"""Numbers of the edges whose gradients are summed, from left to right."""
Term = str | tuple
"""A gradient as the operations and gradients that it is computed from."""
OPERATIONS_OF_EDGE = {"none": 0, "skip_connect": 0, "avg_pool_3x3": 1}
"""TensorFlow's operations on an edge; a convolution has three: relu, convolution, normalisation."""


def aliases(cell: Mapping[str, str]) -> tuple[bool, ...]:
    """Which nodes are the cell's input itself, reached by nothing but skips, (4,)."""
    chosen = plain(cell)
    found = [True] + [False] * (NODES - 1)
    for node in range(1, NODES):
        incoming = [e for e, (_, to) in EDGES.items() if to == node and chosen[e] != "none"]
        if len(incoming) == 1 and chosen[incoming[0]] == "skip_connect":
            found[node] = found[EDGES[incoming[0]][0]]
    return tuple(found)


def order_of(cell: Mapping[str, str]) -> Order:
    """In which order the tape of a cell's own network sums the gradients of the cell's input.

    Args:
        cell: Operation of each edge.

    Returns:
        The edges whose gradients those are; the first two may change places, as a + b is b + a.
        An edge that only hands the input on has none: what comes back is that of the edges behind
        it, or in the end that of the last edge.
    """
    graph = _Backward(cell)
    if graph.output == graph.input:
        return (next(i for i, e in enumerate(EDGES) if _is_last(e, cell)),)
    order = []
    uses = Counter(tensor for inputs in graph.operations.values() for tensor, _ in inputs)
    queue = deque([graph.output])
    while queue:
        for tensor, edge in graph.operations.get(queue.popleft(), ()):
            if tensor == graph.input and edge is not None:
                order.append(edge)
            uses[tensor] -= 1
            if not uses[tensor]:
                queue.append(tensor)
    return _first_alone_in_front(order, [_term(edge, cell) for edge in order])


def _first_alone_in_front(order: list[int], terms: list[Term]) -> Order:
    alone = [place for place, term in enumerate(terms) if terms.count(term) == 1]
    if alone:
        order[0], order[alone[0]] = order[alone[0]], order[0]
    return tuple(order)


def _term(edge: int, cell: Mapping[str, str]) -> Term:
    """What an edge's gradient is computed from. Where that is the same it is one tensor, which
    TensorFlow computes once: no weights are in it."""
    name, (_, target) = list(EDGES.items())[edge]
    if cell[name] not in OPERATIONS_OF_EDGE:
        return name
    gradient = _gradient_of(target, cell)
    return gradient if cell[name] == "skip_connect" else (cell[name], gradient)


def _gradient_of(node: int, cell: Mapping[str, str]) -> Term:
    """What a node's gradient is computed from."""
    chosen = plain(cell)
    after = [i for i, (e, (s, _)) in enumerate(EDGES.items()) if s == node and chosen[e] != "none"]
    return _term(after[0], chosen) if len(after) == 1 else str(node)


def _is_last(edge: str, cell: Mapping[str, str]) -> bool:
    return EDGES[edge][1] == NODES - 1 and plain(cell)[edge] != "none"


class _Backward:
    """A cell's operations, each named by the tensor that it makes: its inputs, and the edge
    whose gradient is the one that comes back to each."""

    def __init__(self, cell: Mapping[str, str]) -> None:
        self.operations: dict[int, list[tuple[int, int | None]]] = {}
        self._numbers = itertools.count()
        self.input = next(self._numbers)
        chosen, nodes = plain(cell), {0: self.input}
        for node in range(1, NODES):
            incoming: list[tuple[int, int | None]] = []
            for number, (edge, (source, target)) in enumerate(EDGES.items()):
                if target == node and chosen[edge] != "none":
                    incoming.append((self._chain(nodes[source], chosen[edge], number), number))
            if incoming:
                nodes[node] = self._sum(incoming)
        self.output = nodes[NODES - 1]

    def _chain(self, tensor: int, operation: str, edge: int) -> int:
        label: int | None = edge
        for _ in range(OPERATIONS_OF_EDGE.get(operation, 3)):
            tensor, label = self._new([(tensor, label)]), None
        return tensor

    def _sum(self, incoming: list[tuple[int, int | None]]) -> int:
        total, *rest = incoming
        for each in rest:
            total = self._new([total, each]), None
        return total[0]

    def _new(self, inputs: list[tuple[int, int | None]]) -> int:
        self.operations[number := next(self._numbers)] = inputs
        return number


FULL_ORDERS: tuple[Order, ...] = tuple(
    order
    for edges in ((0, 1, 3), (0, 3, 5), (3, 4, 5), (1, 2, 3, 4))
    for order in itertools.permutations(edges)
    if order[0] < order[1]
)
"""In these orders any cell's gradients can be summed, with zeros for edges that have none. The
edges are those that leave the input where no other node is the input itself; where the third node
is; where all are; and where the second is. The first two of a sum may change places."""


def number_of(cell: Mapping[str, str]) -> int:
    """The first of ``FULL_ORDERS`` that sums as the tape of a cell's own network does."""
    wanted = order_of(cell)
    for number, full in enumerate(FULL_ORDERS):
        order = tuple(edge for edge in full if edge in wanted)
        if len(order) == len(wanted) and order[2:] == wanted[2:]:
            return number
    raise ValueError(f"no order sums the edges {wanted}")
