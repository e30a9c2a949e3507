"""The scorer, which adds objectives, recorded measures and constraints to a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import keras

from xnas_tf.candidate import Result
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.errors import InputError, NotApplicable, RunError
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject
from xnas_tf.utils.heartbeat import report_progress


class Scorer:
    """Computes objectives, recorded measures, and values for constraints.

    Raises:
        InputError: If an objective or its options do not fit the data set.
    """

    def __init__(self, config: Config, dataset: Dataset) -> None:
        self._objectives = {objective.name for objective in config.objectives}
        self._recorded = {measure.name for measure in config.record} - set(config.constraints)
        self._measures = config.measures()
        self._early = config.record_at
        for section, measures in self._sections(config).items():
            for measure in measures:
                measure.check(dataset.class_names)
                try:
                    measure.check_dataset(dataset)
                except InputError as error:
                    raise InputError(f"{section}: {error}") from error

    def _sections(self, config: Config) -> dict[str, Sequence[Objective]]:
        named = {"objectives": config.objectives, "record": config.record}
        extra = self._measures[len(config.objectives) + len(config.record) :]
        early = {f"record_at.{epoch}": measures for epoch, measures in self._early.items()}
        return {**named, "constraints": extra, **early}

    def check_model(self, model: keras.Model) -> None:
        """Check, before training, that the values needed by the search can be measured on a model.

        Raises ``NotApplicable`` if they cannot.
        """
        for measure in self._measures:
            if measure.name not in self._recorded:
                measure.check_model(model)

    def score(self, subject: Subject, result: Result, trained: bool) -> None:
        """Add the costs of an untrained candidate, or the other values of a trained one.

        Raises:
            RunError: If a value that the search needs is not finite.
        """
        for measure in self._measures:
            if measure.needs_training == trained:
                self._measure(measure, subject, result)
                report_progress()

    def score_at(self, epoch: int, subject: Subject) -> dict[str, float]:
        """Compute the measures for an epoch before the end of training.

        Returns:
            The finite values as ``epoch_NUMBER/NAME``; those that cannot be computed are missing.
        """
        values: dict[str, float] = {}
        for measure in self._early[epoch]:
            with suppress(NotApplicable):  # raised on all ranks
                score = measure.score(subject)
                values |= {measure.name: score.value, **score.metrics}
            report_progress()
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        return {f"epoch_{epoch}/{name}": value for name, value in finite.items()}

    def _measure(self, measure: Objective, subject: Subject, result: Result) -> None:
        try:
            score = measure.score(subject)
        except NotApplicable as error:  # raised on all ranks
            if measure.name not in self._recorded:
                raise
            score = ObjectiveValue(math.nan, reason=str(error))
        if math.isfinite(score.value):
            result.note(score.reason)
            target = result.objectives if measure.name in self._objectives else result.metrics
            # A user's measure may return NumPy types, which the database rejects.
            target[measure.name] = float(score.value)
        else:
            why = f" ({score.reason})" if score.reason else ""
            problem = f"{measure.name} is {score.value}{why}"
            if measure.name not in self._recorded:
                raise RunError(problem)
            result.note(f"not recorded: {problem}")
        metrics = score.metrics.items()
        result.metrics.update({name: float(v) for name, v in metrics if math.isfinite(v)})
