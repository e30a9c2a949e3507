"""Retrains candidates in one process or on all ranks of a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.candidate import Candidate
from xnas_tf.errors import InputError, RunInUseError, suggest
from xnas_tf.execution.task_source import local_source
from xnas_tf.execution.watchdog import job_watchdog
from xnas_tf.registry import describe
from xnas_tf.retraining.results import FOLDER, Retraining
from xnas_tf.retraining.settings import RetrainingOptions, chosen_candidates, resolve
from xnas_tf.storage.run import Run, load_run
from xnas_tf.storage.run_directory import locked
from xnas_tf.utils.argument_types import LIST, WHOLE, check_types
from xnas_tf.utils.environment import set_defaults
from xnas_tf.utils.progress import displayed, epochs_bar, log_message
from xnas_tf.utils.source_code import changed_files

if TYPE_CHECKING:
    from xnas_tf.data import Dataset
    from xnas_tf.distributed import Communicator
    from xnas_tf.retraining.session import RetrainingSession
    from xnas_tf.spaces.search_space import SearchSpace

SEEDS = 3


@check_types(epochs=WHOLE, seeds=WHOLE, patience=WHOLE, overrides=LIST)
def retrain(  # noqa: PLR0913 - options with defaults
    run: Run | str | Path,
    candidates: Sequence[int | str | Candidate] | int | str | Candidate = (),
    *,
    pareto: bool = False,
    epochs: int | None = None,
    seeds: int = SEEDS,
    patience: int | None = None,
    overrides: Iterable[str] = (),
    baseline: bool = True,
    gallery: bool = False,
    verbose: int = 1,
    log: Callable[[str], None] = log_message,
) -> Retraining | None:
    """Fully train candidates of a run, alongside a residual network of the same size.

    Each network is trained with several seeds.
    Training ends early when the validation accuracy stops improving. The weights of the best epoch
    are kept and evaluated once on the test split. Everything is written to a folder in
    ``RUN/retrained``. Repeating the call with the same settings resumes an interrupted retraining;
    different settings get a new folder.

    Args:
        run: The run, or its directory.
        candidates: One or more candidates, each given as an id, ``recommended``, ``best`` or a
            ``Candidate``. If empty and ``pareto`` is false, the recommended candidate is trained.
        pareto: Whether to include the Pareto-optimal candidates.
        epochs: Maximum number of training epochs; if None, 10 times as many as in the search.
        seeds: Number of seeds for each network, starting at seed 0.
        patience: Number of epochs without improvement after which training ends; if None, a third
            of the epochs, but at least 5.
        overrides: Options as ``section.key=value``, in the ``space``, ``training``, ``objectives``,
            ``record`` and ``distributed`` sections.
        baseline: Whether to train the residual network.
        gallery: Whether to draw attributions of each network for TensorBoard while it is trained
            with its first seed.
        verbose: Output of rank 0: 0 for warnings only, 1 to add progress, 2 to add a line per
            epoch.
        log: Called on rank 0 with messages about the start and the end of each training.

    Returns:
        The retraining, with all results for these settings; None on ranks other than 0 of a
        Horovod job.

    Raises:
        InputError: If an argument is invalid.
        RunError: If the retraining cannot continue, or every training failed.
        Interrupted: Raised after SIGINT or SIGTERM, once a checkpoint has been saved.
    """
    opened = load_run(run)
    if seeds < 1:
        raise InputError(f"`seeds` {seeds}: allowed: 1 or more")
    settings = resolve(opened, epochs, patience, overrides)
    chosen = chosen_candidates(opened, candidates, pareto)
    job = _Job(opened, settings, chosen, seeds, baseline, gallery, log)
    set_defaults()
    from xnas_tf.execution.job_context import joined_ranks

    with displayed(verbose), joined_ranks(job.path, settings.config) as world:
        job.run(world)
    return Retraining(job.path) if world.rank == 0 else None


@dataclass(frozen=True)
class _Job:
    """A retraining as run by one rank; only rank 0 makes decisions and writes files."""

    source: Run
    settings: RetrainingOptions
    chosen: Sequence[Candidate]
    seeds: int
    has_baseline: bool
    has_pictures: bool
    log: Callable[[str], None]

    @cached_property
    def path(self) -> Path:
        """The folder of the retraining."""
        return self.settings.folder(self.source)

    @property
    def curves(self) -> Path:
        """TensorBoard's folder for the retraining."""
        return self.source.path / "tensorboard" / FOLDER / self.path.name

    def run(self, world: Communicator) -> None:
        """Train all networks that have not been trained yet."""
        from xnas_tf.execution.preparation import prepare
        from xnas_tf.execution.rank_agreement import on_all_ranks
        from xnas_tf.execution.worker import Worker
        from xnas_tf.retraining.evaluator import AttributionPictures, Retrainer

        config, patience = self.settings.config, self.settings.patience
        _, dataset, space = prepare(config, world, world.size)
        with ExitStack() as stack:
            session = on_all_ranks(
                lambda: None if world.rank else self._session(stack, dataset, space), world
            )
            with job_watchdog(config.distributed, world) as watchdog:
                pictures = None
                if self.has_pictures and session:
                    pictures = AttributionPictures(
                        self.curves, dataset, config.training.epochs, self.log
                    )
                retrainer = Retrainer(config, dataset, space, world, patience, pictures)
                source = local_source(session) if session else None
                minutes = config.training.checkpoint_minutes
                Worker(retrainer, world, source, watchdog, minutes).run()
            if session:
                session.check()

    def _session(self, stack: ExitStack, dataset: Dataset, space: SearchSpace) -> RetrainingSession:
        from xnas_tf.execution.code_changes import code_hashes
        from xnas_tf.retraining.session import RetrainingSession, made_folder

        if changes := self.source.changes_of(dataset):  # images of the search may be test images
            raise InputError(changes)
        code = code_hashes(self.settings.config, space)
        for note in notes(self.source, code):
            self.log(note)
        for candidate in self.chosen:
            check_fits(candidate, space)
        hold(stack, self.path.parent)
        return RetrainingSession(
            made_folder(self.path, self.settings, dataset, code),
            self.chosen,
            self.seeds,
            dataset if self.has_baseline else None,
            self.curves,
            stack.enter_context(epochs_bar()),
            self.log,
        )


