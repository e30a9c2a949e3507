"""Opens a search on rank 0 or Ray's driver: its database, algorithm, coordinator and callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import Callbacks, MakeCallbacks, SearchContext
from xnas_tf.execution.code_changes import check_code
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.execution.preparation import ignored_options, left_out_images
from xnas_tf.execution.result_cache import FLIPS, ResultCache, earlier_runs
from xnas_tf.execution.stopping import spent
from xnas_tf.objectives.base import Subject
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.storage.run_directory import locked_run_directory, remove_drafts
from xnas_tf.strategy import Algorithm
from xnas_tf.utils.number_format import counted
from xnas_tf.utils.randomness import own_generator


@contextmanager
def opened_session(
    path: Path,
    config: Config,
    dataset: Dataset,
    space: SearchSpace,
    fresh: bool = False,
    groups: int = 0,
    make_callbacks: MakeCallbacks = lambda _: (),
) -> Iterator[Coordinator]:
    """Within the context, open and lock the run directory, and resume its search.

    ``fresh`` moves an existing run aside. ``groups`` is the number of groups of ranks at the start;
    0 if this process itself belongs to the only one.

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
        default = "generational" if groups <= 1 else "steady_state"
        mode = config.search.mode or database.fact("mode") or default
        database.set_fact("mode", mode)
        costs = ExactCosts(config, space, dataset.class_names)
        steady = mode == "steady_state"
        algorithm = Algorithm(config.search, config.directions, space, steady, costs)
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
                yield coordinator
            finally:
                coordinator.stop_blaming()


def record_groups(coordinator: Coordinator, groups: int, size: int) -> None:
    """Record the number and size of the groups of ranks, if anything is left to train."""
    if coordinator.is_over:
        return
    database = coordinator.database
    before = (database.fact("groups") or {}).get("size", size)
    if before != size and database.fact("norm_momentum") != 0:
        coordinator.callbacks.on_message(
            f"warning: each candidate is trained by {counted(size, 'rank')}, and earlier ones "
            f"were trained by {before}: BatchNormalization uses the statistics of each rank's "
            "share of a batch, so their values may differ"
        )
    database.set_fact("groups", {"ranks": groups * size, "size": size})


def _notes(search: SearchContext) -> Iterator[str]:
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
    """Record the facts about the data, or check that they have not changed since the run began."""
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


class ExactCosts:
    """Exact objectives, computed by building the networks that a surrogate considers.

    A network that cannot be built or measured has no costs, and fails in its evaluation. Measured
    costs, such as latency, are left to the evaluation, where nothing else affects them.
    """

    def __init__(self, config: Config, space: SearchSpace, class_names: tuple[str, ...]) -> None:
        self._objectives = {
            index: objective
            for index, objective in enumerate(config.objectives)
            if not objective.needs_training and not objective.is_measured
        }
        self._space = space
        self._class_names = class_names
        self._known: dict[str, dict[int, float]] = {}

    def __call__(self, values: Mapping[str, Any]) -> dict[int, float]:
        """Return a network's costs by objective index; lower is better."""
        if not self._objectives:
            return {}
        genotype = self._space.genotype(values)
        if genotype not in self._known:
            self._known[genotype] = self._compute(values)
        return self._known[genotype]

    def _compute(self, values: Mapping[str, Any]) -> dict[int, float]:
        try:
            with own_generator(seed=0):  # the initial values do not matter
                model = self._space.build(values)
            subject = Subject(model, SingleProcess(), self._class_names)
            costs = {i: o.sign * o.score(subject).value for i, o in self._objectives.items()}
        except (Exception, SystemExit):  # noqa: BLE001 - a user's code may raise anything
            return {}
        return {index: cost for index, cost in costs.items() if np.isfinite(cost)}
