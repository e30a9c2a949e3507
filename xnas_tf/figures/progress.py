"""How the front of a run improved, as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.strategy.pareto import Front, HypervolumeMeter
from xnas_tf.utils.number_format import six_digits

_MAX_CHANGES = 200
"""Maximum number of changes of the front at which its hypervolume is computed, which is slow with
five objectives and hundreds of points."""


def progress_data(candidates: Iterable[Candidate], config: Config) -> dict[str, list[Any]]:
    """Compute the hypervolume and the best objective values of the front wherever it changed.

    Returns:
        The hypervolumes, in the unit of the whole run, and the best values by objective, with the
        number of trainings and the hours since the first started.
    """
    ended = sorted((c for c in candidates if c.finish_order), key=lambda c: c.finish_order)
    meter = HypervolumeMeter(ended, config)
    begin = min((c.started for c in ended if c.started), default="")
    front, trained, changes = Front(config), 0, []
    for candidate in ended:
        trained += candidate.trained
        if front.add(candidate) or candidate is ended[-1]:
            changes.append((trained, _hours(begin, candidate.finished), front.candidates))
    step = math.ceil(len(changes) / _MAX_CHANGES) or 1
    shown = [change for change in changes[::-1][::step][::-1] if change[2]]
    return {
        "trainings": [count for count, _, _ in shown],
        "hours": [six_digits(hours) for _, hours, _ in shown],
        "hypervolume": [six_digits(meter(members)) for _, _, members in shown],
        "best": [
            [
                six_digits(o.sign * min(o.sign * c.objectives[o.name] for c in m))
                for _, _, m in shown
            ]
            for o in config.objectives
        ],
    }


def _hours(begin: str, end: str) -> float | None:
    if not (begin and end):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600