def notes(run: Run, code: dict[str, str]) -> Iterator[str]:
    """Yield why networks may differ from a run's, given the current hashes of the user's code."""
    if files := changed_files(run.fact("code"), code):
        yield (
            f"warning: the code of {run.path} has changed since the search: {', '.join(files)}. "
            "The retrained networks may differ from those of the search"
        )
    if run.config.training.callbacks:
        yield (
            "the Keras callbacks of the search are left out, because a retraining has its own "
            "early stopping: networks whose learning rate or images they change are trained "
            "differently"
        )


def hold(stack: ExitStack, folder: Path) -> None:
    """Lock a run's retrainings until the stack is closed, or raise an ``InputError``."""
    try:
        folder.mkdir(exist_ok=True)
        stack.enter_context(locked(folder))
    except RunInUseError as error:
        message = f"another process is retraining in {folder} right now"
        raise InputError(message) from error


def check_fits(candidate: Candidate, space: SearchSpace) -> None:
    """Raise an ``InputError`` unless a search space contains the architecture of a candidate."""
    known = {variable.name for variable in space.variables}
    for name in candidate.hyperparameters:
        if name not in known:
            raise InputError(
                f"candidate {candidate.id} is no longer in the search space, which has no "
                f"hyperparameter {suggest(name, known)}"
            )
    try:
        genotype = space.genotype(candidate.hyperparameters)
    except Exception as error:  # a user's code may raise anything
        raise InputError(
            f"candidate {candidate.id} is no longer in the search space: {describe(error)}"
        ) from error
    if genotype != candidate.genotype:
        raise InputError(
            f"candidate {candidate.id} is another architecture in this search space: {genotype}, "
            f"recorded: {candidate.genotype}"
        )
