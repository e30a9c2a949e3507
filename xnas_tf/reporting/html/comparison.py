"""Collects the data for a report that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config, flattened
from xnas_tf.errors import InputError
from xnas_tf.figures.axis_scale import logarithmic
from xnas_tf.figures.progress import progress_data
from xnas_tf.figures.uncertainty import too_wide_note
from xnas_tf.reporting.html.search import known_interval, objectives_data
from xnas_tf.reporting.html.summary import data_text, made_text, run_facts
from xnas_tf.reporting.status import run_status
from xnas_tf.storage.run import Run
from xnas_tf.storage.snapshot import Snapshot
from xnas_tf.strategy.hypervolume import Box, spanned_box
from xnas_tf.strategy.pareto import ended_candidates
from xnas_tf.utils.number_format import ten_digits

_EXECUTION = ("distributed", "dataset")
"""Sections of the configuration that do not affect results, or are compared separately."""


def comparison_data(
    runs: Sequence[Run], prefer: str | None = None, within: float | None = None
) -> dict[str, Any]:
    """Collect the fronts, the progress and the settings of runs with the same data and objectives.

    See ``Run.recommendation`` for ``prefer`` and ``within``.

    Raises:
        InputError: If the runs differ in data or objectives, so that their values cannot be
            compared.
    """
    _check_comparable(runs)
    first = runs[0]
    found = [run.snapshot(prefer, within) for run in runs]
    # With the fidelity of their run's front.
    compared = [candidate for each in found for candidate in each.comparable]
    box = spanned_box(compared, first.config) if compared else None
    return {
        "title": f"Comparison of {len(runs)} runs",
        "subtitle": made_text(),
        "dataset": data_text(first.config.dataset.name, first.fact("dataset") or {}),
        "objectives": objectives_data(first.config, logarithmic(compared, first.config.objectives)),
        "box": _ends(compared, first.config) if compared else [],
        "runs": [
            _run_data(run, name, each, box)
            for run, name, each in zip(runs, _names(runs), found, strict=True)
        ],
        "settings": _differing_settings(runs, found),
    }


def _check_comparable(runs: Sequence[Run]) -> None:
    """Raise an error if two runs differ in data or objectives, or are the same run."""
    first = runs[0]
    for other in runs[1:]:
        for what, value_of in (("data", _data_of), ("objectives", _objectives_of)):
            if value_of(first) != value_of(other):
                raise InputError(
                    f"{first.path} and {other.path} cannot be compared: they differ in their "
                    f"{what} ({_difference(what, first, other)}); report on each one separately"
                )
    paths = [run.path.resolve() for run in runs]
    if len(set(paths)) < len(paths):
        raise InputError("`run`: the same run is given twice")


def _data_of(run: Run) -> Any:
    """Return a value that identifies the images and labels of all splits."""
    known = run.fact("dataset")
    return known["digest"] if known else run.config.dataset.model_dump(mode="json")


def _objectives_of(run: Run) -> list[dict[str, Any]]:
    return [objective.model_dump(mode="json") for objective in run.config.objectives]


def _difference(what: str, one: Run, two: Run) -> str:
    """Return the first setting that differs, with both values."""
    key = {"data": "dataset"}.get(what, what)
    flat = [flattened(run.config.model_dump(mode="json")[key], key) for run in (one, two)]
    for name in dict.fromkeys([*flat[0], *flat[1]]):
        values = [each.get(name, "not given") for each in flat]
        if values[0] != values[1]:
            return f"{name}: {values[0]} and {values[1]}"
    return "the images or labels have changed"


def _differing_settings(runs: Sequence[Run], found: Sequence[Snapshot]) -> list[list[Any]]:
    """Return each setting that differs between runs, with its values as text.

    The code of the user, the versions of packages and the number of ranks that train a candidate,
    on all of which values depend, count as settings.
    """
    flats = [_settings(run, each.candidates) for run, each in zip(runs, found, strict=True)]
    names = dict.fromkeys(name for flat in flats for name in flat)
    rows = [[name, *(str(flat.get(name, "–")) for flat in flats)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def _settings(run: Run, candidates: Sequence[Candidate]) -> dict[str, Any]:
    settings = flattened(run.config.model_dump(mode="json", exclude=set(_EXECUTION)))
    code = {f"hash of {name}": value[:8] for name, value in (run.fact("code") or {}).items()}
    own = (c.versions for c in reversed(ended_candidates(candidates)) if not c.reused_from)
    versions = {f"version of {name}": value for name, value in next(own, {}).items()}
    return {**settings, **code, **versions, "ranks per candidate": run.groups()[1]}


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the name of each run's folder, or its path if two folders have the same name."""
    names = [run.path.resolve().name for run in runs]
    return [
        name if names.count(name) == 1 else str(run.path)
        for run, name in zip(runs, names, strict=True)
    ]


def _ends(candidates: Sequence[Candidate], config: Config) -> list[list[Any]]:
    """Return each objective's heading, worst value and best value."""
    values = [[o.sign * c.objectives[o.name] for c in candidates] for o in config.objectives]
    return [
        [o.heading, o.sign * max(row), o.sign * min(row)]
        for o, row in zip(config.objectives, values, strict=True)
    ]


def _run_data(run: Run, name: str, found: Snapshot, box: Box | None) -> dict[str, Any]:
    images, front = sum(run.validation_counts or ()), found.front
    objectives = run.config.objectives
    return {
        "name": name,
        "facts": dict(run_facts(run, found, run_status(run, found))),
        "front": [[ten_digits(c.objectives[o.name]) for o in objectives] for c in front],
        "intervals": [[known_interval(c, o, images) for o in objectives] for c in front],
        "interval_note": too_wide_note(front, objectives),
        "ids": [c.id for c in front],
        "recommended": {"id": found.recommended.id, "why": found.recommended.why},
        "progress": progress_data(found.candidates, run.config, box),
    }
