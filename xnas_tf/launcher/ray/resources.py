"""A Ray cluster's resources: what each rank takes, and how many groups fit."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import ray

from xnas_tf.errors import InputError
from xnas_tf.utils.number_format import counted

REFRESH_SECONDS = 5.0
"""Seconds between two queries of the resources of the cluster."""

Resources = Mapping[str, float]
"""Resources of a node or a rank, by Ray's names: CPU, GPU."""


class Capacity:
    """Number of groups to run, updated as the cluster grows.

    Args:
        groups: Number of groups requested by the user; None for as many as fit.
        size: Number of ranks per group.
        is_local: Whether the cluster consists only of this machine and therefore cannot grow.

    Attributes:
        bundle: The resources for one rank.

    Raises:
        InputError: If no group fits, or the requested groups do not fit on this machine.
    """

    def __init__(self, groups: int | None, size: int, is_local: bool) -> None:
        self._groups = groups
        self._size = size
        nodes = _nodes()
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
            self._refreshed, self._count = time.monotonic(), self._fitting(_nodes())
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


def _nodes() -> list[Resources]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
