"""A Ray cluster's nodes: what each rank takes, how many groups fit, and which nodes to avoid."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import ray

from xnas_tf.errors import InputError, RunError
from xnas_tf.utils.number_format import counted

REFRESH_SECONDS = 5.0
"""Seconds between two queries of the resources of the cluster."""
PATIENCE = 30.0
"""Seconds for which a group waits for a node that is not avoided before it takes any node."""
MAX_LOSSES = 5
"""Losses per group, without a finished candidate in between, after which the search ends."""
MAX_LOSSES_ON_NODE = 2
"""Consecutive losses of a group on a node after which it is placed elsewhere."""

Resources = Mapping[str, float]
"""Resources of a node or a rank, by Ray's names: CPU, GPU."""


class Capacity:
    """Number of groups to run, updated as the cluster grows.

    Args:
        groups: Number of groups requested; None for as many as fit.
        size: Number of ranks per group.
        is_local: Whether the cluster is only this machine and cannot grow.

    Attributes:
        bundle: The resources for one rank.

    Raises:
        InputError: If no group fits, or the requested groups do not fit on this machine.
    """

    def __init__(self, groups: int | None, size: int, is_local: bool) -> None:
        self._groups = groups
        self._size = size
        nodes = _resources()
        self.bundle = bundle_for(nodes, groups, size)
        self._refreshed, self._count = time.monotonic(), self._fitting(nodes)
        if self._count < 1 or (is_local and self._count < (groups or 1)):
            gpus, cores = (sum(node.get(name, 0) for node in nodes) for name in ("GPU", "CPU"))
            wanted = f"{counted(groups or 1, 'group')} of {counted(size, 'rank')}"
            raise InputError(
                f"distributed.groups: {wanted} do not fit; there are {gpus:g} GPUs and {cores:g} "
                f"cores, and a rank takes {self.bundle}"
            )

    def __call__(self) -> int:
        """Return the number of groups."""
        if self._groups:
            return self._groups
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self._refreshed, self._count = time.monotonic(), self._fitting(_resources())
        return self._count

    def _fitting(self, nodes: Sequence[Resources]) -> int:
        return fitting(nodes, self.bundle) // self._size


def bundle_for(nodes: Sequence[Resources], groups: int | None, size: int) -> dict[str, float]:
    """Return the resources for one rank.

    Each rank takes one GPU and a proportional share of its node's cores. Without GPUs, a rank takes
    as many cores as possible while leaving room for all groups, or for one group per node if the
    number of groups is not given. ``size`` is the number of ranks per group.
    """
    with_gpus = [node for node in nodes if node.get("GPU") and node.get("CPU")]
    if with_gpus:
        cores = min(node["CPU"] / node["GPU"] for node in with_gpus)
        return {"GPU": 1.0, "CPU": float(cores // 1) or math.floor(100 * cores) / 100}
    with_cores = [node for node in nodes if node.get("CPU", 0) >= 1]
    wanted = (groups or len(with_cores)) * size
    cores = int(max((node["CPU"] for node in with_cores), default=1))
    while cores > 1 and fitting(nodes, {"CPU": cores}) < wanted:
        cores -= 1
    return {"CPU": float(cores)}


def fitting(nodes: Sequence[Resources], bundle: Resources) -> int:
    """Return the number of ranks that would fit on the nodes if they were empty."""
    return sum(
        int(min(node.get(name, 0) // each for name, each in bundle.items())) for node in nodes
    )


def alive_nodes() -> list[dict[str, Any]]:
    """Return the cluster's nodes that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def _resources() -> list[Resources]:
    return [node["Resources"] for node in alive_nodes()]


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
        has_others = any(
            all(node["Resources"].get(name, 0) >= value for name, value in bundle.items())
            for node in alive_nodes()
            if node["NodeID"] not in bad
        )
        return sorted(bad) if has_others else []

    def check(self, groups: int, why: str) -> None:
        """Raise a ``RunError`` if groups are lost too often to be worth replacing."""
        if self._losses >= MAX_LOSSES * groups:
            raise RunError(
                f"{self._losses} groups were lost in a row and no candidate finished; "
                f"the last group: {why}"
            )
