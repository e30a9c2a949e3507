"""Measuring what is chosen, into an outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping

from xnas_tf.config import Config
from xnas_tf.errors import NotApplicable, RunError
from xnas_tf.evaluation.result import Result
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject
from xnas_tf.strategy.constraints import Constraint
from xnas_tf.utils.heartbeat import beat


class Scorer:
    """Measures the objectives, what is only recorded, and what only a constraint needs.

    Args:
        config: The configuration.
        class_names: Names of the data set's classes.

    Raises:
        InputError: If an objective's options don't fit the data set.
    """

    def __init__(self, config: Config, class_names: tuple[str, ...]) -> None:
        self._chosen = {objective.name for objective in config.objectives}
        self._recorded = {measure.name for measure in config.record} - set(config.constraints)
        self._measures = config.measures()
        for measure in self._measures:
            measure.check(class_names)

    def score(self, subject: Subject, outcome: Result, trained: bool) -> None:
        """Measures what can be measured now: before training the costs, afterwards the rest.

        Raises:
            RunError: If a value is not finite that the search needs.
        """
        for measure in self._measures:
            if measure.needs_training == trained:
                self._measure(measure, subject, outcome)
                beat()

    def _measure(self, measure: Objective, subject: Subject, outcome: Result) -> None:
        try:
            score = measure.score(subject)
        except NotApplicable as error:  # on all ranks alike
            if measure.name not in self._recorded:
                raise
            score = ObjectiveValue(math.nan, reason=str(error))
        if math.isfinite(score.value):
            outcome.note(score.reason)
            target = outcome.objectives if measure.name in self._chosen else outcome.metrics
            # Plain numbers: a measure's own may be NumPy's, which the record does not take.
            target[measure.name] = float(score.value)
        else:
            why = f" ({score.reason})" if score.reason else ""
            problem = f"{measure.name} is {score.value}{why}"
            if measure.name not in self._recorded:
                raise RunError(problem)
            outcome.note(f"not recorded: {problem}")
        figures = score.metrics.items()
        outcome.metrics.update({k: float(v) for k, v in figures if math.isfinite(v)})


def broken_limits(limits: Mapping[str, Constraint], outcome: Result) -> str:
    """The limits that what is measured by now breaks, in words; empty if none."""
    known = {**outcome.metrics, **outcome.objectives}
    broken = [
        f"{name} is {known[name]:,.12g}, wanted: {limit}"
        for name, limit in limits.items()
        if name in known and limit.violation(known[name])
    ]
    return "; ".join(broken)
