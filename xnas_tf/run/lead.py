"""Rank 0's part of a search: the record, the decisions, and what people see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset
from xnas_tf.distributed import Communicator
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
        world: All ranks.
        dataset: The data, for the final figures.
        space: The search space.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        world: Communicator,
        dataset: Dataset,
        space: SearchSpace,
    ) -> None:
        self._path = path
        self._config = config
        self._world = world
        self._dataset = dataset
        self._space = space
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
    def known_size(self) -> int | None:
        """The group size that was measured in this run on as many ranks; None if never."""
        known = self._record.fact("measured_size") or {}
        return known.get(str(self._world.size))

    @property
    def known_modes(self) -> dict[str, bool] | None:
        """What a trial chose in this run before, in place of ``auto``; None if there was none."""
        return self._record.fact("measured_modes")

    def note_modes(self, modes: dict[str, bool], why: str) -> None:
        """Records what a trial chose and says why: all of a run is trained alike."""
        self._record.set_fact("measured_modes", modes)
        chosen = ", ".join(f"training.{name} is {str(on).lower()}" for name, on in modes.items())
        self._progress.note(f"{chosen} ({why})")

    def note_groups(self, size: int) -> None:
        """Records how the ranks are split from now on."""
        self.conductor.ranks_per_group = size
        self.conductor.groups = self._world.size // size
        self._record.set_fact("groups", {"ranks": self._world.size, "size": size})

    def note_size(self, size: int, why: str) -> None:
        """Records a measured group size and says why it was chosen."""
        known = self._record.fact("measured_size") or {}
        self._record.set_fact("measured_size", {**known, str(self._world.size): size})
        self._progress.note(f"distributed.ranks_per_candidate is {size} ({why})")

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
        mode = self._config.search.mode or self._record.fact("mode") or self._default_mode()
        self._record.set_fact("mode", mode)
        return mode == "steady_state"

    def _default_mode(self) -> str:
        wanted = self._config.distributed.ranks_per_candidate
        is_one_group = wanted in ("all", self._world.size) or self._world.size == 1
        return "generational" if is_one_group else "steady_state"
