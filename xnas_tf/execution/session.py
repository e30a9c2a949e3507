"""The session of a search, on rank 0 or Ray's driver: its database, coordinator and callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset
from xnas_tf.errors import InputError
from xnas_tf.evaluation.backend import Backend
from xnas_tf.execution.callbacks import Callbacks, MakeCallbacks, SearchContext
from xnas_tf.execution.code_changes import check_code
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.execution.exact_costs import ExactCosts
from xnas_tf.execution.preparation import ignored_options, left_out_images
from xnas_tf.execution.result_cache import FLIPS, ResultCache, earlier_runs
from xnas_tf.execution.stopping import spent
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import locked_run_directory, remove_drafts
from xnas_tf.strategy import Algorithm
from xnas_tf.utils.number_format import counted


@dataclass(frozen=True)
class Session:
    """The part of a search that runs in a single process."""

    database: Database
    callbacks: Callbacks
    coordinator: Coordinator

    def record_groups(self, groups: int, size: int) -> None:
        """Record the number and size of the groups of ranks, if anything is left to train."""
        if self.coordinator.is_over:
            return
        before = (self.database.fact("groups") or {}).get("size", size)
        if before != size and self.database.fact("norm_momentum") != 0:
            self.note(
                f"warning: each candidate is trained by {counted(size, 'rank')}, and earlier ones "
                f"were trained by {before}: BatchNormalization uses the statistics of each rank's "
                "share of a batch, so their values may differ"
            )
        self.database.set_fact("groups", {"ranks": groups * size, "size": size})

    def note(self, text: str) -> None:
        """Pass a message for the user to the callbacks."""
        self.callbacks.on_message(text)

    def finish(self, backend: Backend) -> None:
        """Record the end of the search, given the backend that can query the models on the front.

        Raises a ``RunError`` if no candidate can be recommended.
        """
        self.coordinator.end()
        self.coordinator.run.backend = backend


@contextmanager
def opened_session(
    path: Path,
    config: Config,
    dataset: Dataset,
    space: SearchSpace,
    fresh: bool = False,
    groups: int = 0,
    make_callbacks: MakeCallbacks = lambda _: (),
) -> Iterator[Session]:
    """Within the context, open and lock the run directory, and resume its search.

    If ``fresh``, an existing run is moved aside and a new one is started. ``groups`` is the number
    of groups of ranks at the start; 0 if this process itself belongs to the only one.

    Raises:
        InputError: If the directory cannot be used for this run, its data or the user's code have
            changed, or ``search.reuse`` is invalid.
        RunInUseError: If another search has locked the directory.
    """
    flips = config.training.augmentation.flips(dataset.mirrored)
    networks = ResultCache(earlier_runs(config, path, dataset.facts, flips), config.constraints)
    with locked_run_directory(path, config, fresh) as database:
        remove_drafts(path)
        context = SearchContext(path, config, dataset, space, database, spent(database))
        _check_data(context, flips)
        check_code(context)
        algorithm = Algorithm(
            config.search,
            config.directions,
            space,
            _is_steady_state(config, database, groups),
            ExactCosts(config, space, dataset.class_names),
        )
        callbacks = Callbacks(make_callbacks(context))
        coordinator = Coordinator(
            path,
            config,
            database,
            algorithm,
            callbacks,
            networks=networks,
            in_process=not groups,
        )
        with callbacks.over_search(coordinator.run):
            for note in _notes(context):
                callbacks.on_message(note)
            try:
                yield Session(database, callbacks, coordinator)
            finally:
                coordinator.release()


def _notes(search: SearchContext) -> Iterator[str]:
    """Yield notes for the user to read before the search starts."""
    dataset = search.dataset
    problems = dataset.findings.problem_notes
    for note in dataset.notes:
        yield f"{'warning: ' * (note in problems)}data set {dataset.name}: {note}"
    warnings = [
        *search.space.notes,
        *ignored_options(search.config, search.space),
        *left_out_images(search.config, dataset, search.space),
    ]
    yield from (f"warning: {note}" for note in warnings)
    for measure in search.config.measures():
        yield from (f"{measure.name}: {note}" for note in measure.notes(dataset.class_names))


def _check_data(search: SearchContext, flips: bool) -> None:
    """Record the facts about the data, or check that they have not changed since the run began.

    ``flips`` says whether training images are flipped, which may depend on the data set.
    """
    facts = search.dataset.facts
    lines = differences(search.database.fact("dataset") or facts, facts, "when it began, now")
    if search.database.fact(FLIPS) not in (None, flips):
        lines.append(f"random flips: {not flips} when it began, now {flips}")
    if lines:
        listed = "\n  ".join(lines)
        raise InputError(
            f"the data of {search.path} has changed; use `fresh` to move the run aside and start "
            f"a new one:\n  {listed}"
        )
    search.database.set_fact("dataset", facts)
    search.database.set_fact(FLIPS, flips)
    # Separate facts, which are not compared: runs from earlier versions lack them.
    search.database.set_fact("validation", search.dataset.counts["validation"].tolist())
    scaling = search.dataset.scaling
    search.database.set_fact("value_range", [scaling.low, scaling.high])
    search.database.set_fact("own_optimizer", search.space.compiles_default)
    search.database.set_fact("range_problem", search.space.range_problem)
    search.database.set_fact("norm_momentum", search.space.norm_momentum or 0.0)


def _is_steady_state(config: Config, database: Database, groups: int) -> bool:
    """Return whether the search is steady-state.

    The mode is taken from the configuration or, if none is specified there, from an earlier
    session. Without either, the search is steady-state if there are several groups.
    """
    default = "generational" if groups <= 1 else "steady_state"
    mode = config.search.mode or database.fact("mode") or default
    database.set_fact("mode", mode)
    return mode == "steady_state"
