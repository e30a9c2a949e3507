"""Hashes labelled graphs regardless of the order in which vertices were added."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

Edge = tuple[str, int]
"""A label and the vertex to which the edge leads."""


class Graph:
    """A directed acyclic graph with labelled vertices and edges."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._edges: list[list[Edge]] = []

    def add(self, label: Any, edges: Iterable[Edge] = ()) -> int:
        """Add a vertex with edges to earlier vertices, and return the vertex's number.

        The order of edges does not matter. Labels that are not JSON values are hashed by their
        ``repr``.
        """
        self._labels.append(_hash(label))
        self._edges.append(list(edges))
        return len(self._labels) - 1

    def digest(self, root: int) -> str:
        """Hash the subgraph reachable from a vertex, as a hexadecimal SHA-256 digest.

        Vertices are coloured by refinement (Weisfeiler & Leman 1968). While several vertices have
        the same colour, one of them is individualised and the colours are refined again. If a
        symmetry of the graph can exchange these vertices, it does not matter which one is chosen.
        The hash covers all vertices and edges in terms of their final colours, so graphs with equal
        digests are isomorphic, barring collisions.
        """
        vertices = self._reachable_from(root)
        colours = {vertex: self._labels[vertex] for vertex in vertices}
        colours = self._refine(vertices, colours)
        while shared := [c for c, count in Counter(colours.values()).items() if count > 1]:
            single = next(vertex for vertex in vertices if colours[vertex] == min(shared))
            colours[single] = _hash([colours[single], "singled out"])
            colours = self._refine(vertices, colours)
        return _hash(sorted([colours[v], self._describe(v, colours)] for v in vertices))

    def _reachable_from(self, root: int) -> list[int]:
        """Return the reachable vertices in the order in which they were added."""
        reached = {root}
        for vertex in range(root, -1, -1):  # edges lead to earlier vertices
            if vertex in reached:
                reached.update(target for _, target in self._edges[vertex])
        return sorted(reached)

    def _refine(self, vertices: list[int], colours: dict[int, str]) -> dict[int, str]:
        """Refine the colours using each vertex's successors and predecessors."""
        incoming: dict[int, list[Edge]] = {vertex: [] for vertex in vertices}
        for vertex in vertices:
            for label, target in self._edges[vertex]:
                incoming[target].append((label, vertex))
        count, colours = 0, dict(colours)
        while len(set(colours.values())) > count:
            count = len(set(colours.values()))
            # Updated in place, so that two passes carry a colour across the whole graph.
            for vertex in vertices:
                colours[vertex] = _hash([colours[vertex], self._describe(vertex, colours)])
            for vertex in reversed(vertices):
                predecessors = sorted([label, colours[other]] for label, other in incoming[vertex])
                colours[vertex] = _hash([colours[vertex], predecessors])
        return colours

    def _describe(self, vertex: int, colours: dict[int, str]) -> list[Any]:
        """Return a vertex's label and edges in terms of colours."""
        edges = sorted([label, colours[target]] for label, target in self._edges[vertex])
        return [self._labels[vertex], edges]


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
