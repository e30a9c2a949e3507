"""Collects data on how a run's Pareto front improved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.strategy.hypervolume import Box, HypervolumeMeter
from xnas_tf.strategy.pareto import Front, ended_candidates
from xnas_tf.utils.number_format import ten_digits

_MAX_CHANGES = 200
"""Maximum number of changes of the front for which to compute the hypervolume. Computing it is slow
with five objectives and hundreds of points."""


class _Change(NamedTuple):
    """A change of the front, and the candidates to measure once the hypervolume's unit is known."""

    trained: int
    hours: float | None
    front: Sequence[Candidate]
    measured: Sequence[Candidate] | None


def progress_data(
    candidates: Iterable[Candidate], config: Config, box: Box | None = None
) -> dict[str, list[Any]]:
    """Compute the front's hypervolume and best objective values after each change.

    ``box`` is the unit of the hypervolume, if not the run's own unit.

    Returns:
        The hypervolumes, as logged by the search itself (None until their unit is known), and the
        best values of each objective, (objectives, changes). Each change comes with the number of
        candidates trained and the hours since the first candidate started training.
    """
    ended = ended_candidates(candidates)
    meter = HypervolumeMeter([], config, box)
    begin = min((c.started for c in ended if c.started), default="")
    front, exact, trained = Front(config), Front(config, is_exact=True), 0
    changes: list[_Change] = []
    for candidate in ended:
        trained += candidate.trained
        has_changed = front.add(candidate) | exact.add(candidate) | meter.update(candidate)
        if has_changed or candidate is ended[-1]:
            hours = _hours(begin, candidate.finished)
            measured = exact.candidates if meter.has_unit else None
            changes.append(_Change(trained, hours, front.candidates, measured))
    step = math.ceil(len(changes) / _MAX_CHANGES) or 1
    shown = [change for change in changes[::-1][::step][::-1] if change.front]
    return {
        "trainings": [change.trained for change in shown],
        "hours": [ten_digits(change.hours) for change in shown],
        "hypervolume": [ten_digits(meter(c.measured)) if c.measured else None for c in shown],
        "best": [
            [
                ten_digits(o.sign * min(o.sign * c.objectives[o.name] for c in m.front))
                for m in shown
            ]
            for o in config.objectives
        ],
    }


def _hours(begin: str, end: str) -> float | None:
    if not (begin and end):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600
