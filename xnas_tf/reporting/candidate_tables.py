"""A run's candidates as tables for people and as text for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.candidate import Candidate
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import Run
from xnas_tf.strategy.recommendation import Recommendation


@dataclass(frozen=True)
class CandidateList:
    """Candidates of a run to be listed.

    Attributes:
        run: The run.
        candidates: The candidates, Pareto-optimal ones first.
        front: Ids of those.
        recommended: The one that is recommended, and why.
    """

    run: Run
    candidates: Sequence[Candidate]
    front: set[int]
    recommended: Recommendation


def listing(
    run: Run, everyone: bool, prefer: str | None = None, within: float | None = None
) -> CandidateList:
    """The candidates of a run; dominated ones only if everyone is wanted.

    Raises:
        InputError: If ``prefer`` or ``within`` is wrong; see ``Run.recommendation``.
    """
    front, recommended = run.pareto(), run.recommendation(prefer, within)
    ids = {candidate.id for candidate in front}
    rest = [c for c in run.candidates() if c.state == "done" and c.id not in ids]
    return CandidateList(run, front + (rest if everyone else []), ids, recommended)


def pareto_table(listed: CandidateList) -> Table:
    """A table of candidates, one a row; a star marks the Pareto-optimal ones, two stars the one
    that is recommended."""
    columns = measured_columns(listed.run.config)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", justify="right")
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=column.is_objective)
    if has_rungs := len(listed.run.config.rungs) > 1:
        table.add_column("epochs", justify="right")
    table.add_column("test accuracy", justify="right")
    if has_collapsed := any(candidate.collapsed for candidate in listed.candidates):
        table.add_column("remark")
    table.add_column("parents")
    table.add_column("genotype", overflow="fold")
    for candidate in listed.candidates:
        test = candidate.metrics.get("test_accuracy")
        table.add_row(
            f"{candidate.id}{'*' * _stars(candidate.id, listed)}",
            *(_shown(column.value(candidate)) for column in columns),
            *([str(candidate.epochs)] if has_rungs else []),
            f"{test:.2%}" if test is not None else "",
            *(["collapsed" if candidate.collapsed else ""] if has_collapsed else []),
            ", ".join(map(str, candidate.parents)),
            Text(candidate.genotype),  # a user's text, not markup
        )
    return table


def _shown(value: float | None) -> str:
    return "" if value is None else format_value(value)


def _stars(number: int, listed: CandidateList) -> int:
    return (number in listed.front) + (number == listed.recommended.id)


def format_value(value: float) -> str:
    """A number as a table shows it: whole numbers with commas, others to four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4f}"


def pareto_json(listed: CandidateList) -> str:
    """The candidates as JSON, for programs."""
    run = listed.run
    rows = [
        {
            "id": c.id,
            "genotype": c.genotype,
            "hyperparameters": c.hyperparameters,
            "objectives": {o.name: c.objectives[o.name] for o in run.config.objectives},
            "metrics": c.metrics,
            "parents": list(c.parents),
            "generation": c.generation,
            "epochs": c.epochs,
            "promoted_from": c.promoted_from or None,
            "pareto": c.id in listed.front,
            "recommended": c.id == listed.recommended.id,
            "collapsed": c.collapsed,
            "answered_by": c.answered_by,
        }
        for c in listed.candidates
    ]
    described = {
        section: [{"name": o.name, "direction": o.direction} for o in measures]
        for section, measures in (
            ("objectives", run.config.objectives),
            ("record", run.config.record),
        )
    }
    found = {
        "run": str(run.path),
        **described,
        "recommended": listed.recommended.id,
        "why": listed.recommended.why,
        "candidates": rows,
    }
    return json.dumps(found, indent=2)


def pareto_csv(listed: CandidateList) -> str:
    """The candidates as CSV with a header line."""
    names = [objective.name for objective in listed.run.config.objectives]
    metrics = {name for c in listed.candidates for name in c.metrics}
    metrics = sorted(metrics - {*names, "collapsed"})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ["id", "pareto", "generation", "parents", "genotype"]
    writer.writerow([*head, *names, *metrics, "recommended", "epochs", "collapsed"])
    for c in listed.candidates:
        row: list[Any] = [c.id, c.id in listed.front, c.generation, " ".join(map(str, c.parents))]
        row += [
            c.genotype,
            *(c.objectives[n] for n in names),
            *(c.metrics.get(n, "") for n in metrics),
            c.id == listed.recommended.id,
            c.epochs,
            c.collapsed,
        ]
        writer.writerow(row)
    return buffer.getvalue()
