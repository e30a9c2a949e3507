"""What a report says of the search itself, as plain data for the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.reporting.collapses import collapse_text
from xnas_tf.reporting.html.hyperparameters import hyperparameters
from xnas_tf.reporting.utilisation import timeline, utilisation
from xnas_tf.spaces.cells import EDGES
from xnas_tf.storage.columns import Column, measured_columns
from xnas_tf.storage.run import Run
from xnas_tf.strategy.pareto import Front, HypervolumeMeter
from xnas_tf.strategy.recommendation import Recommendation

INSTANTS = 200
"""Changes of the front at which its hypervolume is measured, at most: with five objectives and
hundreds of points on the front each takes long."""
LOST = ("failed", "infeasible", "duplicate")


def search_data(
    run: Run,
    everyone: Sequence[Candidate],
    front: Sequence[Candidate],
    recommended: Recommendation,
) -> dict:
    """All that the sections about the search show.

    Args:
        run: The run.
        everyone: All its candidates.
        front: The Pareto-optimal ones, best in the first objective first.
        recommended: Which of them is recommended, and why.
    """
    config = run.config
    return {
        "objectives": [{"name": o.name, "direction": o.direction} for o in config.objectives],
        "measured": [column.title for column in _others(config)],
        "collapses": collapse_text(everyone, config),
        "candidates": candidates_data(everyone, config),
        "hyperparameters": [asdict(column) for column in hyperparameters(everyone)],
        "cell": dict(EDGES) if config.space.name == "nas_bench_201" else None,
        "front": [candidate.id for candidate in front],
        "epochs": front[0].epochs if front else 0,
        "recommended": {"id": recommended.id, "why": recommended.why},
        "progress": progress_data(everyone, config),
        "lost": lost_data(everyone),
        "groups": groups_data(everyone),
    }


def candidates_data(everyone: Sequence[Candidate], config: Config) -> dict[str, list]:
    """Every candidate, a column an attribute: a third of the size of a record each."""
    return {
        **{
            name: [getattr(candidate, name) for candidate in everyone]
            for name in ("id", "genotype", "state", "generation", "epochs", "parents", "reason")
        },
        "collapsed": [candidate.collapsed for candidate in everyone],
        "test": [candidate.metrics.get("test_accuracy") for candidate in everyone],
        "objectives": [
            [_short(candidate.objectives.get(o.name)) for candidate in everyone]
            for o in config.objectives
        ],
        "measured": [
            [_short(column.value(candidate)) for candidate in everyone]
            for column in _others(config)
        ],
    }


def _others(config: Config) -> list[Column]:
    """What is measured beside the objectives."""
    return [column for column in measured_columns(config) if not column.is_objective]


def progress_data(everyone: Iterable[Candidate], config: Config) -> dict[str, list]:
    """The front's hypervolume, in the unit of today, and the best value of each objective on
    it, wherever these changed: after so many trainings, and hours since the first began."""
    ended = sorted((c for c in everyone if c.answer), key=lambda c: c.answer)
    meter = HypervolumeMeter(ended, config)
    begin = min((c.started for c in ended if c.started), default="")
    front, trained, changes = Front(config), 0, []
    for candidate in ended:
        trained += candidate.trained
        if front.add(candidate) or candidate is ended[-1]:
            changes.append((trained, _hours(begin, candidate.finished), front.candidates))
    step = -(-len(changes) // INSTANTS) or 1
    shown = [change for change in changes[::-1][::step][::-1] if change[2]]
    return {
        "trainings": [number for number, _, _ in shown],
        "hours": [_short(hours) for _, hours, _ in shown],
        "hypervolume": [_short(meter(members)) for _, _, members in shown],
        "best": [
            [_short(o.sign * min(o.sign * c.objectives[o.name] for c in m)) for _, _, m in shown]
            for o in config.objectives
        ],
    }


def lost_data(everyone: Iterable[Candidate]) -> list[dict[str, Any]]:
    """Candidates without a result by state and reason, the most frequent first. Reasons that
    differ in their numbers only count as one; the first is quoted."""
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for candidate in everyone:
        if candidate.state in LOST:
            key = candidate.state, re.sub(r"\d[\d.,e+-]*", "#", candidate.reason)
            known = kinds.setdefault(
                key, {"state": candidate.state, "reason": candidate.reason, "ids": []}
            )
            known["ids"].append(candidate.id)
    return sorted(kinds.values(), key=lambda kind: (LOST.index(kind["state"]), -len(kind["ids"])))


def groups_data(everyone: Sequence[Candidate]) -> dict[str, Any]:
    """The share of its time in which each group evaluated, and what it did when, in hours."""
    bars = timeline(everyone)
    return {
        "busy": [{"group": group, "share": s} for group, s in utilisation(everyone).items()],
        "bars": [
            [b.number, b.group, b.state, _short(b.begin), _short(b.length), _short(b.wait)]
            for b in bars
        ],
    }


def _hours(begin: str, end: str) -> float | None:
    if not (begin and end):
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600


def _short(value: float | None) -> float | None:
    """Six digits are more than a picture or a table shows."""
    return None if value is None else float(f"{value:.6g}")
