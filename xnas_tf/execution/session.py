"""Rank 0's part of a search: the record, the decisions, and what people see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.execution.callbacks import (
    CallbackList,
    MakeCallbacks,
    SearchContext,
    no_callbacks,
)
from xnas_tf.execution.coordinator import Coordinator
from xnas_tf.execution.exact_costs import ExactCosts
from xnas_tf.execution.result_cache import ResultCache, earlier_runs
from xnas_tf.execution.stopping import spent
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.storage.run import held_directory, remove_drafts
from xnas_tf.strategy import Algorithm, create


class Session:
    """What rank 0 has and others have not.

    Args:
        path: The run directory.
        config: The configuration.
        dataset: The data, for the final figures.
        space: The search space.
        groups: How many groups of ranks there are when it begins.
        make_callbacks: Makes what shows the search to people.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        groups: int = 1,
        make_callbacks: MakeCallbacks = no_callbacks,
    ) -> None:
        self._path = path
        self._config = config
        self._dataset = dataset
        self._space = space
        self._groups = groups
        self._make_callbacks = make_callbacks
        self.coordinator: Coordinator

    @contextmanager
    def opened(self, fresh: bool) -> Iterator[Session]:
        """Opens the run directory and holds it.

        Raises:
            InputError: If it is no place for this run, its data has changed, or ``search.reuse``
                is wrong.
            HeldError: If another search holds it.
        """
        path, config = self._path, self._config
        networks = ResultCache(earlier_runs(config, path, self._dataset.facts))
        with held_directory(path, config, fresh) as self._record, ExitStack() as stack:
            remove_drafts(path)
            context = SearchContext(
                path, config, self._dataset, self._space, self._record, spent(self._record)
            )
            callbacks = [stack.enter_context(each) for each in self._make_callbacks(context)]
            self._callbacks = CallbackList(callbacks)
            self._check_data()
            for note in self._dataset.notes:
                self.note(f"data set {self._dataset.name}: {note}")
            for note in self._space.notes:
                self.note(f"warning: {note}")
            algorithm = self._algorithm()
            self.coordinator = Coordinator(
                path, config, self._record, algorithm, self._callbacks, networks=networks
            )
            yield self

    def _check_data(self) -> None:
        """Records what the data is; a run goes on with the data that it was begun with."""
        facts = self._dataset.facts
        lines = differences(self._record.fact("dataset") or facts, facts, "when it began, now")
        if lines:
            listed = "\n  ".join(lines)
            raise InputError(
                f"the data of {self._path} has changed; --fresh moves the run aside and starts "
                f"anew:\n  {listed}"
            )
        self._record.set_fact("dataset", facts)
        # Of its own, since it is no part of what is compared: a run of an earlier version lacks it.
        self._record.set_fact("validation", self._dataset.counts["validation"].tolist())

    @property
    def known_modes(self) -> dict[str, bool] | None:
        """What a trial chose in this run before, in place of ``auto``; None if there was none."""
        return self._record.fact("measured_modes")

    def note_modes(self, modes: dict[str, bool], why: str) -> None:
        """Records what a trial chose and says why: all of a run is trained alike."""
        self._record.set_fact("measured_modes", modes)
        chosen = ", ".join(f"training.{name} is {str(on).lower()}" for name, on in modes.items())
        self.note(f"{chosen} ({why})")

    def note_groups(self, groups: int, size: int) -> None:
        """Records how many groups of how many ranks there are from now on."""
        self.coordinator.groups = groups
        self._record.set_fact("groups", {"ranks": groups * size, "size": size})

    def note(self, text: str) -> None:
        """Says something that is worth a line."""
        self._callbacks.note(text)

    def finish(self, evaluator: Evaluator) -> None:
        """Closes the search and adds what a finished one has.

        Args:
            evaluator: That of this process' group.

        Raises:
            RunError: If no candidate can be recommended.
        """
        self.coordinator.end()
        self._callbacks.finished(evaluator)

    def _algorithm(self) -> Algorithm:
        return create(
            self._config.search,
            self._config.directions,
            self._space,
            self._is_steady_state(),
            ExactCosts(self._config, self._space, self._dataset.class_names),
        )

    def _is_steady_state(self) -> bool:
        """What the configuration says, else what the run was begun with, else whether there
        is more than one group."""
        default = "generational" if self._groups == 1 else "steady_state"
        mode = self._config.search.mode or self._record.fact("mode") or default
        self._record.set_fact("mode", mode)
        return mode == "steady_state"
