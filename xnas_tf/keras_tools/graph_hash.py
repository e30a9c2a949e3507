"""Hashes of labelled graphs that don't depend on the order in which they were made."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

Edge = tuple[str, int]
"""A label and the vertex that the edge leads to."""


class Graph:
    """A directed graph without cycles, with labels on its vertices and edges."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self._edges: list[list[Edge]] = []

    def add(self, label: Any, edges: Iterable[Edge] = ()) -> int:
        """Adds a vertex, with edges to vertices that are there already, and returns its number.

        Args:
            label: What JSON can hold; anything else counts as what it prints.
            edges: Their order doesn't matter.
        """
        self.labels.append(_hash(label))
        self._edges.append(list(edges))
        return len(self.labels) - 1

    def digest(self, root: int) -> str:
        """Hashes the part of the graph that can be reached from a vertex.

        Vertices get colours by refinement (Weisfeiler & Leman 1968). Of those that still look
        alike, one is singled out, until all differ: which one makes no difference if they are
        mirror images of each other. What is hashed then are all vertices and edges in terms of
        the colours, so that equal digests are of isomorphic graphs only, but for collisions.

        Returns:
            64 hexadecimal digits (SHA-256).
        """
        part = self._reached_from(root)
        colours = {vertex: self.labels[vertex] for vertex in part}
        while True:
            colours = self._refined(part, colours)
            alike = [colour for colour, count in Counter(colours.values()).items() if count > 1]
            if not alike:
                break
            single = next(vertex for vertex in part if colours[vertex] == min(alike))
            colours[single] = _hash([colours[single], "singled out"])
        return _hash(sorted([colours[v], self._seen(v, colours)] for v in part))

    def _reached_from(self, root: int) -> list[int]:
        """Vertices in the order in which they were made: edges lead back."""
        reached = {root}
        for vertex in range(root, -1, -1):
            if vertex in reached:
                reached.update(target for _, target in self._edges[vertex])
        return sorted(reached)

    def _refined(self, part: list[int], colours: dict[int, str]) -> dict[int, str]:
        """Colours that also tell vertices apart by what they lead to and what leads to them."""
        leading_here: dict[int, list[Edge]] = {vertex: [] for vertex in part}
        for vertex in part:
            for label, target in self._edges[vertex]:
                leading_here[target].append((label, vertex))
        count, colours = 0, dict(colours)
        while len(set(colours.values())) > count:
            count = len(set(colours.values()))
            # Each vertex sees new colours already: two passes reach across the whole graph.
            for vertex in part:
                colours[vertex] = _hash([colours[vertex], self._seen(vertex, colours)])
            for vertex in reversed(part):
                seen = sorted([label, colours[other]] for label, other in leading_here[vertex])
                colours[vertex] = _hash([colours[vertex], seen])
        return colours

    def _seen(self, vertex: int, colours: dict[int, str]) -> list:
        """A vertex's label and its edges, in terms of colours."""
        edges = sorted([label, colours[target]] for label, target in self._edges[vertex])
        return [self.labels[vertex], edges]


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()
