"""Evaluates a network by training it fully, with early stopping, and testing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.evaluator import Evaluator, Keep
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.cost import Parameters
from xnas_tf.objectives.performance import STANDARD_METRICS, Metric
from xnas_tf.retraining.attribution_pictures import AttributionPictures
from xnas_tf.retraining.baseline import BaselineSpace
from xnas_tf.retraining.results import BASELINE, task_name
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.best_epoch import best_epoch
from xnas_tf.training.callbacks import EvaluationCallback, escaping
from xnas_tf.training.predictor import Predictor


class Retrainer:
    """Evaluator that fully trains candidates and the baseline, on all ranks together.

    Args:
        config: The configuration of the retraining, whose ``training.keep`` is ``best``.
        dataset: The images.
        space: Builds the candidates.
        communicator: All ranks.
        patience: Number of epochs without improvement after which training ends.
        pictures: Draws attributions of the networks while they are trained, on rank 0 and for the
            first seed.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        communicator: Communicator,
        patience: int,
        pictures: AttributionPictures | None = None,
    ) -> None:
        self._candidates = Evaluator(config, dataset, space, communicator)
        # It is not a search space, but it has every method that an evaluator calls.
        baselines: Any = BaselineSpace(dataset.image_shape, dataset.classes)
        self._baselines = Evaluator(_baseline_config(config), dataset, baselines, communicator)
        self._communicator = communicator
        self._class_names = dataset.class_names
        self._patience = patience
        self._pictures = pictures
        indices = shard(len(dataset.test), communicator.rank, communicator.size)
        self._test = dataset.test.select(indices)

    def evaluate(
        self,
        candidate: Candidate,
        keep: Keep | None = None,
        callback: EvaluationCallback | None = None,
    ) -> Result:
        """Build, train, score and test a candidate or the baseline.

        See ``Evaluator.evaluate``. The model and its metrics are from the best epoch; the metrics
        include the test metrics.
        """
        evaluator = self._baselines if candidate.id == BASELINE else self._candidates
        pictures = self._pictures if candidate.seed == 0 else None
        stopping = EarlyStopping(
            callback or EvaluationCallback(),
            self._communicator,
            self._patience,
            partial(pictures, task_name(candidate)) if pictures else None,
            self._test_metrics,
        )
        return evaluator.evaluate(candidate, keep, stopping)

    def _test_metrics(self, model: keras.Model) -> dict[str, float]:
        """Compute the test metrics from sums over all ranks."""
        labels, classes = self._test.labels, len(self._class_names)
        predicted = Predictor(model, len(self._test))(self._test.images).argmax(axis=1)
        counts = [
            np.bincount(each, minlength=classes) for each in (labels[predicted == labels], labels)
        ]
        ((right, images),) = self._communicator.sum(np.array(counts, np.int64))
        accuracy = right.sum() / images.sum()
        subject = Subject(model, self._communicator, self._class_names)
        metrics = {
            "parameters": Parameters().score(subject).value,
            "test_accuracy": accuracy,
            "test_error": 1 - accuracy,
        }
        metrics |= {
            f"test_error/{number}": 1 - right[number] / images[number]
            for number in np.flatnonzero(images)
        }
        return {name: float(value) for name, value in metrics.items()}


def _baseline_config(config: Config) -> Config:
    """Leave out the metrics of a HyperModel, because the baseline is not one of its models."""

    def applicable(measures: Sequence[Objective]) -> list[Objective]:
        return [
            measure
            for measure in measures
            if not isinstance(measure, Metric) or measure.metric in STANDARD_METRICS
        ]

    kept = {"objectives": applicable(config.objectives), "record": applicable(config.record)}
    return config.model_copy(update=kept)


_PASSED_ON = "report_progress wants_checkpoint save_checkpoint checkpoint known failed".split()
"""Methods that ``EarlyStopping`` leaves to its callback."""


class EarlyStopping(EvaluationCallback):
    """Saves a checkpoint after each epoch, and stops training that no longer improves.

    Args:
        callback: Stores the checkpoints.
        communicator: All ranks.
        patience: Number of epochs without improvement after which training ends.
        draw: Called with the model and the number of each epoch; may be None on some ranks.
        test: Returns the test metrics of a model; called on all ranks.
    """

    def __init__(
        self,
        callback: EvaluationCallback,
        communicator: Communicator,
        patience: int,
        draw: Callable[[keras.Model, int], None] | None,
        test: Callable[[keras.Model], dict[str, float]],
    ) -> None:
        self._callback = callback
        self._communicator = communicator
        self._patience = patience
        self._draw = draw
        self._test = test
        for name in _PASSED_ON:
            setattr(self, name, getattr(callback, name))

    def on_epoch_end(
        self, model: keras.Model, history: list[dict[str, float]], save: Callable[[], None]
    ) -> bool:
        """See ``EvaluationCallback.on_epoch_end``."""
        save()
        self._callback.on_epoch_end(model, history, save)
        if self._draw:
            with escaping():
                self._draw(model, len(history))
        best = self._communicator.broadcast(best_epoch(history))
        return len(history) - best >= self._patience

    def further_metrics(self, model: keras.Model) -> dict[str, float]:
        """See ``EvaluationCallback.further_metrics``."""
        return self._test(model)
