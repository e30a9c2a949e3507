"""Collects the data on the search itself for a report on a run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.figures.axis_scale import logarithmic
from xnas_tf.figures.importance import hyperparameters
from xnas_tf.figures.progress import progress_data
from xnas_tf.figures.uncertainty import interval_of, too_wide_note
from xnas_tf.objectives.base import Objective
from xnas_tf.reporting.utilisation import timeline, utilisation
from xnas_tf.spaces.cells import EDGES
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import Run
from xnas_tf.storage.snapshot import Snapshot
from xnas_tf.utils.number_format import ten_digits

_LOST = ("failed", "infeasible", "duplicate")


def search_data(run: Run, found: Snapshot) -> dict[str, Any]:
    """Collect the data for all sections about the search."""
    config, candidates, front = run.config, found.candidates, found.front
    others = [column for column in measured_columns(config) if not column.is_objective]
    log = logarithmic(candidates, [*config.objectives, *config.record])
    return {
        "objectives": objectives_data(config, log),
        "measured": [column.title for column in others],
        "measured_log": [column.name in log for column in others],
        "parts_note": parts_note(config),
        "collapses": run.collapse_text(candidates),
        "candidates": candidates_data(candidates, config),
        "hyperparameters": [asdict(column) for column in hyperparameters(candidates)],
        "cell": dict(EDGES) if config.space.name == "nas_bench_201" else None,
        "front": [candidate.id for candidate in front],
        "intervals": [
            [known_interval(c, o, sum(run.validation_counts or ())) for c in front]
            for o in config.objectives
        ],
        "interval_note": too_wide_note(front, config.objectives),
        "epochs": next((c.epochs for c in found.comparable), 0),
        "recommended": {
            name: getattr(found.recommended, name) for name in ("id", "why", "on_test")
        },
        "progress": progress_data(candidates, config),
        "lost": lost_data(candidates),
        "groups": {
            "busy": [{"group": g, "share": s} for g, s in utilisation(candidates).items()],
            "bars": [[*bar[:3], *map(ten_digits, bar[3:])] for bar in timeline(candidates)],
        },
    }


def objectives_data(config: Config, log: frozenset[str]) -> list[dict[str, Any]]:
    """Describe the objectives; ``log`` are those with a logarithmic axis."""
    return [
        {"name": o.label, "direction": o.direction, "log": o.name in log} for o in config.objectives
    ]


def candidates_data(candidates: Sequence[Candidate], config: Config) -> dict[str, list[Any]]:
    """Return all candidates by column, which takes a third of the space of a list of records."""
    names = ("id", "genotype", "state", "generation", "epochs", "parents", "reason", "collapsed")
    return {
        **{name: [getattr(candidate, name) for candidate in candidates] for name in names},
        "violations": [candidate.violations(config.constraints) for candidate in candidates],
        "test": [candidate.metrics.get("test_accuracy") for candidate in candidates],
        "objectives": [
            [ten_digits(candidate.objectives.get(o.name)) for candidate in candidates]
            for o in config.objectives
        ],
        "measured": [
            [ten_digits(column.value(candidate)) for candidate in candidates]
            for column in measured_columns(config)
            if not column.is_objective
        ],
    }


def parts_note(config: Config) -> str:
    """Say which of the measured columns are only parts of an objective; empty if none are."""
    return "".join(
        f"{', '.join(part.removeprefix(f'{o.name}/') for part in o.parts)}: the parts of "
        f"{o.label}, which are not objectives themselves. "
        for o in config.objectives
        if o.parts
    )


def known_interval(candidate: Candidate, objective: Objective, images: int) -> list[float] | None:
    """Return the 95% interval of an objective, or None if its uncertainty is unknown."""
    low, high = interval_of(candidate, objective, images)
    return None if math.isnan(low + high) else [low, high]


def lost_data(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    """Group the candidates without a result by state and reason, the most frequent first.

    Reasons that differ only in numbers count as one reason, and the first of them is quoted.
    """
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for candidate in candidates:
        if candidate.state in _LOST:
            key = candidate.state, re.sub(r"\d[\d.,e+-]*", "#", candidate.reason)
            kind = {"state": candidate.state, "reason": candidate.reason, "ids": []}
            kinds.setdefault(key, kind)["ids"].append(candidate.id)
    return sorted(kinds.values(), key=lambda kind: (_LOST.index(kind["state"]), -len(kind["ids"])))
