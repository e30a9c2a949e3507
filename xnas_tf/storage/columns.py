"""The values of each candidate in tables, data frames and reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from xnas_tf.candidate import PHASES, Candidate
from xnas_tf.config import Config

_FIELDS = "id generation parents genotype state reason epochs seed collapsed reused_from".split()
_FIRST = "id pareto generation parents genotype".split()
_LAST = "recommended epochs collapsed violations state reason seed reused_from".split()


@dataclass(frozen=True)
class Column:
    """One measured value of every candidate."""

    name: str  # among a candidate's objectives and metrics
    title: str  # short, with an arrow that points towards better values
    direction: str  # ``minimize`` or ``maximize``
    is_objective: bool = False

    def value(self, candidate: Candidate) -> float | None:
        """Return a candidate's value, or None if it has none."""
        return candidate.objectives.get(self.name, candidate.metrics.get(self.name))


def measured_columns(config: Config) -> list[Column]:
    """Return the objectives and the recorded metrics, each followed by its components."""
    columns = []
    for measure in (*config.objectives, *config.record):
        is_objective = measure in config.objectives
        arrow = measure.heading.rpartition(" ")[2]
        mark = arrow if is_objective else f"{arrow} (recorded)"
        title = f"{measure.label} {mark}"
        columns.append(Column(measure.name, title, measure.direction, is_objective))
        for part in measure.parts:
            short = part.removeprefix(f"{measure.name}/")
            columns.append(Column(part, f"{short} {mark}", measure.direction))
    return columns


def candidate_rows(
    candidates: Iterable[Candidate], config: Config, front: Collection[int], recommended: int | None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the columns of a table of candidates in any state, and its rows, one per candidate.

    See ``Run.to_dataframe`` for the columns. A row is blank in columns that do not apply to it.
    ``front`` and ``recommended`` are ids.
    """
    rows = [_row(candidate, config, front, recommended) for candidate in candidates]
    first = [*_FIRST, *(objective.name for objective in config.objectives)]
    found = dict.fromkeys(name for row in rows for name in row)
    chosen = [name for name in found if name.startswith("hyperparameters/")]
    seconds = [f"seconds/{phase}" for phase in ("total", *PHASES)]
    metrics = sorted(set(found) - {*first, *_LAST, *chosen, *seconds})
    return [*first, *metrics, *_LAST, *chosen, *seconds], rows


def _row(
    candidate: Candidate, config: Config, front: Collection[int], recommended: int | None
) -> dict[str, Any]:
    fields = {name: getattr(candidate, name) for name in _FIELDS}
    fields |= {
        "pareto": candidate.id in front,
        "recommended": candidate.id == recommended,
        "violations": candidate.violations(config.constraints),
        "seconds/total": candidate.seconds_total,
    }
    # A HyperModel may give any name to a metric.
    metrics = {
        f"metrics/{name}" if name in fields else name: value
        for name, value in candidate.metrics.items()
        if name != "collapsed"
    }
    return {
        **fields,
        **metrics,
        **candidate.objectives,
        **{f"hyperparameters/{name}": value for name, value in candidate.hyperparameters.items()},
        **{f"seconds/{phase}": candidate.seconds.get(phase) for phase in PHASES},
    }
