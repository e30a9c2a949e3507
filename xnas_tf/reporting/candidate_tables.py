"""Lists the candidates of a run as a table, JSON or CSV, and retrained networks as a table."""

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
from xnas_tf.retraining.results import Retrained, Retraining
from xnas_tf.storage.columns import candidate_rows, measured_columns
from xnas_tf.storage.run import Run
from xnas_tf.strategy.recommendation import Recommendation
from xnas_tf.utils.number_format import (
    counted,
    format_value,
    percent_range,
    percent_text,
    shortened,
)

MAX_NOTES = 5
"""Maximum number of candidates for which a table explains why a value is 0."""
_CAPTION = (
    "test accuracy: 95% interval of the mean over seeds (t), or of one model over the test images "
    "(Wilson); other values: on the validation split, ± half of the t interval"
)


@dataclass(frozen=True)
class CandidateList:
    """Candidates of a run in list order, and the ids of the Pareto-optimal ones."""

    run: Run
    candidates: Sequence[Candidate]
    front: set[int]
    recommended: Recommendation


def listing(
    run: Run, everyone: bool, prefer: str | None = None, within: float | None = None
) -> CandidateList:
    """Select the Pareto-optimal candidates and, if ``everyone`` is true, all other finished ones.

    Among the others, dominated candidates come before those that violate constraints. See
    ``Run.recommendation`` for the other arguments and for errors.
    """
    found = run.snapshot(prefer, within)
    ids = {candidate.id for candidate in found.front}
    rest = [c for c in found.candidates if c.state == "done" and c.id not in ids]
    rest.sort(key=lambda c: bool(c.violations(run.config.constraints)))
    return CandidateList(run, [*found.front, *(rest if everyone else [])], ids, found.recommended)


def pareto_table(listed: CandidateList) -> Table:
    """Return a table with one candidate per row.

    One star marks the Pareto-optimal candidates, and two stars mark the recommended one. Collapsed
    candidates have a remark instead of a star.
    """
    columns = measured_columns(listed.run.config)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", justify="right")
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=column.is_objective)
    if has_rungs := len(listed.run.config.rungs) > 1:
        table.add_column("epochs", justify="right")
    table.add_column("test accuracy", justify="right")
    remarks = [_remark(candidate, listed) for candidate in listed.candidates]
    if any(remarks):
        table.add_column("remark")
    if has_parents := any(candidate.parents for candidate in listed.candidates):
        table.add_column("parents")
    table.add_column("genotype", overflow="fold")
    for candidate, remark in zip(listed.candidates, remarks, strict=True):
        test = candidate.metrics.get("test_accuracy")
        table.add_row(
            f"{candidate.id}{'*' * _stars(candidate, listed)}",
            *(format_value(column.value(candidate)) for column in columns),
            *([str(candidate.epochs)] if has_rungs else []),
            percent_text(test, 2) if test is not None else "",
            *([remark] if any(remarks) else []),
            *([", ".join(map(str, candidate.parents))] if has_parents else []),
            Text(shortened(candidate.genotype)),  # rich must not interpret it as markup
        )
    zeros = [c for c in listed.candidates if any(column.value(c) == 0 for column in columns)]
    notes = [f"candidate {c.id}: {c.reason}" for c in zeros if c.reason and not c.collapsed]
    table.caption, table.caption_justify = Text("\n".join(notes[:MAX_NOTES])), "left"
    return table


def _remark(candidate: Candidate, listed: CandidateList) -> str:
    violations = candidate.violations(listed.run.config.constraints)
    collapsed = "collapsed" if candidate.collapsed else ""
    if collapsed and candidate.id in listed.front:
        collapsed = "collapsed, but on the front"
    return "; ".join(filter(None, [collapsed, violations]))


def _stars(candidate: Candidate, listed: CandidateList) -> int:
    is_recommended = candidate.id == listed.recommended.id
    is_marked = candidate.id in listed.front and not candidate.collapsed
    return max(is_marked, 2 * is_recommended)


def pareto_json(listed: CandidateList) -> str:
    """Return the candidates as JSON."""
    config = listed.run.config
    candidates = [
        {
            "id": c.id,
            "genotype": c.genotype,
            "hyperparameters": c.hyperparameters,
            "objectives": {o.name: c.objectives[o.name] for o in config.objectives},
            "metrics": c.metrics,
            "parents": list(c.parents),
            "generation": c.generation,
            "epochs": c.epochs,
            "promoted_from": c.promoted_from or None,
            "pareto": c.id in listed.front,
            "recommended": c.id == listed.recommended.id,
            "collapsed": c.collapsed,
            "violations": c.violations(config.constraints),
            "reused_from": c.reused_from,
            "seconds": {"total": c.seconds_total, **c.seconds},
        }
        for c in listed.candidates
    ]
    content = {
        "run": str(listed.run.path),
        "objectives": _directions(config.objectives),
        "record": _directions(config.record),
        "recommended": listed.recommended.id,
        "why": listed.recommended.why,
        "on_test": listed.recommended.on_test,
        "candidates": candidates,
    }
    return json.dumps(content, indent=2)


def _directions(objectives: Sequence[Objective]) -> list[dict[str, str]]:
    return [{"name": o.name, "direction": o.direction} for o in objectives]


def pareto_csv(listed: CandidateList, any_state: bool = False) -> str:
    """Return the candidates as CSV with a header line; see ``candidate_rows``.

    With ``any_state``, the run's other candidates follow, whatever their state.
    """
    ids = {candidate.id for candidate in listed.candidates}
    others = [c for c in listed.run.candidates() if c.id not in ids] if any_state else []
    config, recommended = listed.run.config, listed.recommended.id
    everyone = [*listed.candidates, *others]
    columns, rows = candidate_rows(everyone, config, listed.front, recommended)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "parents": " ".join(map(str, row["parents"]))})
    return buffer.getvalue()


def retraining_table(retraining: Retraining) -> Table:
    """Return a table with one network per row, and the baseline in the last row."""
    epochs = f"at most {counted(retraining.config.training.epochs, 'epoch')}"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Retrained: {epochs}, patience {retraining.patience}",
        caption=Text("\n".join([_CAPTION, *retraining.notes()])),
        caption_justify="left",
    )
    table.add_column("model")
    table.add_column("test accuracy", justify="right", no_wrap=True)
    table.add_column("interval")
    columns = measured_columns(retraining.config)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=column.is_objective)
    if has_size := all(column.name != "parameters" for column in columns):
        table.add_column("parameters", justify="right")
    table.add_column("best epoch", justify="right")
    for model in retraining.models():
        low, mean, high = model.test_accuracy
        table.add_row(
            Text(model.title),
            f"{percent_text(mean, 2)} ({percent_range(low, high, 2)})",
            model.kind,
            *(_format_measured(model, column.name) for column in columns),
            *([f"{model.parameters:,}"] if has_size else []),
            f"{model.mean(lambda training: training.metrics['best_epoch']):.0f}",
        )
    return table


def _format_measured(model: Retrained, name: str) -> str:
    measured = model.measured(name)
    if measured is None:
        return "–"
    text, interval = format_value(measured["mean"]), measured["interval"]
    return text if interval is None else f"{text} ± {interval[2] - interval[1]:.2g}"
