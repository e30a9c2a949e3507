"""Reads a run directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.candidate import CHOICES, RECOMMENDED, Candidate
from xnas_tf.config import Config, differences
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.given_values import check_several, stored_images
from xnas_tf.data.new_files import image_paths, is_deep, read_files
from xnas_tf.data.value_scaling import LEVELS, Scaling
from xnas_tf.errors import InputError, RunError, RunInUseError, suggest
from xnas_tf.evaluation.collapse_summary import collapse_text
from xnas_tf.interpretation.drawing import set_title
from xnas_tf.interpretation.weak_classes import accuracy_gap_text, weak_classes_text
from xnas_tf.storage.columns import candidate_rows, measured_columns
from xnas_tf.storage.database import Database
from xnas_tf.storage.run_directory import CONFIG, DATABASE, locked, model_path, run_config
from xnas_tf.storage.tested_models import candidate_name, figures_fact
from xnas_tf.strategy.hypervolume import HypervolumeMeter
from xnas_tf.strategy.pareto import ended_candidates, pareto_front
from xnas_tf.strategy.recommendation import Recommendation, recommend
from xnas_tf.utils.argument_types import NUMBER, PATH, check_types
from xnas_tf.utils.markup import page_html, short_repr, table_html
from xnas_tf.utils.number_format import counted, format_value, shortened

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

    def __getitem__(self, number: int) -> Candidate:
        return self.candidate(number)

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
        known = self.fact(figures_fact(candidate_name(number))) if number is not None else None
        if not known:
            return ""
        assert number is not None  # or nothing would be known
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
            InputError: If there is none.
        """
        if not isinstance(which, str):
            return self.candidate(which.id if isinstance(which, Candidate) else which)
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
            which: See ``choose``; if empty and ``pareto`` is false, the recommended candidate is
                chosen.
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
        """Return how many candidates collapsed, and the likely cause; empty if none did.

        Args:
            candidates: This run's candidates, if they have been read already.
        """
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
        """Load the data set that the search used.

        Args:
            log: Called with a message before work that takes a while.

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
        """Say how the images, labels, classes or splits have changed since the search.

        Args:
            dataset: The data set that the search used, loaded again.

        Returns:
            A message; empty if nothing has changed.
        """
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
        if files := image_paths(images):
            return self._read(files)
        options = self.config.dataset
        sides = [options.size] * 2 if isinstance(options.size, int) else options.size
        size = (sides[0], sides[1]) if sides else None
        known = (self.fact("dataset") or {}).get("image_shape", ())
        check_several(images, known)
        found = stored_images(images, self.value_range, size, options.channels)
        shape = tuple(known or found.shape[1:])
        if found.shape[1:] != shape:
            raise InputError(
                f"`images` have shape {found.shape[1:]} each; those of {self.path} are {shape}"
            )
        return found

    def _read(self, files: Sequence[Path]) -> np.ndarray:
        """Read image files as ``load_dataset`` does, (N, H, W, C), as uint8."""
        low, high = self.value_range
        if not Scaling(low, high).is_usual:
            raise InputError(
                f"`images` are files, but {self.path} searched arrays with values from {low:.6g} "
                f"to {high:.6g}; allowed: arrays with values on this scale"
            )
        known: dict[str, Any] = self.fact("dataset") or self.load_dataset().facts
        height, width, channels = known["image_shape"]
        if channels not in (1, 3):
            raise InputError(
                f"`images` are files, but the images of {self.path} have {channels} channels; "
                "allowed: arrays of such images"
            )
        # Only the scale of images with more than 8 bits depends on the data set.
        scales = self.load_dataset().findings.full_scales if any(map(is_deep, files)) else None
        return np.stack(read_files(files, (height, width), channels, scales))

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table of all candidates in any state, by id.

        Objectives and metrics are in columns of the same name, hyperparameters in
        ``hyperparameters/NAME`` columns, and the seconds of each phase in ``seconds/PHASE``
        columns. The ``pareto`` and ``recommended`` columns mark the Pareto-optimal candidates and
        the recommended one. Values that do not apply to a candidate are missing.

        Raises:
            InputError: If pandas is not installed.
        """
        try:
            import pandas  # noqa: PLC0415 - heavy
        except ImportError as error:
            raise InputError(
                f"to_dataframe needs pandas, which cannot be imported ({error}): pip install pandas"
            ) from error
        candidates, front, recommended = self._snapshot()
        ids = {candidate.id for candidate in front}
        columns, rows = candidate_rows(candidates, self.config, ids, recommended.id)
        return pandas.DataFrame(rows, columns=columns)

    @check_types(within=NUMBER)
    def plot_front(self, prefer: str | None = None, within: float | None = None) -> Figure:
        """Plot the front, with a panel for each pair of objectives.

        Bars are 95% intervals. For the error, these intervals are computed from the number of
        validation images; for other objectives, from the recorded standard error. See
        ``recommendation`` for the arguments.

        Raises:
            InputError: If no candidate is Pareto-optimal yet, or an argument is invalid.
        """
        from xnas_tf.figures.front_figure import front_figure, front_info  # noqa: PLC0415 - heavy

        candidates, front, recommended = self._snapshot(prefer, within)
        self._check_drawable(front)
        images = sum(self.validation_counts or ())
        figure = front_figure(front_info(candidates, front, self.config, recommended.id, images))
        return self._titled(
            figure, f"Pareto front: {len(front)} of {counted(len(candidates), 'candidate')}"
        )

    def plot_history(self) -> Figure:
        """Plot how the objectives and the hypervolume improved as more candidates were trained.

        The hypervolume is known from generation 1 on, or from the start with ``search.reference``.
        The hypervolume is not drawn if there is only one objective.

        Raises:
            InputError: If no candidate is Pareto-optimal yet.
        """
        from xnas_tf.figures.history_figure import (  # noqa: PLC0415 - heavy
            history_figure,
            history_info,
        )

        candidates, front, _ = self._snapshot()
        self._check_drawable(front)
        return self._titled(history_figure(history_info(candidates, self.config)), "History")

    def plot_importance(self) -> Figure:
        """Plot how much each objective depends on each hyperparameter, with 90% intervals.

        Random forests learn to predict the objectives from the hyperparameters; see
        docs/how-to/report.md.

        Raises:
            InputError: If there are too few candidates to learn from.
        """
        from xnas_tf.figures.importance import importance_data  # noqa: PLC0415 - heavy
        from xnas_tf.figures.importance_figure import importance_figure  # noqa: PLC0415 - heavy

        candidates, front, _ = self._snapshot()
        comparable = comparable_candidates(candidates, front)
        influence = importance_data(comparable, self.config, np.random.default_rng(0))
        if influence["why_not"]:
            raise InputError(f"{self.path}: {influence['why_not']}")
        title = f"Importance of hyperparameters, from {influence['candidates']} candidates"
        return self._titled(importance_figure(influence, self.config), title)

    def plot_parallel(self) -> Figure:
        """Plot the candidates as lines through their hyperparameters and objectives.

        Raises:
            InputError: If no candidate is Pareto-optimal yet.
        """
        from xnas_tf.figures.parallel_figure import parallel_figure  # noqa: PLC0415 - heavy

        candidates, front, recommended = self._snapshot()
        self._check_drawable(front)
        comparable = comparable_candidates(candidates, front)
        figure = parallel_figure(comparable, front, self.config, recommended.id)
        return self._titled(figure, f"{counted(len(comparable), 'candidate')}, better values up")

    def _repr_html_(self) -> str:
        candidates, front, recommended = self._snapshot()
        columns = measured_columns(self.config)
        remarks = ["collapsed" if each.collapsed else "" for each in front]
        shown = ["remark"] if any(remarks) else []
        rows = [
            [
                each.id,
                *(format_value(c.value(each)) for c in columns),
                *([remark] if shown else []),
                shortened(each.genotype),
            ]
            for each, remark in zip(front, remarks, strict=True)
        ]
        ids = [candidate.id for candidate in front]
        marked = ids.index(recommended.id) if recommended.id in ids else None
        images = (self.fact("dataset") or {}).get("images", {})
        parts = ", ".join(f"{count:,} {name}" for name, count in images.items())
        trained = sum(candidate.trained for candidate in candidates)
        facts = {
            "data": f"{self.config.dataset.name}{f' ({parts} images)' if parts else ''}",
            "budget": f"{trained} of {counted(self.config.search.candidates, 'training')}, "
            f"each of at most {counted(self.config.training.epochs, 'epoch')}",
            "front": f"{len(front)} of {counted(len(candidates), 'candidate')}",
            "collapsed": self.collapse_text(candidates),
            "recommended": recommended.text,
        }
        headings = ["id", *(column.title for column in columns), *shown, "genotype"]
        return page_html(f"Run {self.path}", facts, table_html(headings, rows, marked))

    def _snapshot(
        self, prefer: str | None = None, within: float | None = None
    ) -> tuple[list[Candidate], list[Candidate], Recommendation]:
        """Return all candidates, the front and the recommendation, based on a single read."""
        candidates = self.candidates()
        front = ordered_front(candidates, self.config)
        return candidates, front, self.recommended_of(front, prefer, within)

    def _check_drawable(self, front: Sequence[Candidate]) -> None:
        if not front:
            raise InputError(f"{self.path} has no Pareto-optimal candidates to draw yet")

    def _titled(self, figure: Figure, title: str) -> Figure:
        set_title(figure, f"{title} ({self.path.resolve().name})")
        return figure

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
        try:
            with locked(self.path, patience=0):
                return False
        except RunInUseError:
            return True
        except RunError:  # a read-only copy
            return False


