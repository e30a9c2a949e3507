"""What a finished search adds: test figures and attributions of its Pareto-optimal models."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from xnas_tf.data import Dataset, Part
from xnas_tf.data.dataset import sample_images
from xnas_tf.errors import InputError
from xnas_tf.evaluation.prediction import Predictor
from xnas_tf.explaining import explain
from xnas_tf.registry import describe
from xnas_tf.report.tensorboard import TensorBoard
from xnas_tf.run.directory import Run
from xnas_tf.run.progress import Progress
from xnas_tf.run.record import Record

SHOWN = 8
"""Validation images whose attributions are drawn for each model."""


def finish(
    path: Path,
    record: Record,
    dataset: Dataset,
    board: TensorBoard,
    progress: Progress,
) -> None:
    """Measures the Pareto-optimal models on the test part, which the search never saw, and
    draws their attributions. What is there already is not done again."""
    run = Run(path)
    if run.groups()[0] > 1:
        board.groups(run.candidates())
    images = sample_images(dataset.validation, SHOWN)
    for candidate in run.pareto():
        if "test_accuracy" in candidate.metrics:
            continue
        progress.note(f"testing candidate {candidate.id} and drawing its attributions")
        try:
            model = candidate.load_model()
        except InputError as error:
            progress.note(f"not tested: {error}")
            continue
        try:
            explained = explain(
                model, images.images, labels=images.labels, class_names=dataset.class_names
            )
        except Exception as error:  # a user's layers may raise anything at all
            progress.note(f"candidate {candidate.id} is not drawn: {describe(error)}")
        else:
            board.attributions(candidate, explained)
            board.graph(candidate, model)
        accuracy = accuracy_on(model, dataset.test)
        candidate.metrics.update(test_accuracy=accuracy, test_error=1 - accuracy)
        record.save(candidate)
        del model
        keras.backend.clear_session()


def accuracy_on(model: keras.Model, part: Part) -> float:
    """Share of a part's images that a model classifies rightly."""
    return float(np.mean(Predictor(model)(part.images).argmax(axis=1) == part.labels))
