"""Rank 0's part of a search: the record, the decisions, and what people see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.report.tensorboard import TensorBoard
from xnas_tf.run.conductor import Conductor
from xnas_tf.run.directory import held_directory, remove_drafts
from xnas_tf.run.finish import finish
from xnas_tf.run.known_costs import KnownCosts
from xnas_tf.run.known_networks import KnownNetworks, earlier_runs
from xnas_tf.run.limits import spent
from xnas_tf.run.observer import Spectators
from xnas_tf.run.progress import Progress
from xnas_tf.spaces.space import SearchSpace
from xnas_tf.strategy import Algorithm, create


class Lead:
    """What rank 0 has and others have not.

    Args:
        path: The run directory.
        config: The configuration.
        dataset: The data, for the final figures.
        space: The search space.
        groups: How many groups of ranks there are when it begins.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        groups: int = 1,
    ) -> None:
        self._path = path
        self._config = config
        self._dataset = dataset
        self._space = space
        self._groups = groups
        self.conductor: Conductor

    @contextmanager
    def opened(self, fresh: bool) -> Iterator[Lead]:
        """Opens the run directory and holds it.

        Raises:
            InputError: If it is no place for this run, its data has changed, or ``search.reuse``
                is wrong.
            HeldError: If another search holds it.
        """
        path, config = self._path, self._config
        networks = KnownNetworks(earlier_runs(config, path, self._dataset.facts))
        with (
            held_directory(path, config, fresh) as self._record,
            Progress(config, path, spent(self._record)) as self._progress,
        ):
            remove_drafts(path)
            self._board = TensorBoard(
                path / "tensorboard",
                config,
                self._space.variables,
                self._dataset.counts["validation"].tolist(),
            )
            self._check_data()
            for note in self._dataset.notes:
                self._progress.note(f"data set {self._dataset.name}: {note}")
            for note in self._space.notes:
                self._progress.note(f"warning: {note}")
            observers = Spectators(self._progress, self._board)
            algorithm = self._algorithm()
            self.conductor = Conductor(
                path, config, self._record, algorithm, observers, networks=networks
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
        self._progress.note(f"{chosen} ({why})")

    def note_groups(self, groups: int, size: int) -> None:
        """Records how many groups of how many ranks there are from now on."""
        self.conductor.groups = groups
        self._record.set_fact("groups", {"ranks": groups * size, "size": size})

    def note(self, text: str) -> None:
        """Says something that is worth a line."""
        self._progress.note(text)

    def finish(self, evaluator: Evaluator) -> None:
        """Closes the search and adds what a finished one has.

        Args:
            evaluator: That of this process' group.

        Raises:
            RunError: If no candidate can be recommended.
        """
        self.conductor.end()
        finish(self._path, self._record, self._dataset, evaluator, self._board, self._progress)

    def _algorithm(self) -> Algorithm:
        return create(
            self._config.search,
            self._config.directions,
            self._space,
            self._is_steady_state(),
            KnownCosts(self._config, self._space, self._dataset.class_names),
        )

    def _is_steady_state(self) -> bool:
        """What the configuration says, else what the run was begun with, else whether there
        is more than one group."""
        default = "generational" if self._groups == 1 else "steady_state"
        mode = self._config.search.mode or self._record.fact("mode") or default
        self._record.set_fact("mode", mode)
        return mode == "steady_state"
