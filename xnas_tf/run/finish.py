"""What a finished search adds: test figures and attributions of its Pareto-optimal models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.input_range import OURS
from xnas_tf.candidate import Candidate
from xnas_tf.data import Dataset
from xnas_tf.data.dataset import sample_images
from xnas_tf.errors import InputError
from xnas_tf.evaluation.evaluator import Evaluator
from xnas_tf.explaining import DEFAULT_METHODS, explain
from xnas_tf.objectives.introspectability import compared_methods
from xnas_tf.registry import describe
from xnas_tf.report.tensorboard import TensorBoard
from xnas_tf.run.directory import Run
from xnas_tf.run.progress import Progress
from xnas_tf.run.record import Record
from xnas_tf.tracing import forgotten_custom_gradients

SHOWN = 8
"""Validation images whose attributions are drawn for each model."""


def finish(
    path: Path,
    record: Record,
    dataset: Dataset,
    evaluator: Evaluator,
    board: TensorBoard,
    progress: Progress,
) -> None:
    """Measures the Pareto-optimal models on the test part, which the search never saw, and
    draws their attributions. What is there already is not done again."""
    run = Run(path)
    if run.groups()[0] > 1:
        board.groups(run.candidates())
    methods = compared_methods(run.config.measures()) or DEFAULT_METHODS
    work = _Finish(dataset, evaluator, board, progress, methods)
    for candidate in run.pareto():
        if "test_accuracy" in candidate.metrics:
            continue
        progress.note(f"testing candidate {candidate.id} and drawing its attributions")
        try:
            with forgotten_custom_gradients():
                work.test_and_draw(candidate)
        except InputError as error:
            progress.note(f"not tested: {error}")
            continue
        record.save(candidate)
        keras.backend.clear_session()


@dataclass
class _Finish:
    """What is done with each model."""

    dataset: Dataset
    evaluator: Evaluator
    board: TensorBoard
    progress: Progress
    methods: Sequence[str | AttributionMethod]

    def test_and_draw(self, candidate: Candidate) -> None:
        """Adds test figures to the candidate.

        Raises:
            InputError: If its model cannot be loaded.
        """
        model = candidate.load_model()
        predictor, stand_ins = self.evaluator.revived(candidate, model)
        self._draw(candidate, model, stand_ins)
        test = self.dataset.test
        accuracy = float(np.mean(predictor(test.images).argmax(axis=1) == test.labels))
        candidate.metrics.update(test_accuracy=accuracy, test_error=1 - accuracy)

    def _draw(
        self,
        candidate: Candidate,
        model: keras.Model,
        stand_ins: Mapping[AttributionMethod, keras.Model],
    ) -> None:
        images = sample_images(self.dataset.validation, SHOWN)
        try:
            explained = explain(
                model,
                images.images,
                self.methods,
                labels=images.labels,
                class_names=self.dataset.class_names,
                input_range=OURS,
                stand_ins=stand_ins,
            )
        except Exception as error:  # a user's layers may raise anything at all
            self.progress.note(f"candidate {candidate.id} is not drawn: {describe(error)}")
            return
        self.board.attributions(candidate, explained)
        self.board.graph(candidate, model)
