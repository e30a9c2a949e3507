"""The candidates of a run as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.candidate import Candidate
from xnas_tf.objectives.base import Objective
from xnas_tf.storage.columns import measured_columns
from xnas_tf.storage.run import Run
from xnas_tf.strategy.recommendation import Recommendation


@dataclass(frozen=True)
class CandidateList:
    """The candidates of a run to list.

    Attributes:
        run: The run.
        candidates: The candidates, Pareto-optimal ones first.
        front: Ids of the Pareto-optimal candidates.
        recommended: The recommendation and its reason.
    """

    run: Run
    candidates: Sequence[Candidate]
    front: set[int]
    recommended: Recommendation


def listing(
    run: Run, everyone: bool, prefer: str | None = None, within: float | None = None
) -> CandidateList:
    """Select the candidates of a run to list.

    Args:
        run: The run.
        everyone: Whether to include the dominated candidates.
        prefer: See ``Run.recommendation``.
        within: See ``Run.recommendation``.

    Raises:
        InputError: If ``prefer`` or ``within`` is invalid.
    """
    front, recommended = run.pareto(), run.recommendation(prefer, within)
    ids = {candidate.id for candidate in front}
    rest = [c for c in run.candidates() if c.state == "done" and c.id not in ids]
    return CandidateList(run, front + (rest if everyone else []), ids, recommended)


def pareto_table(listed: CandidateList) -> Table:
    """Return a table with one candidate per row.

    One star marks the Pareto-optimal candidates, two stars the recommended one.
    """
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
            *(_format_optional(column.value(candidate)) for column in columns),
            *([str(candidate.epochs)] if has_rungs else []),
            f"{test:.2%}" if test is not None else "",
            *(["collapsed" if candidate.collapsed else ""] if has_collapsed else []),
            ", ".join(map(str, candidate.parents)),
            Text(candidate.genotype),  # may contain what rich would take for markup
        )
    return table


def _format_optional(value: float | None) -> str:
    return "" if value is None else format_value(value)


def _stars(candidate: int, listed: CandidateList) -> int:
    return (candidate in listed.front) + (candidate == listed.recommended.id)


def format_value(value: float) -> str:
    """Format a number for a table: integers with thousands separators, others with 4 decimals."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4f}"


def pareto_json(listed: CandidateList) -> str:
    """Return the candidates as JSON."""
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
            "reused_from": c.reused_from,
        }
        for c in listed.candidates
    ]
    content = {
        "run": str(run.path),
        "objectives": _directions(run.config.objectives),
        "record": _directions(run.config.record),
        "recommended": listed.recommended.id,
        "why": listed.recommended.why,
        "candidates": rows,
    }
    return json.dumps(content, indent=2)


def _directions(objectives: Sequence[Objective]) -> list[dict[str, str]]:
    return [{"name": o.name, "direction": o.direction} for o in objectives]


def pareto_csv(listed: CandidateList) -> str:
    """Return the candidates as CSV with a header line."""
    objectives = [objective.name for objective in listed.run.config.objectives]
    recorded = {name for c in listed.candidates for name in c.metrics}
    metrics = sorted(recorded - {*objectives, "collapsed"})
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    head = ["id", "pareto", "generation", "parents", "genotype"]
    writer.writerow([*head, *objectives, *metrics, "recommended", "epochs", "collapsed"])
    for c in listed.candidates:
        writer.writerow(
            [
                c.id,
                c.id in listed.front,
                c.generation,
                " ".join(map(str, c.parents)),
                c.genotype,
                *(c.objectives[name] for name in objectives),
                *(c.metrics.get(name, "") for name in metrics),
                c.id == listed.recommended.id,
                c.epochs,
                c.collapsed,
            ]
        )
    return buffer.getvalue()
