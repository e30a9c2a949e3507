"""The base class of callbacks for experiment trackers."""

from __future__ import annotations

import json
from abc import abstractmethod
from importlib.util import find_spec
from typing import Any, ClassVar

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError
from xnas_tf.execution.callbacks import Callback
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.storage.run_directory import write_atomically


class Tracker(Callback):
    """A callback that logs a search and its candidates to an experiment tracker.

    Each candidate is logged once, when it has ended. If this fails because a server is down or the
    search is killed, the candidate is logged when the search ends or is resumed.

    Raises:
        InputError: If the tracker's package is not installed.
    """

    package: ClassVar[str]

    def __init__(self) -> None:
        if find_spec(self.package) is None:
            raise InputError(
                f"callback {self.package!r} needs the package {self.package}, which is not "
                f"installed: pip install 'xnas-tf[{self.package}]'"
            )
        self._is_open = False
        self._record: dict[str, Any] = {}
        """What resuming needs to know; see ``_keep``."""

    def on_search_begin(self, run: SearchRun) -> None:
        """Open the tracker, and log the candidates that have not been logged yet."""
        self._file = run.path / f"{self.package}.json"
        self._record = json.loads(self._file.read_text()) if self._file.is_file() else {}
        self._open(run)
        self._is_open = True
        self._log_missing(run)

    def on_candidate_end(self, run: SearchRun, candidate: Candidate) -> None:
        """Log the candidate."""
        if self._is_open:
            self._log_candidate(candidate)

    def on_generation_end(self, run: SearchRun, generation: int) -> None:
        """Log the front's hypervolume and size, and the best value of each objective."""
        if self._is_open:
            self._log_generation(front_values(run), generation)

    def on_search_end(self, run: SearchRun, error: BaseException | None) -> None:
        """Log the front and the recommended model if the search finished, and close the tracker."""
        if not self._is_open:
            return
        try:
            if error is None:
                self._log_missing(run)
                self._log_results(run)
        finally:
            self._close(error)

    def _keep(self, name: str, value: Any) -> None:
        """Keep a JSON value for a later session, in a file in the run directory."""
        self._record[name] = value
        write_atomically(self._file, json.dumps(self._record).encode())

    def _log_missing(self, run: SearchRun) -> None:
        for candidate in run:
            if candidate.finish_order and not self._is_logged(candidate):
                self._log_candidate(candidate)

    @abstractmethod
    def _open(self, run: SearchRun) -> None:
        """Begin or resume the tracker's run for this search."""

    @abstractmethod
    def _is_logged(self, candidate: Candidate) -> bool: ...

    @abstractmethod
    def _log_candidate(self, candidate: Candidate) -> None: ...

    @abstractmethod
    def _log_generation(self, values: dict[str, float], generation: int) -> None: ...

    @abstractmethod
    def _log_results(self, run: SearchRun) -> None: ...

    @abstractmethod
    def _close(self, error: BaseException | None) -> None: ...


def front_values(run: SearchRun) -> dict[str, float]:
    """Return the front's size, its hypervolume if known, and the best value of each objective."""
    front, hypervolume = run.pareto(), run.hypervolume()
    values: dict[str, float] = {"front/size": len(front)}
    if hypervolume is not None:
        values["front/hypervolume"] = hypervolume
    for objective in run.config.objectives if front else ():
        best = min(objective.sign * c.objectives[objective.name] for c in front)
        values[f"best/{objective.name}"] = objective.sign * best
    return values


def search_parameters(config: Config) -> dict[str, Any]:
    """Return the main options of a search, which cannot change when it is resumed."""
    return {
        "dataset": config.dataset.name,
        "space": config.space.name,
        "objectives": ", ".join(objective.heading for objective in config.objectives),
        "algorithm": config.search.algorithm,
        "population": config.search.population,
        "seed": config.search.seed,
        "epochs": config.training.epochs,
    }


def candidate_parameters(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate's hyperparameters, and the other values that determine its training."""
    own = {"genotype": candidate.genotype, "epochs": candidate.epochs, "seed": candidate.seed}
    return {**candidate.hyperparameters, **own}


def candidate_values(candidate: Candidate) -> dict[str, float]:
    """Return a candidate's final values: objectives, metrics and seconds."""
    seconds = {f"seconds/{phase}": value for phase, value in candidate.seconds.items()}
    seconds["seconds/total"] = candidate.seconds_total
    return {**candidate.metrics, **candidate.objectives, **seconds}
