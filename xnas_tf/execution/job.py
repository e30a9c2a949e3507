"""One rank's part of a search, in one process or on all ranks of a Horovod job."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.distributed import Communicator
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.supernet.backend import backend_for
from xnas_tf.execution.callbacks import MakeCallbacks
from xnas_tf.execution.preparation import on_all_ranks, prepare
from xnas_tf.execution.profiling import PROFILED, Profiler
from xnas_tf.execution.session import Session, opened_session
from xnas_tf.execution.task_source import local_source
from xnas_tf.execution.watchdog import job_watchdog
from xnas_tf.execution.worker import Worker
from xnas_tf.keras_tools.kernel_cache import kept_kernels
from xnas_tf.spaces.search_space import SearchSpace


def run_job(
    path: Path,
    config: Config,
    world: Communicator,
    fresh: bool = False,
    profile: bool = False,
    make_callbacks: MakeCallbacks = lambda _: (),
) -> None:
    """Run a search as one rank of a job; see ``xnas_tf.search``.

    Only rank 0 accesses the run directory and has a session with the database and the coordinator.
    """
    _check_size(config.distributed.ranks_per_candidate, world.size)
    config, dataset, space = prepare(config, world, world.size)
    profiler = Profiler(path / "tensorboard" if profile and world.rank == 0 else None)
    with ExitStack() as stack:

        def open_session() -> Session | None:
            if world.rank:
                return None
            opened = opened_session(
                path, config, dataset, space, fresh, make_callbacks=make_callbacks
            )
            session = stack.enter_context(opened)
            session.record_groups(1, world.size)
            return session

        session = on_all_ranks(open_session, world)
        if space.is_built_in:
            stack.enter_context(kept_kernels())
        evaluator = _work(config, dataset, space, world, session, profiler)
        if session:
            if profiler.is_waiting:
                few = f"rank 0 evaluated fewer than {PROFILED} candidates"
                session.note(f"nothing was profiled: {few}")
            session.finish(evaluator.backend)


def _work(
    config: Config,
    dataset: Dataset,
    space: SearchSpace,
    world: Communicator,
    session: Session | None,
    profiler: Profiler,
) -> Evaluator:
    """Evaluate candidates until there are no more; return the evaluator."""
    on_stop = session.coordinator.release if session else None
    with job_watchdog(config.distributed, world, on_stop) as watchdog:
        # The faster backend is chosen, since the values do not depend on it.
        backend = backend_for(config, dataset, space, world)
        if session and backend.note:
            session.note(backend.note)
        evaluator = Evaluator(config, dataset, space, world, backend)
        source = None
        if session:
            source = local_source(session.coordinator, session.coordinator.transaction)
        minutes = config.training.checkpoint_minutes
        Worker(evaluator, world, source, watchdog, minutes, profiler).run()
        return evaluator


def _check_size(wanted: int | None, ranks: int) -> None:
    """Check that the configuration allows all ranks to train each candidate."""
    if wanted not in (None, ranks):
        raise InputError(
            f"distributed.ranks_per_candidate: given {wanted}, but all ranks of this job ({ranks}) "
            f"train each candidate together; allowed: {ranks}, or leave it out; for groups of "
            "ranks, set distributed.engine=ray"
        )
