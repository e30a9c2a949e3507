"""One rank's way through a search."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from xnas_tf.config import Config
from xnas_tf.config.modes import open_modes, with_modes
from xnas_tf.distributed import Communicator, join_group
from xnas_tf.errors import HeldError, RunError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.evaluation.shared.evaluator import SharedEvaluator
from xnas_tf.evaluation.shared.paying import is_shared
from xnas_tf.evaluation.shared.twins import TwinEvaluator
from xnas_tf.kernels import kept_kernels
from xnas_tf.run.group_size import measure_size, wanted_size
from xnas_tf.run.lead import Lead
from xnas_tf.run.modes import measure_modes
from xnas_tf.run.prepare import agreed, prepare
from xnas_tf.run.profiling import PROFILED, Profiler
from xnas_tf.run.source import Source, source_of
from xnas_tf.run.watch import Watch
from xnas_tf.run.work import Worker


class Job:
    """A search as one rank sees it. Rank 0 leads: it keeps the record and decides.

    Args:
        path: The run directory; only rank 0 looks at it.
        config: The configuration.
        world: All ranks.
        profile: Whether rank 0 profiles one of its evaluations for TensorBoard.
    """

    def __init__(
        self, path: Path, config: Config, world: Communicator, profile: bool = False
    ) -> None:
        self._path = path
        self._config = config
        self._world = world
        profiles = profile and world.rank == 0
        self._profiler = Profiler(path / "tensorboard" if profiles else None)

    def run(self, fresh: bool) -> None:
        """Runs the search; see ``xnas_tf.search``."""
        config, world = self._config, self._world
        size = wanted_size(config.distributed.ranks_per_candidate, world.size)
        self._dataset, self._space = prepare(config, world, size or 1)
        with ExitStack() as stack:
            lead = agreed(lambda: self._take_lead(stack, fresh), world)
            if self._space.is_built_in:
                stack.enter_context(kept_kernels())
            stall = 60 * config.distributed.stall_minutes
            # horovodrun may start a single rank too, even on another host.
            has_launcher = world.size > 1 or "HOROVOD_RANK" in os.environ
            with Watch(stall, has_launcher) as self._watch:
                evaluator = self._work(lead, size)
            if lead:
                if self._profiler.is_waiting:
                    few = f"rank 0 evaluated fewer than {PROFILED} candidates"
                    lead.note(f"nothing was profiled: {few}")
                lead.finish(evaluator)

    def _take_lead(self, stack: ExitStack, fresh: bool) -> Lead | None:
        """Rank 0's part; None on other ranks.

        Raises:
            RunError: If a launcher started this while another search holds the run: the one
                before it may still be leaving, on another host. Alone it is a ``HeldError``.
        """
        if self._world.rank:
            return None
        lead = Lead(self._path, self._config, self._world, self._dataset, self._space)
        try:
            return stack.enter_context(lead.opened(fresh))
        except HeldError as error:
            if self._world.size == 1 and "HOROVOD_RANK" not in os.environ:
                raise
            # Its exit code would tell the launcher that there is no use in another start.
            raise RunError(str(error)) from error

    def _work(self, lead: Lead | None, size: int | None) -> Evaluator:
        """Trains candidates until there are no more; returns what evaluated them."""
        desk = lead.conductor if lead else None
        most_groups = self._world.size // (size or 1)
        self._config = self._with_modes(lead, most_groups)
        with source_of(desk, self._world, self._watch) as source:
            size = size or self._measured_size(source, lead)
            worker = self._worker(source, lead, size, self._kind(lead, size))
            worker.run()
            if self._world.size > 1:  # who leaves first takes the others' Horovod along
                worker.gather("end", self._world.size)
            return worker.evaluator

    def _with_modes(self, lead: Lead | None, groups: int) -> Config:
        """The configuration with modes in place of ``auto``: those that this run is trained in,
        or those that a trial finds best."""
        config = self._config
        if not open_modes(config):
            return config
        modes = self._world.broadcast(lead.known_modes if lead else None)
        if modes is None:
            modes, why = self._tried_modes(lead, groups)
            if lead:
                lead.note_modes(modes, why)
        return with_modes(config, modes)

    def _tried_modes(self, lead: Lead | None, groups: int) -> tuple[dict[str, bool], str]:
        """What a trial chooses in place of ``auto``, and why."""
        config, names = self._config, open_modes(self._config)
        plain = dict.fromkeys(names, False)
        mine = is_shared(with_modes(config, plain), self._dataset, self._space, groups)
        (everywhere,) = self._world.sum(np.array(mine, np.int64))  # hosts may have other devices
        if everywhere == self._world.size:
            return plain, "one network stands for those of all cells, which they exclude"
        if lead:
            lead.note(f"trying {' and '.join(names)} on the default network")
        return measure_modes(config, self._dataset, self._space, self._world)

    def _measured_size(self, source: Source, lead: Lead | None) -> int:
        """The group size that an earlier search found best, or this one's first trainings."""
        known = self._world.broadcast(lead.known_size if lead else None)
        if known:
            return known

        def trial(size: int, count: int) -> list[float]:
            worker = self._worker(source, lead, size)
            seconds = worker.run(count)
            worker.gather(f"trial of groups of {size}", self._world.size)
            return seconds if worker.group.leads else []

        # Each rank needs at least one image of every batch and of both parts.
        batch, data = self._config.training.batch_size, self._dataset
        limit = min(batch, len(data.train), len(data.validation))
        size, why = measure_size(self._world, trial, limit)
        if lead:
            lead.note_size(size, why)
        return size

    def _kind(self, lead: Lead | None, size: int) -> type[Evaluator]:
        """How candidates are evaluated; the values are the same."""
        groups = self._world.size // size
        if not is_shared(self._config, self._dataset, self._space, groups):
            return TwinEvaluator
        if lead:
            lead.note("one network is traced and trained in place of those of all cells")
        return SharedEvaluator

    def _worker(
        self,
        source: Source,
        lead: Lead | None,
        size: int,
        kind: type[Evaluator] = Evaluator,
    ) -> Worker:
        group = join_group(self._world, size)
        if lead:
            lead.note_groups(size)
        evaluator = kind(self._config, self._dataset, self._space, group.ranks)
        minutes = self._config.training.checkpoint_minutes
        return Worker(evaluator, group, source, self._watch, minutes, self._profiler)
