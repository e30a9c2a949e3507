"""Evaluates a network by training it fully, with early stopping and pictures, and testing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.data.dataset import sample_images
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.evaluator import AnyTrainer, Evaluator, Keep
from xnas_tf.explanation import explain
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.cost import Parameters
from xnas_tf.objectives.performance import STANDARD_METRICS, Metric
from xnas_tf.registry import describe
from xnas_tf.retraining.baseline import BaselineSpace
from xnas_tf.retraining.results import BASELINE, task_name
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback, escaping
from xnas_tf.training.predictor import Predictor
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import write_images

PICTURES = 10
"""Approximate number of pictures per training; each one takes a few seconds."""
SHOWN = 8
"""Number of validation images in a picture."""


class AttributionPictures:
    """Draws attributions of the same images after the first epoch and after some later epochs."""

    def __init__(
        self, folder: Path, dataset: Dataset, epochs: int, log: Callable[[str], None]
    ) -> None:
        self._folder = folder
        sample = sample_images(dataset.validation, SHOWN)
        self._images, self._labels = np.asarray(sample.images), sample.labels
        self._class_names = dataset.class_names
        self._every = max(1, epochs // PICTURES)
        self._log = log
        self._failed: set[str] = set()

    def __call__(self, name: str, model: keras.Model, epoch: int) -> None:
        """Draw a model's attributions after an epoch, from 1, into ``NAME-attributions``."""
        if name in self._failed or (epoch > 1 and epoch % self._every):
            return
        try:
            explained = explain(
                model,
                self._images,
                labels=self._labels,
                class_names=self._class_names,
                input_range=DEFAULT_RANGE,
            )
            picture = png(explained.figure(f"{name}, after epoch {epoch}"))
            folder = self._folder / f"{name}-attributions"
            write_images(folder, "attributions", [picture], first=epoch)
        except Exception as error:  # noqa: BLE001 - a user's layers may raise anything
            self._failed.add(name)
            self._log(f"warning: {name} cannot be drawn: {describe(error)}")


class Retrainer:
    """Evaluator that fully trains candidates and the baseline, on all ranks together.

    Args:
        config: The configuration of the retraining, whose ``training.keep`` is ``best``.
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
        # It is not a search space, but it has every method that an evaluator calls.
        baselines: Any = BaselineSpace(dataset.image_shape, dataset.classes)
        self._candidates = _FullTraining(config, dataset, space, communicator, patience, pictures)
        self._baselines = _FullTraining(
            _baseline_config(config), dataset, baselines, communicator, patience, pictures
        )

    def evaluate(
        self,
        candidate: Candidate,
        keep: Keep | None = None,
        callback: EvaluationCallback | None = None,
    ) -> Result:
        """Build, train, score and test a candidate or the baseline; see ``Evaluator.evaluate``.

        The model and its metrics are from the best epoch; the metrics include the test metrics.
        """
        evaluator = self._baselines if candidate.id == BASELINE else self._candidates
        return evaluator.evaluate(candidate, keep, callback)


class _FullTraining(Evaluator):
    """Saves a checkpoint after each epoch, and ends training that no longer improves."""

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        communicator: Communicator,
        patience: int,
        pictures: AttributionPictures | None,
    ) -> None:
        super().__init__(config, dataset, space, communicator)
        self._patience = patience
        self._pictures = pictures

    def _ends_early(
        self, candidate: Candidate, trainer: AnyTrainer, history: list[dict[str, float]]
    ) -> bool:
        trainer.save_end_of_epoch()
        if self._pictures and candidate.seed == 0:
            with escaping():
                self._pictures(task_name(candidate), self._model, len(history))
        assert trainer.best, "training.keep is best"
        return len(history) - trainer.best.epoch >= self._patience

    def _further_metrics(self) -> dict[str, float]:
        """Compute the test metrics from sums over all ranks."""
        ranks, test = self._communicator, self._dataset.test
        split = test.select(shard(len(test), ranks.rank, ranks.size))
        predicted = Predictor(self._network, len(split))(split.images).argmax(axis=1)
        _, images, right = self._class_counts(predicted, split.labels)
        accuracy = right.sum() / images.sum()
        subject = Subject(self._network, ranks, self._dataset.class_names)
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
