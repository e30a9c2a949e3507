"""A search on a Ray cluster, from configuration to finished run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xnas_tf.config import Config
from xnas_tf.config.modes import with_modes
from xnas_tf.distributed import SingleProcess, start
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.execution.cluster import cluster
from xnas_tf.run.lead import Lead
from xnas_tf.run.prepare import prepare
from xnas_tf.run.watch import Watch

LOOK = 5.0
"""Seconds between two looks at what the cluster has."""


def search_on_ray(
    path: Path, config: Config, fresh: bool, address: str | None, insecure: bool
) -> None:
    """Runs a search with this process as the driver.

    Args:
        path: The run directory.
        config: The configuration; ``distributed`` says how many groups of how many ranks.
        fresh: Moves an existing run aside and starts anew.
        address: See ``cluster``.
        insecure: See ``cluster``.
    """
    size = config.distributed.ranks_per_candidate or 1
    with cluster(address, insecure):
        import tensorflow as tf

        from xnas_tf.execution.driver import Driver
        from xnas_tf.run.joining import writing_to
        from xnas_tf.tracing import kept_arithmetic

        bundle, wanted = _resources(config, size)
        tf.config.set_visible_devices([], "GPU")  # they are the groups'
        alone = start(
            config.distributed, config.training.deterministic, config.space.branches, alone=True
        )
        dataset, space = prepare(config, alone, size)
        lead = Lead(path, config, dataset, space, wanted())
        with (
            writing_to(path),
            kept_arithmetic(),
            lead.opened(fresh),
            Watch(float("inf")) as watch,
        ):
            _tell(lead, bundle, size, wanted())
            Driver(lead, config, dataset.digest, bundle, size, wanted, watch).run()
            config = with_modes(config, lead.known_modes or {})
            lead.finish(Evaluator(config, dataset, space, SingleProcess()))


def _resources(config: Config, size: int) -> tuple[dict[str, float], Callable[[], int]]:
    """What a rank takes, and how many groups the cluster has room for: a GPU a rank where there
    are GPUs, else a share of the cores.

    Raises:
        InputError: If not even one group has room.
    """
    import ray

    given = config.distributed.groups
    found = ray.cluster_resources()
    if found.get("GPU"):
        cores = found.get("CPU", 1) // found["GPU"]
        bundle = {"GPU": 1.0, "CPU": float(max(1, cores))}
    else:
        cores = found.get("CPU", 1) // ((given or 1) * size)
        bundle = {"CPU": float(max(1, cores))}
    if given:
        return bundle, lambda: given
    counted = _Counted(bundle, size)
    if not counted():
        raise InputError(f"the cluster has no room for {size} ranks: it has {found}")
    return bundle, counted


class _Counted:
    """How many groups the cluster has room for, looked at now and then."""

    def __init__(self, bundle: dict[str, float], size: int) -> None:
        self._bundle = bundle
        self._size = size
        self._looked = float("-inf")
        self._count = 0

    def __call__(self) -> int:
        import ray

        if time.monotonic() - self._looked > LOOK:
            self._looked, found = time.monotonic(), ray.cluster_resources()
            ranks = min(found.get(name, 0) // each for name, each in self._bundle.items())
            self._count = int(ranks // self._size)
        return self._count


def _tell(lead: Lead, bundle: dict[str, Any], size: int, groups: int) -> None:
    each = " and ".join(f"{count:g} {name}" for name, count in bundle.items())
    lead.note(
        f"Ray: {groups} groups of {size} ranks, {each} a rank (distributed.groups, "
        "distributed.ranks_per_candidate)"
    )