def ordered_front(candidates: Iterable[Candidate], config: Config) -> list[Candidate]:
    """Return the Pareto-optimal candidates, sorted by the first objective, best first."""
    first = config.objectives[0]
    front = pareto_front(candidates, config)
    return sorted(front, key=lambda c: (first.sign * c.objectives[first.name], c.id))


def named_candidates(
    which: Iterable[int | str | Candidate] | int | str | Candidate,
) -> list[int | str | Candidate]:
    """Return one or more candidate names as a list; ids may come from a data frame.

    Raises:
        InputError: If a name has an unsupported type.
    """
    if isinstance(which, str | Integral | Candidate):
        return [which]
    if not isinstance(which, Iterable):
        raise InputError(
            f"`candidates` is of type {type(which).__name__}; allowed: an id, recommended, best, a "
            "Candidate, or several of these"
        )
    return list(which)


def comparable_candidates(
    candidates: Iterable[Candidate], front: Sequence[Candidate]
) -> list[Candidate]:
    """Return the finished candidates that have the same fidelity as the front.

    If there is no front because all candidates violate constraints, the highest fidelity is used.
    """
    done = [candidate for candidate in candidates if candidate.state == "done"]
    epochs = max((candidate.epochs for candidate in front or done), default=0)
    return [candidate for candidate in done if candidate.epochs == epochs]


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
        InputError: If there has been no search yet.
    """
    if isinstance(given, Run) or not isinstance(getattr(type(given), "run", None), property):
        return given
    return given.run
