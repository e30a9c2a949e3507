"""Retraining, on one process or on all ranks of a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.candidate import Candidate
from xnas_tf.config import differences
from xnas_tf.errors import HeldError, InputError, suggest
from xnas_tf.registry import describe
from xnas_tf.retraining.results import FOLDER, Retraining
from xnas_tf.retraining.settings import RetrainingOptions, chosen_candidates, resolve
from xnas_tf.storage.run import Run, load_run, locked
from xnas_tf.utils.environment import set_defaults

if TYPE_CHECKING:
    from xnas_tf.data import Dataset
    from xnas_tf.distributed import Communicator
    from xnas_tf.retraining.session import RetrainingSession
    from xnas_tf.spaces.search_space import SearchSpace

SEEDS = 3


def retrain(
    run: Run | str | Path,
    candidates: Sequence[int | str] = (),
    *,
    pareto: bool = False,
    epochs: int | None = None,
    seeds: int = SEEDS,
    patience: int | None = None,
    overrides: Iterable[str] = (),
    baseline: bool = True,
    gallery: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Retraining | None:
    """Trains candidates of a run in full, each with several seeds, beside a residual network of
    the same size; or goes on with what was interrupted.

    A training ends early when the validation accuracy does not rise any more; the weights of the
    best epoch are kept, and measured once on the test part. All is written to
    ``RUN/retrained``; the same settings go on in the same folder, others begin another one.

    Args:
        run: The run, or its directory.
        candidates: Ids, ``recommended`` or ``best``; the recommended one if empty and ``pareto`` is
            false.
        pareto: Whether the Pareto-optimal ones are wanted beside those named.
        epochs: Epochs of a training at most; 10 times as many as in the search if None.
        seeds: How many seeds each is trained with, from 0.
        patience: Epochs without a better one after which a training ends; a third of the epochs,
            at least 5, if None.
        overrides: Texts ``section.key=value``: of ``space``, ``training``, ``objectives`` and
            ``distributed``.
        baseline: Whether the residual network is trained.
        gallery: Whether it is drawn, for TensorBoard, what each network looks at as it learns with
            its first seed.
        tell: Is told, on rank 0, what begins and how it ended.

    Returns:
        The retraining, with all that was ever trained with these settings; None on ranks other
        than 0 of a Horovod job.

    Raises:
        InputError: If anything given is wrong.
        RunError: If it cannot go on, or every training failed.
        Interrupted: After SIGINT or SIGTERM; what could be saved is saved.
    """
    opened = run if isinstance(run, Run) else load_run(run)
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: allowed: 1 or more")
    settings = resolve(opened, epochs, patience, overrides)
    chosen = chosen_candidates(opened, candidates, pareto)
    job = _Job(opened, settings, chosen, seeds, baseline, gallery, tell)
    set_defaults()
    from xnas_tf.execution.joining import joined_to_train

    with joined_to_train(job.path, settings.config) as world:
        job.run(world)
    return Retraining(job.path) if world.rank == 0 else None


class _Job:
    """A retraining as one rank sees it; rank 0 alone decides and writes."""

    def __init__(
        self,
        run: Run,
        settings: RetrainingOptions,
        chosen: Sequence[Candidate],
        seeds: int,
        has_baseline: bool,
        has_gallery: bool,
        tell: Callable[[str], None],
    ) -> None:
        self.path = run.path / FOLDER / settings.key
        self._run = run
        self._settings = settings
        self._chosen = chosen
        self._seeds = seeds
        self._has_baseline = has_baseline
        self._has_gallery = has_gallery
        self._board = run.path / "tensorboard" / FOLDER / settings.key
        self._tell = tell

    def run(self, world: Communicator) -> None:
        """Trains all that is not trained yet."""
        from xnas_tf.execution.preparation import agreed, prepare

        dataset, space = prepare(self._settings.config, world, world.size)
        with ExitStack() as stack:
            lead = partial(self._desk, stack, dataset, space)
            desk = agreed(lambda: None if world.rank else lead(), world)
            self._train(world, dataset, space, desk)
            if desk:
                desk.check()

    def _desk(self, stack: ExitStack, dataset: Dataset, space: SearchSpace) -> RetrainingSession:
        """Rank 0's part."""
        from xnas_tf.retraining.session import RetrainingSession, made_folder

        self._check_data(dataset)
        for candidate in self._chosen:
            check_fits(candidate, space)
        hold(stack, self.path.parent)
        return RetrainingSession(
            made_folder(self.path, self._settings, dataset),
            self._chosen,
            self._seeds,
            dataset if self._has_baseline else None,
            self._board,
            self._tell,
        )

    def _check_data(self, dataset: Dataset) -> None:
        """Refuses data that have changed: test images may have been the search's."""
        facts = dataset.facts
        lines = differences(self._run.fact("dataset") or facts, facts, "in the search, now")
        if lines:
            listed = "\n  ".join(lines)
            raise InputError(f"the data of {self._run.path} has changed:\n  {listed}")

    def _train(
        self,
        world: Communicator,
        dataset: Dataset,
        space: SearchSpace,
        desk: RetrainingSession | None,
    ) -> None:
        from xnas_tf.execution.task_source import LocalSource
        from xnas_tf.execution.watchdog import Watchdog
        from xnas_tf.execution.worker import Worker
        from xnas_tf.retraining.attribution_pictures import AttributionPictures
        from xnas_tf.retraining.evaluator import Retrainer
        from xnas_tf.utils.epoch_progress import epochs_bar

        config = self._settings.config
        stall = 60 * config.distributed.stall_minutes
        with (
            Watchdog(stall, world.size > 1 or "HOROVOD_RANK" in os.environ) as watch,
            epochs_bar(world.rank == 0) as told,
        ):
            patience = self._settings.patience
            gallery = None
            if self._has_gallery and desk:
                gallery = AttributionPictures(
                    self._board, dataset, config.training.epochs, self._tell
                )
            trainer = Retrainer(config, dataset, space, world, patience, told, gallery)
            minutes = config.training.checkpoint_minutes
            ask = LocalSource(desk) if desk else None
            Worker(trainer, world, ask, watch, minutes).run()


def hold(stack: ExitStack, folder: Path) -> None:
    """Holds the folder of a run's retrainings, for one command at a time."""
    try:
        folder.mkdir(exist_ok=True)
        stack.enter_context(locked(folder))
    except HeldError as error:
        message = f"another process is retraining in {folder} at this moment"
        raise InputError(message) from error


def check_fits(candidate: Candidate, space: SearchSpace) -> None:
    """Checks that a space has an architecture.

    Raises:
        InputError: If it does not know one of its hyperparameters, or takes it for another
            architecture.
    """
    known = {variable.name for variable in space.variables}
    for name in candidate.hyperparameters:
        if name not in known:
            raise InputError(
                f"candidate {candidate.id} is no longer in the search space, which has no "
                f"hyperparameter {suggest(name, known)}"
            )
    try:
        genotype = space.genotype(candidate.hyperparameters)
    except Exception as error:  # a user's code may raise anything at all
        raise InputError(
            f"candidate {candidate.id} is no longer in the search space: {describe(error)}"
        ) from error
    if genotype != candidate.genotype:
        raise InputError(
            f"candidate {candidate.id} is another architecture in this search space: {genotype}, "
            f"recorded: {candidate.genotype}"
        )
