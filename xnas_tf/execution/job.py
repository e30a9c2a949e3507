"""One rank's part of a search, in one process or on all ranks of a Horovod job."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from xnas_tf.config import Config
from xnas_tf.distributed import Communicator
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.supernet.backend import backend_for
from xnas_tf.execution.callbacks import MakeCallbacks
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.execution.preparation import prepare
from xnas_tf.execution.rank_agreement import on_all_ranks
from xnas_tf.execution.session import opened_session, record_groups
from xnas_tf.execution.task_source import local_source
from xnas_tf.execution.watchdog import job_watchdog
from xnas_tf.execution.worker import PROFILED, Profiler, Worker
from xnas_tf.keras_tools.kernel_cache import kept_kernels


def run_job(
    path: Path,
    config: Config,
    world: Communicator,
    fresh: bool = False,
    profile: bool = False,
    make_callbacks: MakeCallbacks = lambda _: (),
) -> None:
    """Run a search as one rank of a job; see ``xnas_tf.search``.

    Only rank 0 accesses the run directory and has a coordinator and the database.
    """
    wanted = config.distributed.ranks_per_candidate
    if wanted not in (None, world.size):
        raise InputError(
            f"distributed.ranks_per_candidate: given {wanted}, but all ranks of this job "
            f"({world.size}) train each candidate together; allowed: {world.size}, or leave it "
            "out; for groups of ranks, set distributed.engine=ray"
        )
    config, dataset, space = prepare(config, world, world.size)
    profiler = Profiler(path / "tensorboard" if profile and world.rank == 0 else None)
    with ExitStack() as stack:

        def open_run() -> Coordinator | None:
            if world.rank:
                return None
            coordinator = stack.enter_context(
                opened_session(path, config, dataset, space, fresh, make_callbacks=make_callbacks)
            )
            record_groups(coordinator, 1, world.size)
            return coordinator

        coordinator = on_all_ranks(open_run, world)
        if space.is_built_in:
            stack.enter_context(kept_kernels())
        on_stop = coordinator.stop_blaming if coordinator else None
        with job_watchdog(config.distributed, world, on_stop) as watchdog:
            # The faster backend is chosen, since the values do not depend on it.
            backend = backend_for(config, dataset, space, world)
            source = None
            if coordinator:
                source = local_source(coordinator, coordinator.transaction)
                if backend.note:
                    coordinator.callbacks.on_message(backend.note)
            evaluator = Evaluator(config, dataset, space, world, backend)
            minutes = config.training.checkpoint_minutes
            Worker(evaluator, world, source, watchdog, minutes, profiler).run()
        if coordinator:
            if profiler.is_waiting:
                few = f"rank 0 evaluated fewer than {PROFILED} candidates"
                coordinator.callbacks.on_message(f"nothing was profiled: {few}")
            coordinator.end()
            coordinator.run.backend = backend
