"""The measured values that tables and reports show of every candidate."""

from __future__ import annotations

from dataclasses import dataclass

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config


@dataclass(frozen=True)
class Column:
    """One measured value of every candidate.

    Attributes:
        name: Its name among a candidate's objectives and metrics.
        title: A short heading, with an arrow towards better values.
        direction: ``minimize`` or ``maximize``.
        is_objective: Whether the search ranks by it.
    """

    name: str
    title: str
    direction: str
    is_objective: bool = False

    def value(self, candidate: Candidate) -> float | None:
        """Return the value of a candidate; None if it has none."""
        return candidate.objectives.get(self.name, candidate.metrics.get(self.name))


def measured_columns(config: Config) -> list[Column]:
    """Return the objectives and the metrics that are only recorded, each before its parts."""
    columns = []
    for measure in (*config.objectives, *config.record):
        is_objective = measure in config.objectives
        arrow = "↓" if measure.direction == "minimize" else "↑"
        mark = arrow if is_objective else f"{arrow} (recorded)"
        title = f"{measure.name} {mark}"
        columns.append(Column(measure.name, title, measure.direction, is_objective))
        for part in measure.parts:
            short = part.removeprefix(f"{measure.name}/")
            columns.append(Column(part, f"{short} {mark}", measure.direction))
    return columns
