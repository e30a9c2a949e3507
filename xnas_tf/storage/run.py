"""A run directory, to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from xnas_tf.candidate import CHOICES, RECOMMENDED, Candidate
from xnas_tf.config import Config
from xnas_tf.errors import InputError, RunError, RunInUseError, suggest
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import CONFIG, DATABASE, locked, model_path, run_config
from xnas_tf.strategy.pareto import HypervolumeMeter, pareto_front
from xnas_tf.strategy.recommendation import Recommendation, recommend


class Run:
    """A run directory: its configuration and its candidates.

    Raises:
        InputError: If it is no run directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        missing = [n for n in (CONFIG, DATABASE) if not (self.path / n).is_file()]
        if missing:
            what = "has no" if self.path.is_dir() else "does not exist, so it has no"
            near = sorted(str(p.parent) for p in Path("runs").glob(f"*/{DATABASE}"))
            hint = f"; runs here: {', '.join(near[:10])}" if near else ""
            raise InputError(f"{self.path} is no run: it {what} {' and '.join(missing)}{hint}")
        self.config = run_config(self.path)

    def candidates(self) -> list[Candidate]:
        """Return all candidates in any state, by id."""
        with closing(Database(self.path / DATABASE)) as database:
            candidates = database.candidates()
        for candidate in candidates:
            path = model_path(self.path, candidate.id)
            candidate.model_path = path if path.is_file() else None
        return candidates

    def candidate(self, number: int) -> Candidate:
        """Return the candidate with an id.

        Raises:
            InputError: If there is none.
        """
        by_id = {candidate.id: candidate for candidate in self.candidates()}
        if number not in by_id:
            allowed = f"1 to {max(by_id)}" if by_id else "none yet"
            raise InputError(f"{self.path} has no candidate {number}; allowed: {allowed}")
        return by_id[number]

    def pareto(self) -> list[Candidate]:
        """Return the Pareto-optimal candidates, best in the first objective first."""
        return ordered_front(self.candidates(), self.config)

    def recommendation(
        self, prefer: str | None = None, within: float | None = None
    ) -> Recommendation:
        """Return the recommended Pareto-optimal candidate, and why.

        Args:
            prefer: What decides instead of the default rule: ``error``, the name of an objective,
                or ``knee``.
            within: Percentage points above the best error to tolerate instead of the default.

        Raises:
            InputError: If one of these is invalid.
        """
        return recommend(self.pareto(), self.config, self.validation_counts, prefer, within)

    @property
    def validation_counts(self) -> list[int] | None:
        """Validation images of each class; None in a run of an earlier version."""
        return self.fact("validation")

    @property
    def best(self) -> Candidate | None:
        """The recommended candidate; None if none is recommended."""
        number = self.recommendation().id
        return None if number is None else self.candidate(number)

    def choose(self, which: int | str = RECOMMENDED) -> Candidate:
        """Return the candidate that the user names.

        Args:
            which: ``recommended``; ``best``, the one with the least validation error on the
                front; or an id.

        Raises:
            InputError: If there is none.
        """
        if not isinstance(which, str):
            return self.candidate(which)
        if which not in CHOICES:
            raise InputError(f"--candidate {suggest(which, (*CHOICES, 'an id'))}")
        found = self.recommendation()
        number = found.id if which == RECOMMENDED else found.best
        if number is None:
            raise InputError(
                f"{self.path} has no {which} candidate: {found.why}. Name one by its id: "
                "--candidate ID"
            )
        return self.candidate(number)

    def choose_all(
        self, which: Sequence[int | str] | int | str = (), pareto: bool = False
    ) -> list[Candidate]:
        """Return the candidates that the user names, each once.

        Args:
            which: See ``choose``; the recommended one if this is empty and ``pareto`` is false.
            pareto: Whether to add the whole front.

        Raises:
            InputError: If there is no such candidate, or no front.
        """
        front = self.pareto() if pareto else []
        if pareto and not front:
            raise InputError(f"{self.path} has no Pareto-optimal candidates yet")
        which = [which] if isinstance(which, str | int) else which
        named = which or ([] if pareto else [RECOMMENDED])
        chosen = [*map(self.choose, named), *front]
        return list({candidate.id: candidate for candidate in chosen}.values())

    def load_model(self, candidate: Candidate) -> Any:
        """Load a candidate's Keras model, if need be after importing the HyperModel's module.

        The module may register layers or call ``keras.config.enable_unsafe_deserialization``.

        Raises:
            InputError: See ``Candidate.load_model``.
        """
        try:
            return candidate.load_model()
        except InputError:
            if not self.config.space.import_module():
                raise
            return candidate.load_model()

    def hypervolume(self) -> float:
        """Return the hypervolume of the front; see ``HypervolumeMeter`` for its unit."""
        candidates = self.candidates()
        return HypervolumeMeter(candidates, self.config)(pareto_front(candidates, self.config))

    def fact(self, name: str) -> Any:
        """Return a recorded fact about the whole run, as JSON holds it; None if there is none."""
        with closing(Database(self.path / DATABASE)) as database:
            return database.fact(name)

    def groups(self) -> tuple[int, int]:
        """Return how many groups train, or trained last, at the same time, and their ranks."""
        split = self.fact("groups") or {"ranks": 1, "size": 1}
        return split["ranks"] // split["size"], split["size"]

    def is_searching(self) -> bool:
        """Return whether a process is searching in this run at the moment."""
        try:
            with locked(self.path, patience=0):
                return False
        except RunInUseError:
            return True
        except RunError:  # a read-only copy
            return False


def ordered_front(candidates: Iterable[Candidate], config: Config) -> list[Candidate]:
    """Return the Pareto-optimal candidates, best in the first objective first."""
    first = config.objectives[0]
    front = pareto_front(candidates, config)
    return sorted(front, key=lambda c: (first.sign * c.objectives[first.name], c.id))


def load_run(path: str | Path) -> Run:
    """Open a run directory to read it; see ``Run``."""
    return Run(path)
