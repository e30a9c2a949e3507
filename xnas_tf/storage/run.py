"""Reads a run directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.candidate import CHOICES, RECOMMENDED, Candidate, named_candidates
from xnas_tf.config import differences
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.given_images import check_several, image_paths, is_deep, read_files, stored_images
from xnas_tf.data.value_scaling import LEVELS
from xnas_tf.errors import InputError, suggest
from xnas_tf.evaluation.collapse import collapse_text
from xnas_tf.interpretation.accuracy_text import accuracy_gap_text, weak_classes_text
from xnas_tf.storage.database import Database
from xnas_tf.storage.new_images import check_files_fit
from xnas_tf.storage.run_directory import CONFIG, DATABASE, is_locked, model_path, run_config
from xnas_tf.storage.snapshot import Snapshot
from xnas_tf.storage.tested_models import candidate_name, figures_fact
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import ended_candidates, ordered_front, pareto_front
from xnas_tf.strategy.recommendation import Recommendation, recommend
from xnas_tf.utils.argument_types import NUMBER, PATH, check_types
from xnas_tf.utils.markup import short_repr

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Run:
    """A run directory: its configuration and its candidates.

    ``run[4]`` is the candidate with id 4, ``len(run)`` is the number of candidates in any state,
    and ``for candidate in run`` iterates over them by id. Plots are Matplotlib figures that
    notebooks display; ``figure.savefig("front.png")`` writes one to a file.

    Raises:
        InputError: If the path is not a run directory.
    """

    @check_types(path=PATH)
    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        missing = [n for n in (CONFIG, DATABASE) if not (self.path / n).is_file()]
        if missing:
            what = "has no" if self.path.is_dir() else "does not exist, so it has no"
            near = sorted(str(p.parent) for p in Path("runs").glob(f"*/{DATABASE}"))
            hint = f"; runs here: {', '.join(near[:10])}" if near else ""
            raise InputError(f"{self.path} is not a run: it {what} {' and '.join(missing)}{hint}")
        self.config = run_config(self.path)

    def __repr__(self) -> str:
        return short_repr(self, path=self.path)

    def __len__(self) -> int:
        return len(self.candidates())

    def __bool__(self) -> bool:
        return True  # even without candidates

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates())

    def __contains__(self, which: int | Candidate) -> bool:
        number = which.id if isinstance(which, Candidate) else which
        return any(candidate.id == number for candidate in self)

    def candidates(self) -> list[Candidate]:
        """Return all candidates, whatever their state, sorted by id."""
        with closing(Database(self.path / DATABASE)) as database:
            candidates = database.candidates()
        return [self.located(candidate) for candidate in candidates]

    def located(self, candidate: Candidate) -> Candidate:
        """Return a candidate of this run, with its model's file and module."""
        path = model_path(self.path, candidate.id)
        candidate.model_path = path if path.is_file() else None
        candidate.module = self.config.space.hypermodel_module
        return candidate

    def candidate(self, number: int) -> Candidate:
        """Return the candidate with the given id.

        Raises:
            InputError: If there is none.
        """
        everyone = self.candidates()
        for candidate in everyone:
            if candidate.id == number:
                return candidate
        allowed = f"1 to {everyone[-1].id}" if everyone else "none yet"
        raise InputError(f"{self.path} has no candidate {number!r}; allowed: {allowed}")

    __getitem__ = candidate

    def pareto(self) -> list[Candidate]:
        """Return the Pareto-optimal candidates, sorted by the first objective, best first."""
        return ordered_front(self.candidates(), self.config)

    @check_types(within=NUMBER)
    def recommendation(
        self, prefer: str | None = None, within: float | None = None
    ) -> Recommendation:
        """Return the recommended Pareto-optimal candidate, and the reason.

        Args:
            prefer: Criterion that replaces the default rule, namely ``error``, the name of an
                objective, or ``knee``.
            within: Tolerance above the best error in percentage points, instead of the default.

        Raises:
            InputError: If an argument is invalid.
        """
        return self.recommended_of(self.pareto(), prefer, within)

    def recommended_of(
        self, front: Sequence[Candidate], prefer: str | None = None, within: float | None = None
    ) -> Recommendation:
        """Return the recommended candidate of one of this run's fronts; see ``recommendation``."""
        counts, own = self.validation_counts, bool(self.fact("own_optimizer"))
        problem = self.fact("range_problem") or ""
        found = recommend(front, self.config, counts, prefer, within, own, problem)
        return replace(found, on_test=self._on_test(found.id))

    def _on_test(self, number: int | None) -> str:
        """Say what is noticeable about a candidate on the test split, if it has been tested."""
        if number is None or not (known := self.fact(figures_fact(candidate_name(number)))):
            return ""
        confusion, images = known["figures"]["confusion"], sum(self.validation_counts or ())
        gap = accuracy_gap_text(confusion, self[number].metrics.get("val_accuracy"), images)
        return " ".join(filter(None, [gap, weak_classes_text(confusion, self.class_names)]))

    @property
    def validation_counts(self) -> list[int] | None:
        """Number of validation images of each class; None in runs of earlier versions."""
        return self.fact("validation")

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, where ``class_names[n]`` is the name of class ``n``."""
        return list((self.fact("dataset") or {}).get("class_names", ()))

    @property
    def best(self) -> Candidate | None:
        """The recommended candidate; None if none is recommended."""
        number = self.recommendation().id
        return None if number is None else self.candidate(number)

    def choose(self, which: int | str | Candidate = RECOMMENDED) -> Candidate:
        """Return the candidate named by the user.

        Args:
            which: ``recommended``; ``best``, the candidate with the lowest validation error on
                the front; an id; or a candidate.

        Raises:
            InputError: If there is none, or the candidate is not from this run.
        """
        if isinstance(which, Candidate):
            own = self.candidate(which.id)
            # Runs with the same seed begin with the same architectures.
            is_other = which.finished and which.finished != own.finished
            if is_other or own.genotype != which.genotype:
                raise InputError(f"`candidate` {which.id} is from another run than {self.path}")
            return own
        if not isinstance(which, str):
            return self.candidate(which)
        if which not in CHOICES:
            raise InputError(f"`candidate` {suggest(which, (*CHOICES, 'an id'))}")
        found = self.recommendation()
        number = found.id if which == RECOMMENDED else found.best
        if number is None:
            raise InputError(
                f"{self.path} has no {which} candidate: {found.why}. Name one by its id: "
                "`candidate` ID"
            )
        return self.candidate(number)

    def choose_all(
        self,
        which: Sequence[int | str | Candidate] | int | str | Candidate = (),
        pareto: bool = False,
    ) -> list[Candidate]:
        """Return the candidates named by the user, without duplicates.

        Args:
            which: See ``choose``; if empty and ``pareto`` is false, the recommended candidate.
            pareto: Whether to include the whole front.

        Raises:
            InputError: If a candidate does not exist, or there is no front.
        """
        front = self.pareto() if pareto else []
        if pareto and not front:
            raise InputError(f"{self.path} has no Pareto-optimal candidates yet")
        named = named_candidates(which) or ([] if pareto else [RECOMMENDED])
        chosen = [*map(self.choose, named), *front]
        return list({candidate.id: candidate for candidate in chosen}.values())

    def collapse_text(self, candidates: Sequence[Candidate] | None = None) -> str:
        """Return how many candidates (by default, all) collapsed and why; empty if none did."""
        return collapse_text(
            self.candidates() if candidates is None else candidates,
            self.config,
            bool(self.fact("own_optimizer")),
            self.fact("range_problem") or "",
            self.fact("norm_momentum"),
        )

    def hypervolume(self) -> float | None:
        """Return the hypervolume of the candidates; see ``HypervolumeMeter`` for its unit.

        The hypervolume is None until generation 0 is complete, unless ``search.reference`` is
        given.
        """
        ended = ended_candidates(self.candidates())
        front = pareto_front(ended, self.config, is_exact=True)
        return HypervolumeMeter(ended, self.config)(front)

    def load_dataset(self, log: Callable[[str], None] = lambda _: None) -> Dataset:
        """Load the data set that the search used; ``log`` is called before work that takes a while.

        Raises:
            InputError: If the data set no longer exists, or has changed since the search.
        """
        dataset = load_dataset(**self.config.dataset.model_dump(), log=log)
        if changes := self.changes_of(dataset):
            raise InputError(
                f"{changes}\nImages that the search used for training may now be test images. To "
                f"use the data as they are now, give `dataset` {dataset.name}"
            )
        return dataset

    def changes_of(self, dataset: Dataset) -> str:
        """Say how images, labels, classes or splits have changed since the search; empty if not."""
        facts = dataset.facts
        lines = differences(self.fact("dataset") or facts, facts, "in the search, now")
        listed = "\n  ".join(lines)
        return f"the data of {self.path} have changed since the search:\n  {listed}" * bool(lines)

    @property
    def value_range(self) -> tuple[float, float]:
        """The values of the data set's arrays that models receive as 0 and 1.

        Raises:
            InputError: If an earlier version did not record the range, and the data set no longer
                exists.
        """
        if known := self.fact("value_range"):
            return known[0], known[1]
        scaling = self.load_dataset().scaling
        return scaling.low, scaling.high

    def prepare(self, images: np.ndarray | str | Path | Sequence[str | Path]) -> np.ndarray:
        """Convert images with the data set's own values to the values that the models expect.

        Models were trained on values from 0 to 1 with 256 levels, regardless of the arrays' values,
        so call ``model.predict(run.prepare(x))``.

        Args:
            images: (N, H, W) or (N, H, W, C), with values on the same scale as the arrays that
                were searched; or uint8 images, such as ``run.load_dataset().test.images[:8]``; or
                one or several image files, which are read as the search reads image files.

        Returns:
            Images, (N, H, W, C), as float32 in [0, 1]. Values outside ``value_range`` are clipped,
            with a warning.

        Raises:
            InputError: If the images differ in shape from this run's images, their values are on a
                different scale, or a file cannot be read.
        """
        stored = self.stored_images(images)
        return stored.astype(np.float32) / np.float32(LEVELS)

    def stored_images(self, images: np.ndarray | str | Path | Sequence[str | Path]) -> np.ndarray:
        """Convert images as ``prepare`` does, but return the levels, as uint8."""
        facts: dict[str, Any] = self.fact("dataset") or self.load_dataset().facts
        height, width, channels = facts["image_shape"]
        shape = (height, width, channels)
        files = image_paths(images)
        return self._read_files(files, shape) if files else self._convert_arrays(images, shape)

    def _read_files(self, files: Sequence[Path], shape: tuple[int, int, int]) -> np.ndarray:
        check_files_fit(shape[2], self.value_range, str(self.path))
        # Only the scale of images with more than 8 bits depends on the data set.
        is_any_deep = any(map(is_deep, files))
        scales = self.load_dataset().findings.full_scales if is_any_deep else None
        return np.stack(read_files(files, shape[:2], shape[2], scales))

    def _convert_arrays(self, images: Any, shape: tuple[int, int, int]) -> np.ndarray:
        check_several(images, shape)
        options = self.config.dataset
        size = shape[:2] if options.size else None
        found = stored_images(images, self.value_range, size, options.channels)
        if found.shape[1:] != shape:
            raise InputError(
                f"`images` have shape {found.shape[1:]} each; those of {self.path} are {shape}"
            )
        return found

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table of all candidates in any state, by id.

        Objectives and metrics are in columns of the same name, hyperparameters in
        ``hyperparameters/NAME`` columns, and the seconds of each phase in ``seconds/PHASE``
        columns. The ``pareto`` and ``recommended`` columns mark the Pareto-optimal candidates and
        the recommended one. Values that do not apply to a candidate are missing.

        Raises:
            InputError: If pandas is not installed.
        """
        return self.snapshot().data_frame()

    @check_types(within=NUMBER)
    def plot_front(self, prefer: str | None = None, within: float | None = None) -> Figure:
        """Plot the front, with a panel for each pair of objectives.

        Bars are 95% intervals. For the error, these intervals are computed from the number of
        validation images; for other objectives, from the recorded standard error. See
        ``recommendation`` for the arguments.

        Raises:
            InputError: If no candidate is Pareto-optimal yet, or an argument is invalid.
        """
        images = sum(self.validation_counts or ())
        return self.snapshot(prefer, within).front_figure(images)

    def plot_history(self) -> Figure:
        """Plot how the objectives and the hypervolume improved as more candidates were trained.

        The hypervolume is known from generation 1 on, or from the start with ``search.reference``.
        The hypervolume is not drawn if there is only one objective.

        Raises:
            InputError: If no candidate is Pareto-optimal yet.
        """
        return self.snapshot().history_figure()

    def plot_importance(self) -> Figure:
        """Plot how much each objective depends on each hyperparameter, with 90% intervals.

        Random forests learn to predict the objectives from the hyperparameters; see
        docs/how-to/report.md.

        Raises:
            InputError: If there are too few candidates to learn from.
        """
        return self.snapshot().importance_figure()

    def plot_parallel(self) -> Figure:
        """Plot the candidates as lines through their hyperparameters and objectives.

        Raises:
            InputError: If no candidate is Pareto-optimal yet.
        """
        return self.snapshot().parallel_figure()

    def _repr_html_(self) -> str:
        shown, images = self.snapshot(), (self.fact("dataset") or {}).get("images", {})
        return shown.html(images, self.collapse_text(shown.candidates))

    def snapshot(self, prefer: str | None = None, within: float | None = None) -> Snapshot:
        """Return the run as it is now, for this package's reports.

        See ``recommendation`` for the arguments and errors.
        """
        candidates = self.candidates()
        front = ordered_front(candidates, self.config)
        recommended = self.recommended_of(front, prefer, within)
        return Snapshot(self.path, self.config, candidates, front, recommended)

    def fact(self, name: str) -> Any:
        """Return a recorded fact about the whole run, as a JSON value; None if there is none."""
        with closing(Database(self.path / DATABASE)) as database:
            return database.fact(name)

    def groups(self) -> tuple[int, int]:
        """Return how many groups train (or last trained) in parallel, and on how many ranks."""
        split = self.fact("groups") or {"ranks": 1, "size": 1}
        return split["ranks"] // split["size"], split["size"]

    def is_searching(self) -> bool:
        """Return whether a process is currently searching in this run."""
        return is_locked(self.path)


@check_types()
def load_run(path: str | Path | Run) -> Run:
    """Open a run directory to read it; see ``Run``.

    A ``Run`` is returned unchanged; for a Tuner, its run is returned.

    Raises:
        InputError: If the path is not a run directory.
    """
    path = run_of(path)
    if isinstance(path, Run):
        return path
    if not isinstance(path, str | os.PathLike):
        hint = (
            "; name a candidate with its run, as in (run, 4)" if isinstance(path, Candidate) else ""
        )
        raise InputError(f"`run` is of type {type(path).__name__}; allowed: a path, a Run{hint}")
    return Run(path)


def run_of(given: Any) -> Any:
    """Return the run of a Tuner, and anything else unchanged.

    Raises:
        InputError: If the Tuner has not searched yet.
    """
    if isinstance(given, Run) or not isinstance(getattr(type(given), "run", None), property):
        return given
    return given.run
