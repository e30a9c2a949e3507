"""A search on one process, or on all ranks of a Horovod job: one rank's way through it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from xnas_tf.config import Config
from xnas_tf.distributed import Communicator
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.modes import chosen_modes
from xnas_tf.evaluation.open_modes import open_modes, with_modes
from xnas_tf.evaluation.supernet.backend import backend_for
from xnas_tf.execution.callbacks import MakeCallbacks, no_callbacks
from xnas_tf.execution.preparation import agreed, prepare
from xnas_tf.execution.profiling import PROFILED, Profiler
from xnas_tf.execution.session import Session
from xnas_tf.execution.task_source import LocalSource
from xnas_tf.execution.watchdog import Watchdog
from xnas_tf.execution.worker import Worker
from xnas_tf.keras_tools.kernel_cache import kept_kernels


class Job:
    """A search as one rank sees it. Rank 0 leads: it keeps the record and decides.

    Args:
        path: The run directory; only rank 0 looks at it.
        config: The configuration.
        world: All ranks.
        profile: Whether rank 0 profiles one of its evaluations for TensorBoard.
        make_callbacks: Makes what shows the search to people.
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

    def run(self, fresh: bool) -> None:
        """Runs the search; see ``xnas_tf.search``."""
        config, world = self._config, self._world
        _check_size(config.distributed.ranks_per_candidate, world.size)
        self._dataset, self._space = prepare(config, world, world.size)
        with ExitStack() as stack:
            session = agreed(lambda: None if world.rank else self._session(stack, fresh), world)
            if self._space.is_built_in:
                stack.enter_context(kept_kernels())
            evaluator = self._work(session)
            if session:
                if self._profiler.is_waiting:
                    few = f"rank 0 evaluated fewer than {PROFILED} candidates"
                    session.note(f"nothing was profiled: {few}")
                session.finish(evaluator)

    def _session(self, stack: ExitStack, fresh: bool) -> Session:
        """Rank 0's part."""
        session = Session(
            self._path,
            self._config,
            self._dataset,
            self._space,
            make_callbacks=self._make_callbacks,
        )
        stack.enter_context(session.opened(fresh))
        session.note_groups(1, self._world.size)
        return session

    def _work(self, session: Session | None) -> Evaluator:
        """Trains candidates until there are no more; returns what evaluated them."""
        minutes = self._config.distributed.stall_minutes
        # horovodrun may start a single rank too, even on another host.
        has_launcher = self._world.size > 1 or "HOROVOD_RANK" in os.environ
        with Watchdog(60 * minutes, has_launcher) as watch:
            evaluator = self._evaluator(session)
            ask = LocalSource(session.coordinator) if session else None
            checkpoints = self._config.training.checkpoint_minutes
            Worker(evaluator, self._world, ask, watch, checkpoints, self._profiler).run()
            return evaluator

    def _evaluator(self, session: Session | None) -> Evaluator:
        """What evaluates candidates; the values are the same whichever it is."""
        self._config = self._with_modes(session)
        backend = backend_for(self._config, self._dataset, self._space, self._world)
        if session and backend.note:
            session.note(backend.note)
        return Evaluator(self._config, self._dataset, self._space, self._world, backend)

    def _with_modes(self, session: Session | None) -> Config:
        """The configuration with modes in place of ``auto``: those that this run is trained in,
        or those that a trial finds best."""
        config = self._config
        if not open_modes(config):
            return config
        modes = self._world.broadcast(session.known_modes if session else None)
        if modes is None:
            note = session.note if session else lambda _: None
            modes, why = chosen_modes(config, self._dataset, self._space, self._world, note=note)
            if session:
                session.note_modes(modes, why)
        return with_modes(config, modes)


def _check_size(wanted: int | None, ranks: int) -> None:
    """Checks that all ranks train each candidate.

    Raises:
        InputError: If fewer or more are to.
    """
    if wanted not in (None, ranks):
        raise InputError(
            f"distributed.ranks_per_candidate: given {wanted}, but the ranks of this job, "
            f"{ranks}, train each candidate together; allowed: {ranks}, or not to give it; "
            "groups of ranks: xnas-tf search CONFIG --engine ray"
        )
