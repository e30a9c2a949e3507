"""A search on one process or on all ranks of a Horovod job, as one of its ranks runs it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.distributed import Communicator
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.supernet.backend import backend_for
from xnas_tf.execution.callbacks import MakeCallbacks, no_callbacks
from xnas_tf.execution.preparation import on_all_ranks, prepare
from xnas_tf.execution.profiling import PROFILED, Profiler
from xnas_tf.execution.session import Session
from xnas_tf.execution.task_source import LocalSource
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.execution.worker import Worker
from xnas_tf.keras_tools.kernel_cache import kept_kernels
from xnas_tf.spaces.search_space import SearchSpace


class Job:
    """A search as one rank runs it. Rank 0 also has the session, with database and coordinator.

    Args:
        path: The run directory; only rank 0 accesses it.
        config: The configuration.
        world: All ranks.
        profile: Whether rank 0 profiles one of its evaluations for TensorBoard.
        make_callbacks: Creates the callbacks of the search.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        world: Communicator,
        profile: bool = False,
        make_callbacks: MakeCallbacks = no_callbacks,
    ) -> None:
        self._path = path
        self._config = config
        self._world = world
        self._make_callbacks = make_callbacks
        profiles = profile and world.rank == 0
        self._profiler = Profiler(path / "tensorboard" if profiles else None)
        self._dataset: Dataset
        self._space: SearchSpace

    def run(self, fresh: bool) -> None:
        """Run the search; see ``xnas_tf.search``."""
        config, world = self._config, self._world
        _check_size(config.distributed.ranks_per_candidate, world.size)
        self._dataset, self._space = prepare(config, world, world.size)
        with ExitStack() as stack:
            session = on_all_ranks(
                lambda: None if world.rank else self._session(stack, fresh), world
            )
            if self._space.is_built_in:
                stack.enter_context(kept_kernels())
            evaluator = self._work(session)
            if session:
                if self._profiler.is_waiting:
                    few = f"rank 0 evaluated fewer than {PROFILED} candidates"
                    session.note(f"nothing was profiled: {few}")
                session.finish(evaluator)

    def _session(self, stack: ExitStack, fresh: bool) -> Session:
        """Open rank 0's session until the stack is closed."""
        session = Session(
            self._path,
            self._config,
            self._dataset,
            self._space,
            make_callbacks=self._make_callbacks,
        )
        stack.enter_context(session.opened(fresh))
        session.record_groups(1, self._world.size)
        return session

    def _work(self, session: Session | None) -> Evaluator:
        """Evaluate candidates until there are no more; return the evaluator."""
        distributed, training = self._config.distributed, self._config.training
        # horovodrun may start a single rank, even on another host.
        has_launcher = self._world.size > 1 or "HOROVOD_RANK" in os.environ
        with Watchdog(60 * distributed.stall_minutes, has_launcher) as watchdog:
            evaluator = self._evaluator(session)
            ask = LocalSource(session.coordinator) if session else None
            minutes = training.checkpoint_minutes
            Worker(evaluator, self._world, ask, watchdog, minutes, self._profiler).run()
            return evaluator

    def _evaluator(self, session: Session | None) -> Evaluator:
        """Create the evaluator, with the faster backend: values do not depend on it."""
        backend = backend_for(self._config, self._dataset, self._space, self._world)
        if session and backend.note:
            session.note(backend.note)
        return Evaluator(self._config, self._dataset, self._space, self._world, backend)


def _check_size(wanted: int | None, ranks: int) -> None:
    """Check that all ranks are to train each candidate.

    Raises:
        InputError: If fewer or more ranks are wanted.
    """
    if wanted not in (None, ranks):
        raise InputError(
            f"distributed.ranks_per_candidate: given {wanted}, but the ranks of this job, "
            f"{ranks}, train each candidate together; allowed: {ranks}, or leave it out; "
            "groups of ranks: xnas-tf search CONFIG --engine ray"
        )
