"""Where groups were lost, and when it is of no use to replace them any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import ray

from xnas_tf.errors import RunError

FRUITLESS = 5
"""Losses of each group without a candidate that ended in between, after which it is given up."""
AVOIDED = 2
"""Losses of a group on a node, one after the other, after which it is placed elsewhere."""


class LostGroups:
    """Counts losses of groups; a candidate that ends begins the count anew."""

    def __init__(self) -> None:
        self._fruitless = 0
        self._on_node: Counter[tuple[int, str]] = Counter()

    def note(self, number: int, nodes: Collection[str]) -> None:
        """Notes that a group was lost.

        Args:
            number: The group's number.
            nodes: The nodes it was on.
        """
        self._fruitless += 1
        self._on_node.update((number, node) for node in nodes)

    def forget(self, number: int) -> None:
        """Notes that a group has ended a candidate."""
        self._fruitless = 0
        for of, node in list(self._on_node):
            if of == number:
                del self._on_node[of, node]

    def avoided(self, number: int, bundle: Mapping[str, float]) -> list[str]:
        """The nodes on which a group is not to be placed; none if it fits on no other.

        Args:
            number: The group's number.
            bundle: Ray's resources of a rank.
        """
        counts = {node: count for (of, node), count in self._on_node.items() if of == number}
        bad = {node for node, count in counts.items() if count >= AVOIDED}
        others = [node for node in _nodes(bundle) if node not in bad]
        return sorted(bad) if others else []

    def check(self, groups: int, why: str) -> None:
        """Gives up when groups are lost again and again.

        Raises:
            RunError: Then.
        """
        if self._fruitless >= FRUITLESS * groups:
            raise RunError(
                f"{self._fruitless} groups were lost one after the other and nothing was finished; "
                f"the last one: {why}"
            )


def _nodes(bundle: Mapping[str, float]) -> list[str]:
    """Ids of the nodes that have room for a rank when they are empty."""
    return [
        node["NodeID"]
        for node in ray.nodes()
        if node["Alive"] and all(node["Resources"].get(n, 0) >= v for n, v in bundle.items())
    ]
