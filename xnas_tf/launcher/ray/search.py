"""A search on a Ray cluster, from configuration to finished run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.config import Config
from xnas_tf.distributed import SingleProcess, start
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.open_modes import with_modes
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.session import Session
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.launcher.ray.cluster import cluster

if TYPE_CHECKING:
    from xnas_tf.launcher.ray.resources import Capacity


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

        from xnas_tf.execution.joining import writing_to
        from xnas_tf.keras_tools.tracing import kept_arithmetic
        from xnas_tf.launcher.ray.driver import Driver
        from xnas_tf.launcher.ray.resources import Capacity
        from xnas_tf.reporting.search_callbacks import search_callbacks

        room = Capacity(config.distributed.groups, size, is_local=not address)
        with suppress(RuntimeError):  # a notebook has used them already
            tf.config.set_visible_devices([], "GPU")  # they are the groups'
        alone = start(
            config.distributed, config.training.deterministic, config.space.branches, alone=True
        )
        dataset, space = prepare(config, alone, size)
        session = Session(path, config, dataset, space, room(), search_callbacks)
        with writing_to(path), kept_arithmetic(), session.opened(fresh):
            session.note(_summary(room, size))
            with Watchdog(float("inf")) as watch:
                Driver(session, config, dataset.digest, size, room, watch).run()
            config = with_modes(config, session.known_modes or {})
            session.finish(Evaluator(config, dataset, space, SingleProcess()))


def _summary(room: Capacity, size: int) -> str:
    each = " and ".join(f"{count:g} {name}" for name, count in room.bundle.items())
    groups, ranks = (
        f"{n} {what}{'s' * (n > 1)}" for n, what in ((room(), "group"), (size, "rank"))
    )
    return (
        f"Ray: {groups} of {ranks}, {each} a rank (distributed.groups, "
        "distributed.ranks_per_candidate; engine: local is one process)"
    )
