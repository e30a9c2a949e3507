"""What a report shows of the search itself, as plain data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.reporting.collapses import collapse_text
from xnas_tf.reporting.html.importance import hyperparameters
from xnas_tf.reporting.utilisation import timeline, utilisation
from xnas_tf.spaces.cells import EDGES
from xnas_tf.storage.columns import Column, measured_columns
from xnas_tf.storage.run import Run, ended_candidates
from xnas_tf.strategy.pareto import Front, HypervolumeMeter
from xnas_tf.strategy.recommendation import Recommendation

_MAX_CHANGES = 200
"""Maximum number of changes of the front at which its hypervolume is computed, which is slow with
five objectives and hundreds of points."""
_LOST = ("failed", "infeasible", "duplicate")


def search_data(
    run: Run,
    candidates: Sequence[Candidate],
    front: Sequence[Candidate],
    recommended: Recommendation,
) -> dict[str, Any]:
    """Collect the data of all sections about the search; the front is sorted, the best first."""
    config = run.config
    return {
        "objectives": [{"name": o.name, "direction": o.direction} for o in config.objectives],
        "measured": [column.title for column in _others(config)],
        "collapses": collapse_text(candidates, config),
        "candidates": candidates_data(candidates, config),
        "hyperparameters": [asdict(column) for column in hyperparameters(candidates)],
        "cell": dict(EDGES) if config.space.name == "nas_bench_201" else None,
        "front": [candidate.id for candidate in front],
        "epochs": front[0].epochs if front else 0,
        "recommended": {"id": recommended.id, "why": recommended.why},
        "progress": progress_data(candidates, config),
        "lost": lost_data(candidates),
        "groups": {
            "busy": [{"group": g, "share": s} for g, s in utilisation(candidates).items()],
            "bars": [[*bar[:3], *map(_short, bar[3:])] for bar in timeline(candidates)],
        },
    }


def candidates_data(candidates: Sequence[Candidate], config: Config) -> dict[str, list[Any]]:
    """Return all candidates by column, which takes a third of the space of records."""
    names = ("id", "genotype", "state", "generation", "epochs", "parents", "reason", "collapsed")
    return {
        **{name: [getattr(candidate, name) for candidate in candidates] for name in names},
        "violations": [candidate.violations(config.constraints) for candidate in candidates],
        "test": [candidate.metrics.get("test_accuracy") for candidate in candidates],
        "objectives": [
            [_short(candidate.objectives.get(o.name)) for candidate in candidates]
            for o in config.objectives
        ],
        "measured": [
            [_short(column.value(candidate)) for candidate in candidates]
            for column in _others(config)
        ],
    }


def _others(config: Config) -> list[Column]:
    """Return the measured columns that are not objectives."""
    return [column for column in measured_columns(config) if not column.is_objective]


class _Change(NamedTuple):
    """The fronts after a number of trainings; that of the hypervolume once its unit is known."""

    trained: int
    hours: float | None
    front: Sequence[Candidate]
    measured: Sequence[Candidate] | None


def progress_data(candidates: Iterable[Candidate], config: Config) -> dict[str, list[Any]]:
    """Compute the hypervolume and the best objective values of the front wherever it changed.

    Returns:
        The hypervolumes, which are those that the search itself logged (None until their unit is
        known), and the best values by objective, with the number of trainings and the hours since
        the first started.
    """
    ended = ended_candidates(candidates)
    meter = HypervolumeMeter([], config)
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
        "hours": [_short(change.hours) for change in shown],
        "hypervolume": [_short(meter(c.measured)) if c.measured else None for c in shown],
        "best": [
            [_short(o.sign * min(o.sign * c.objectives[o.name] for c in m.front)) for m in shown]
            for o in config.objectives
        ],
    }


def lost_data(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    """Group the candidates without a result by state and reason, the most frequent first.

    Reasons that differ only in numbers count as one; the first is quoted.
    """
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for candidate in candidates:
        if candidate.state in _LOST:
            key = candidate.state, re.sub(r"\d[\d.,e+-]*", "#", candidate.reason)
            kind = {"state": candidate.state, "reason": candidate.reason, "ids": []}
            kinds.setdefault(key, kind)["ids"].append(candidate.id)
    return sorted(kinds.values(), key=lambda kind: (_LOST.index(kind["state"]), -len(kind["ids"])))


def _hours(begin: str, end: str) -> float | None:
    if not (begin and end):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600


def _short(value: float | None) -> float | None:
    """Round to six digits, more than a picture or a table shows."""
    return None if value is None else float(f"{value:.6g}")
