"""The validator, which computes a model's validation metrics on all ranks of its group."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import RunError
from xnas_tf.training.metrics import (
    can_be_shared,
    evaluate,
    evaluate_outputs,
    finite_metrics,
    needs_evaluate,
    overrides_evaluation,
)
from xnas_tf.training.predictor import ModelOutputs, Predictor, cross_entropy


class Validator:
    """Validates models on this rank's share of the validation split.

    Attributes:
        split: This rank's share, in the order in which objectives receive it.
        probabilities: The latest predictions for this share, (N, classes).
        undefined: Names of the compiled metrics that were not finite in the latest validation.
    """

    def __init__(self, config: Config, dataset: Dataset, communicator: Communicator) -> None:
        self._communicator = communicator
        order = validation_order(config, dataset)
        self._order, self._total = order, len(order)
        self._mine = shard(self._total, communicator.rank, communicator.size)
        self.split = dataset.validation.select(order[self._mine])
        self._dataset = dataset
        self.clear()

    def clear(self) -> None:
        """Discard the latest predictions."""
        self.probabilities = np.zeros((0, 0), np.float32)
        self.undefined: list[str] = []

    def validate(self, model: keras.Model, predictor: Predictor, epoch: int) -> dict[str, float]:
        """Compute the loss, accuracy and compiled metrics as Keras' ``evaluate`` does.

        Raises:
            RunError: If the loss is not finite.
        """
        outputs = predictor.outputs(self.split.images)
        self.probabilities = predictor.probabilities(outputs)
        loss, accuracy = self._measured(self.probabilities, self.split.labels, self._total)
        found = {"loss": loss, **self._compiled(model, outputs)}
        if not np.isfinite(found["loss"]):
            raise RunError(f"the validation loss became {found['loss']} in epoch {epoch}")
        metrics = finite_metrics({**found, "accuracy": accuracy})
        self.undefined = [f"val_{name}" for name in found.keys() - metrics.keys()]
        return {f"val_{name}": value for name, value in metrics.items()}

    def test(self, predictor: Predictor) -> dict[str, float]:
        """Compute the loss, accuracy and error on the test split."""
        ranks, images = self._communicator, len(self._dataset.test)
        split = self._dataset.test.select(shard(images, ranks.rank, ranks.size))
        loss, accuracy = self._measured(predictor(split.images), split.labels, images)
        return {"test_loss": loss, "test_accuracy": accuracy, "test_error": 1 - accuracy}

    def _measured(
        self, probabilities: np.ndarray, labels: np.ndarray, images: int
    ) -> tuple[float, float]:
        correct = np.count_nonzero(probabilities.argmax(axis=1) == labels)
        sums = np.array([cross_entropy(probabilities, labels), correct])
        loss, accuracy = self._communicator.sum(sums)[0] / images
        return float(loss), float(accuracy)

    def _compiled(self, model: keras.Model, outputs: ModelOutputs) -> dict[str, float]:
        """Return the loss and the metrics that a model was compiled with, on the whole split."""
        if model.loss is None and not overrides_evaluation(model):
            return {}
        if needs_evaluate(model, self.split.images.shape[1:]):
            if self._communicator.size == 1 or can_be_shared(model):
                return evaluate(model, self.split, self._communicator)
            found = evaluate(model, self._dataset.validation.select(self._order), SingleProcess())
            return self._communicator.broadcast(found)  # ranks differ, as in their random numbers
        # For all images together, since not all metrics are means over images.
        own = [self.split.labels, *(each for each in outputs if each is not None)]
        labels, *everything = self._communicator.sum(*map(self._of_all_images, own))
        return evaluate_outputs(model, ModelOutputs(*everything), labels)

    def _of_all_images(self, values: np.ndarray) -> np.ndarray:
        """Return an array for the whole split with this rank's values in their positions."""
        everything = np.zeros((self._total, *values.shape[1:]), values.dtype)
        everything[self._mine] = values
        return everything


def validation_order(config: Config, dataset: Dataset) -> np.ndarray:
    """Return the indices of the validation images in the order in which objectives receive them."""
    return np.random.default_rng(config.dataset.seed).permutation(len(dataset.validation))
