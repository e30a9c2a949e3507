"""The session of a search, on rank 0 or the Ray driver: database, coordinator and callbacks."""

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
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import locked_run_directory, remove_drafts
from xnas_tf.strategy import Algorithm


class Session:
    """The part of a search that only one process has: database, coordinator and callbacks.

    Args:
        path: The run directory.
        config: The configuration.
        dataset: The data set.
        space: The search space.
        groups: The number of groups of ranks at the start.
        make_callbacks: Creates the callbacks of the search.

    Attributes:
        coordinator: The coordinator, once the session is open.
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
        self._database: Database
        self._callbacks = CallbackList(())
        self.coordinator: Coordinator

    @contextmanager
    def opened(self, fresh: bool) -> Iterator[Session]:
        """Open and lock the run directory, and resume the search in it, inside the context.

        Args:
            fresh: Whether to move an existing run aside and start a new one.

        Yields:
            This session.

        Raises:
            InputError: If the directory cannot be used for this run, its data has changed, or
                ``search.reuse`` is wrong.
            HeldError: If another search has locked it.
        """
        path, config = self._path, self._config
        networks = ResultCache(earlier_runs(config, path, self._dataset.facts))
        with locked_run_directory(path, config, fresh) as database, ExitStack() as stack:
            self._database = database
            remove_drafts(path)
            context = SearchContext(
                path, config, self._dataset, self._space, database, spent(database)
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
                path, config, database, algorithm, self._callbacks, networks=networks
            )
            yield self

    def _check_data(self) -> None:
        """Record what the data is, or check that it is still that of the run."""
        facts = self._dataset.facts
        lines = differences(self._database.fact("dataset") or facts, facts, "when it began, now")
        if lines:
            listed = "\n  ".join(lines)
            raise InputError(
                f"the data of {self._path} has changed; --fresh moves the run aside and starts "
                f"a new one:\n  {listed}"
            )
        self._database.set_fact("dataset", facts)
        # A fact of its own, which is not compared: runs of earlier versions lack it.
        self._database.set_fact("validation", self._dataset.counts["validation"].tolist())

    def record_groups(self, groups: int, size: int) -> None:
        """Record a change of the number of groups of ranks and of their size."""
        self._database.set_fact("groups", {"ranks": groups * size, "size": size})

    def note(self, text: str) -> None:
        """Pass a message for the user to the callbacks."""
        self._callbacks.on_message(text)

    def finish(self, evaluator: Evaluator) -> None:
        """End the search and call the callbacks for the last time.

        Args:
            evaluator: The evaluator of this process.

        Raises:
            RunError: If no candidate can be recommended.
        """
        self.coordinator.end()
        self._callbacks.on_search_end(evaluator)

    def _algorithm(self) -> Algorithm:
        return Algorithm(
            self._config.search,
            self._config.directions,
            self._space,
            self._is_steady_state(),
            ExactCosts(self._config, self._space, self._dataset.class_names),
        )

    def _is_steady_state(self) -> bool:
        """Return whether the search is steady-state.

        It is as configured, else as the run was started, else if there is more than one group.
        """
        default = "generational" if self._groups == 1 else "steady_state"
        mode = self._config.search.mode or self._database.fact("mode") or default
        self._database.set_fact("mode", mode)
        return mode == "steady_state"
