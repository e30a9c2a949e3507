"""Runs a search on a Ray cluster, from the configuration to the finished run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from xnas_tf.config import Config
from xnas_tf.distributed import start
from xnas_tf.evaluation.backend import Backend
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.code_changes import shared_hashes
from xnas_tf.execution.job_context import writing_to
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.session import opened_session
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.keras_tools.tracing import kept_arithmetic
from xnas_tf.launcher.ray.cluster import cluster
from xnas_tf.reporting.final_evaluation import search_callbacks
from xnas_tf.utils.number_format import counted

if TYPE_CHECKING:
    from xnas_tf.launcher.ray.resources import Capacity


def search_on_ray(
    path: Path,
    config: Config,
    fresh: bool,
    address: str | None,
    insecure: bool,
    callbacks: Sequence[Callback],
) -> None:
    """Run a search with this process as its driver; see ``xnas_tf.search`` and ``cluster``."""
    size = config.distributed.ranks_per_candidate or 1
    with cluster(address, insecure):
        from xnas_tf.launcher.ray.driver import Driver
        from xnas_tf.launcher.ray.rank import facts_of
        from xnas_tf.launcher.ray.resources import Capacity

        capacity = Capacity(config.distributed.groups, size, is_local=not address)
        with suppress(RuntimeError):  # a notebook may have used them already
            tf.config.set_visible_devices([], "GPU")  # the groups use them
        single = start(
            config.distributed, config.training.deterministic, config.space.branches, alone=True
        )
        config, dataset, space = prepare(config, single, size)
        facts = facts_of(dataset.digest, shared_hashes(config, space))
        make_callbacks = partial(search_callbacks, more=callbacks)
        opened = opened_session(path, config, dataset, space, fresh, capacity(), make_callbacks)
        with writing_to(path), kept_arithmetic(), opened as coordinator:
            coordinator.callbacks.on_message(_summary(capacity, size))
            with Watchdog(float("inf")) as watchdog:
                Driver(coordinator, config, facts, size, capacity, watchdog).run()
            coordinator.end()
            coordinator.run.backend = Backend()


def _summary(capacity: Capacity, size: int) -> str:
    bundle = " and ".join(f"{count:g} {name}" for name, count in capacity.bundle.items())
    groups = f"{counted(capacity(), 'group')} of {counted(size, 'rank')}"
    return (
        f"Ray: {groups}, {bundle} per rank; to change this, set distributed.groups and "
        "distributed.ranks_per_candidate, or distributed.engine=local for one process"
    )
