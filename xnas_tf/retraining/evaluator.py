"""One full training: early stopping, the weights of the best epoch, and the test metrics."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.evaluator import Evaluator, Keep
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.cost import Parameters
from xnas_tf.objectives.performance import STANDARD_METRICS, Metric
from xnas_tf.retraining.attribution_pictures import AttributionPictures
from xnas_tf.retraining.baseline import BaselineSpace
from xnas_tf.retraining.results import BASELINE, best_epoch, network_key, training_name
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback
from xnas_tf.training.checkpoint import TrainingProgress, pack, unpack
from xnas_tf.training.custom_fit import CustomFitTrainer
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.trainer import Trainer

OnEpoch = Callable[[int, int, dict[str, float]], None]
"""Called with the number of an epoch, how many there are at most, and its metrics."""


class Retrainer(Evaluator):
    """Trains candidates and the baseline in full, on all ranks at once.

    Args:
        config: The configuration of the retraining.
        dataset: The images.
        space: Builds the candidates.
        communicator: All ranks.
        patience: Epochs without improvement after which a training ends.
        on_epoch: Called on rank 0 after each epoch.
        pictures: Draws attributions of the networks as they learn, on rank 0 and for the first
            seed.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        communicator: Communicator,
        patience: int,
        on_epoch: OnEpoch,
        pictures: AttributionPictures | None = None,
    ) -> None:
        super().__init__(config, dataset, space, communicator)
        self._candidates = space, self._scorer
        baselines = BaselineSpace(dataset.image_shape, dataset.classes)
        self._baselines = baselines, Scorer(_baseline_config(config), dataset.class_names)
        self._patience = patience
        self._on_epoch = on_epoch
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

        See ``Evaluator.evaluate``. The model and its metrics are those of the best epoch; the
        metrics include those of the test split.
        """
        is_baseline = candidate.id == BASELINE
        self._is_drawn = candidate.seed == 0
        self._name = training_name(network_key(candidate.id, candidate.genotype), candidate.seed)
        if is_baseline:
            # Not a search space, but it has all that an evaluator calls.
            self._space, self._scorer = self._baselines  # type: ignore[assignment]
        else:
            self._space, self._scorer = self._candidates
        self._best = BestWeights(callback or EvaluationCallback())
        return super().evaluate(candidate, keep, self._best)

    def _evaluate(
        self, candidate: Candidate, outcome: Result, callback: EvaluationCallback
    ) -> None:
        super()._evaluate(candidate, outcome, callback)
        if outcome.state == "done":
            with outcome.seconds.timed("score"):
                outcome.metrics.update(self._test_metrics())

    def _is_enough(
        self, trainer: Trainer | CustomFitTrainer, history: list[dict[str, float]]
    ) -> bool:
        best, epoch = best_epoch(history), len(history)
        if self._communicator.rank == 0:
            if best == epoch:
                self._best.weights = pack(TrainingProgress(), self._model.variables)
            self._on_epoch(epoch, self._config.training.epochs, history[-1])
        trainer.save_end_of_epoch()
        if self._pictures is not None and self._is_drawn:
            self._pictures(self._name, self._network, epoch)
        return epoch - best >= self._patience

    def _train(
        self, candidate: Candidate, outcome: Result, callback: EvaluationCallback
    ) -> Trainer | CustomFitTrainer:
        trainer = super()._train(candidate, outcome, callback)
        self._best.is_restored = True
        if self._communicator.rank == 0:
            unpack(self._best.weights, self._model.variables)
        self._communicator.broadcast_variables(self._model.variables)
        # Objectives are those of the best epoch.
        self._validate(Predictor(self._model, len(self._validation)))
        best = best_epoch(outcome.history)
        outcome.metrics.update(outcome.history[best - 1], best_epoch=best)
        return trainer

    def _test_metrics(self) -> dict[str, float]:
        """Compute the test metrics from sums over all ranks."""
        labels, classes = self._test.labels, self._dataset.classes
        predictor = Predictor(self._model, len(self._test))
        predicted = predictor(self._test.images).argmax(axis=1)
        counts = [
            np.bincount(each, minlength=classes) for each in (labels[predicted == labels], labels)
        ]
        ((right, images),) = self._communicator.sum(np.array(counts, np.int64))
        accuracy = right.sum() / images.sum()
        subject = Subject(self._model, self._communicator, self._dataset.class_names)
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
    """Leave out the metrics of a HyperModel: the baseline is not one of its models."""

    def applicable(measures: Sequence[Objective]) -> list[Objective]:
        return [
            measure
            for measure in measures
            if not isinstance(measure, Metric) or measure.metric in STANDARD_METRICS
        ]

    kept = {"objectives": applicable(config.objectives), "record": applicable(config.record)}
    return config.model_copy(update=kept)


class BestWeights(EvaluationCallback):
    """Keeps the weights of the best epoch, in each checkpoint of the training too.

    Args:
        callback: Keeps the checkpoints.

    Attributes:
        weights: The packed weights of the best epoch so far, on rank 0.
        is_restored: Whether the model has these weights again. Then its state is no checkpoint.
    """

    def __init__(self, callback: EvaluationCallback) -> None:
        self._callback = callback
        self.weights = b""
        self.is_restored = False

    def report_progress(self) -> None:
        """See ``EvaluationCallback.report_progress``."""
        self._callback.report_progress()

    def wants_checkpoint(self) -> bool:
        """See ``EvaluationCallback.wants_checkpoint``."""
        return self._callback.wants_checkpoint()

    def save_checkpoint(self, data: bytes) -> None:
        """See ``EvaluationCallback.save_checkpoint``."""
        if not self.is_restored:
            self._callback.save_checkpoint(_join(data, self.weights))

    def checkpoint(self) -> bytes | None:
        """See ``EvaluationCallback.checkpoint``."""
        data = self._callback.checkpoint()
        if data is None:
            return None
        try:
            state, self.weights = _split(data)
        except Exception:  # noqa: BLE001 - a damaged file, which fails again when it is unpacked
            return data
        return state

    def known(self, result: Result) -> Result | None:
        """See ``EvaluationCallback.known``."""
        return self._callback.known(result)

    def failed(self, reason: str) -> None:
        """See ``EvaluationCallback.failed``."""
        self._callback.failed(reason)


def _join(*pieces: bytes) -> bytes:
    file = io.BytesIO()
    np.savez(file, *(np.frombuffer(piece, np.uint8) for piece in pieces))
    return file.getvalue()


def _split(data: bytes) -> list[bytes]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return [file[f"arr_{number}"].tobytes() for number in range(2)]
