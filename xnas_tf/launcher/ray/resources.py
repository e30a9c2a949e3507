"""What a rank takes of a Ray cluster, and how many groups have room on it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import ray

from xnas_tf.errors import InputError

LOOK = 5.0
"""Seconds between two looks at what the cluster has."""

Resources = Mapping[str, float]
"""What a node has or a rank takes, by Ray's names: CPU, GPU."""


class Capacity:
    """How many groups there should be; looks at the cluster now and then.

    Args:
        groups: As many as the user wants; None for as many as there is room for.
        size: Ranks of a group.
        is_local: Whether the cluster is this machine alone, so that it does not grow.

    Attributes:
        bundle: What a rank takes.

    Raises:
        InputError: If there is no room for a group, or on this machine for those wanted.
    """

    def __init__(self, groups: int | None, size: int, is_local: bool) -> None:
        self._groups = groups
        self._size = size
        nodes = _nodes()
        self.bundle = bundle_for(nodes, groups, size)
        self._looked, self._count = time.monotonic(), self._fitting(nodes)
        if self._count < 1 or (is_local and self._count < (groups or 1)):
            gpus, cores = (sum(node.get(name, 0) for node in nodes) for name in ("GPU", "CPU"))
            raise InputError(
                f"distributed.groups: {groups or 1} groups of {size} ranks do not fit; there are "
                f"{gpus:g} GPUs and {cores:g} cores, and a "
                f"rank takes {self.bundle}"
            )

    def __call__(self) -> int:
        """Returns the number of groups."""
        if self._groups:
            return self._groups
        if time.monotonic() - self._looked > LOOK:
            self._looked, self._count = time.monotonic(), self._fitting(_nodes())
        return self._count

    def _fitting(self, nodes: Sequence[Resources]) -> int:
        return fitting(nodes, self.bundle) // self._size


def bundle_for(nodes: Sequence[Resources], groups: int | None, size: int) -> dict[str, float]:
    """What a rank takes: a GPU with its share of its node's cores; without GPUs as many cores as
    leave room for all groups, one a node if their number is not given.

    Args:
        nodes: The cluster's.
        groups: How many there shall be; None if that is open.
        size: Ranks of a group.
    """
    with_gpus = [node for node in nodes if node.get("GPU")]
    if with_gpus:
        cores = min(node.get("CPU", 0) / node["GPU"] for node in with_gpus)
        return {"GPU": 1.0, "CPU": float(cores // 1) or math.floor(100 * cores) / 100}
    with_cores = [node for node in nodes if node.get("CPU", 0) >= 1]
    wanted = (groups or len(with_cores)) * size
    cores = int(max((node["CPU"] for node in with_cores), default=1))
    while cores > 1 and fitting(nodes, {"CPU": cores}) < wanted:
        cores -= 1
    return {"CPU": float(cores)}


def fitting(nodes: Sequence[Resources], bundle: Resources) -> int:
    """How many ranks have room on nodes that are empty."""
    return sum(
        int(min(node.get(name, 0) // each for name, each in bundle.items())) for node in nodes
    )


def _nodes() -> list[Resources]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
