"""Records where groups were lost, to decide which nodes to avoid and when to give up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import ray

from xnas_tf.errors import RunError

PATIENCE = 30.0
"""Seconds for which a group waits for a node that is not avoided before it takes any node."""
MAX_LOSSES = 5
"""Losses per group, without a finished candidate in between, after which the search ends."""
MAX_LOSSES_ON_NODE = 2
"""Consecutive losses of a group on a node after which it is placed elsewhere."""


class LostGroups:
    """Counts the groups lost since a candidate last finished."""

    def __init__(self) -> None:
        self._losses = 0
        self._on_node: Counter[tuple[int, str]] = Counter()

    def note(self, number: int, nodes: Collection[str]) -> None:
        """Record that a group was lost, and on which nodes it ran."""
        self._losses += 1
        self._on_node.update((number, node) for node in nodes)

    def forget(self, number: int) -> None:
        """Record that a group has finished a candidate."""
        self._losses = 0
        for group, node in list(self._on_node):
            if group == number:
                del self._on_node[group, node]

    def avoided(self, number: int, bundle: Mapping[str, float]) -> list[str]:
        """Return the nodes to avoid when placing a group; none if it fits nowhere else."""
        bad = {
            node
            for (group, node), count in self._on_node.items()
            if group == number and count >= MAX_LOSSES_ON_NODE
        }
        others = [node for node in _nodes(bundle) if node not in bad]
        return sorted(bad) if others else []

    def check(self, groups: int, why: str) -> None:
        """Raise a ``RunError`` if groups are lost too often to be worth replacing."""
        if self._losses >= MAX_LOSSES * groups:
            raise RunError(
                f"{self._losses} groups were lost in a row and no candidate finished; "
                f"the last group: {why}"
            )


def _nodes(bundle: Mapping[str, float]) -> list[str]:
    """Return the ids of the nodes that could hold a rank if empty."""
    return [
        node["NodeID"]
        for node in ray.nodes()
        if node["Alive"] and all(node["Resources"].get(n, 0) >= v for n, v in bundle.items())
    ]
