"""One training in full: early stopping, the best epoch's weights, and the test part in the end."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.evaluator import Evaluator, Keep
from xnas_tf.evaluation.result import Result
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.objectives.base import Objective, Subject
from xnas_tf.objectives.cost import Parameters
from xnas_tf.objectives.performance import OF_EVERY_TRAINING, Metric
from xnas_tf.retraining.attribution_pictures import AttributionPictures
from xnas_tf.retraining.baseline import BaselineSpace
from xnas_tf.retraining.results import BASELINE, best_epoch, network_key, training_name
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import EvaluationCallback
from xnas_tf.training.checkpoint import TrainingProgress, pack, unpack
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.trainer import Trainer

Told = Callable[[int, int, dict[str, float]], None]


class Retrainer(Evaluator):
    """Trains candidates and the baseline in full, on all ranks at once.

    Args:
        config: The configuration of the retraining.
        dataset: The images.
        space: Builds the candidates.
        communicator: All ranks.
        patience: Epochs without a better one after which a training ends.
        told: Hears on rank 0 of each epoch: its number, how many there are, its figures.
        gallery: Draws on rank 0 what the networks look at as they learn, for the first seed.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        communicator: Communicator,
        patience: int,
        told: Told,
        gallery: AttributionPictures | None = None,
    ) -> None:
        super().__init__(config, dataset, space, communicator)
        self._candidates = space, self._scorer
        baselines = BaselineSpace(dataset.image_shape, dataset.classes)
        self._baselines = baselines, Scorer(for_baseline(config), dataset.class_names)
        self._patience = patience
        self._told = told
        self._gallery = gallery
        mine = shard(len(dataset.test), communicator.rank, communicator.size)
        self._test = dataset.test.select(mine)

    def evaluate(
        self,
        candidate: Candidate,
        keep: Keep | None = None,
        supervisor: EvaluationCallback | None = None,
    ) -> Result:
        """Builds, trains, scores and tests; see ``Evaluator.evaluate``. The model is that of the
        best epoch, and so are the figures. The metrics have the test figures too."""
        is_baseline = candidate.id == BASELINE
        self._draws = self._gallery is not None and candidate.seed == 0
        self._name = training_name(network_key(candidate.id, candidate.genotype), candidate.seed)
        self._space, self._scorer = self._baselines if is_baseline else self._candidates
        self._best = Best(supervisor or EvaluationCallback())
        return super().evaluate(candidate, keep, self._best)

    def _evaluate(
        self, candidate: Candidate, outcome: Result, supervisor: EvaluationCallback
    ) -> None:
        super()._evaluate(candidate, outcome, supervisor)
        if outcome.state == "done":
            with outcome.seconds.timed("score"):
                outcome.metrics.update(self._test_figures())

    def _is_enough(self, trainer: Trainer, history: list[dict[str, float]]) -> bool:
        best, epoch = best_epoch(history), len(history)
        if self._communicator.rank == 0:
            if best == epoch:
                self._best.weights = pack(TrainingProgress(), self._model.variables)
            self._told(epoch, self._config.training.epochs, history[-1])
        trainer.keep_end()
        if self._draws:
            self._gallery(self._name, self._network, epoch)
        return epoch - best >= self._patience

    def _train(
        self, candidate: Candidate, outcome: Result, supervisor: EvaluationCallback
    ) -> Trainer:
        trainer = super()._train(candidate, outcome, supervisor)
        self._best.is_over = True
        if self._communicator.rank == 0:
            unpack(self._best.weights, self._model.variables)
        self._communicator.broadcast_variables(self._model.variables)
        # Objectives are those of the best epoch.
        self._validate(Predictor(self._model, len(self._validation)))
        best = best_epoch(outcome.history)
        outcome.metrics.update(outcome.history[best - 1], best_epoch=best)
        return trainer

    def _test_figures(self) -> dict[str, float]:
        """Test figures: sums over all ranks, then divided."""
        labels, classes = self._test.labels, self._dataset.classes
        predictor = Predictor(self._model, len(self._test))
        predicted = predictor(self._test.images).argmax(axis=1)
        counts = [
            np.bincount(of, minlength=classes) for of in (labels[predicted == labels], labels)
        ]
        ((right, images),) = self._communicator.sum(np.array(counts, np.int64))
        accuracy = right.sum() / images.sum()
        untrained = Subject(self._model, self._communicator, self._dataset.class_names)
        figures = {
            "parameters": Parameters().score(untrained).value,
            "test_accuracy": accuracy,
            "test_error": 1 - accuracy,
        }
        figures |= {
            f"test_error/{number}": 1 - right[number] / images[number]
            for number in np.flatnonzero(images)
        }
        return {name: float(value) for name, value in figures.items()}


def for_baseline(config: Config) -> Config:
    """A configuration without measures that are metrics of a HyperModel: the baseline is none
    of its models."""

    def able(measures: Sequence[Objective]) -> list[Objective]:
        return [
            measure
            for measure in measures
            if not isinstance(measure, Metric) or measure.metric in OF_EVERY_TRAINING
        ]

    kept = {"objectives": able(config.objectives), "record": able(config.record)}
    return config.model_copy(update=kept)


class Best(EvaluationCallback):
    """Keeps the best epoch's weights in the checkpoints of a training, so that one is never there
    without the other.

    Args:
        supervisor: Whose checkpoints they are.

    Attributes:
        weights: The best epoch's weights so far, packed; on the leader alone.
        is_over: Whether the model has these weights by now: its state is no checkpoint then.
    """

    def __init__(self, supervisor: EvaluationCallback) -> None:
        self._supervisor = supervisor
        self.weights = b""
        self.is_over = False

    def beat(self) -> None:
        """See ``EvaluationCallback.beat``."""
        self._supervisor.beat()

    def wants_checkpoint(self) -> bool:
        """See ``EvaluationCallback.wants_checkpoint``."""
        return self._supervisor.wants_checkpoint()

    def keep_checkpoint(self, data: bytes) -> None:
        """See ``EvaluationCallback.keep_checkpoint``."""
        if not self.is_over:
            self._supervisor.keep_checkpoint(_joined([data, self.weights]))

    def checkpoint(self) -> bytes | None:
        """See ``EvaluationCallback.checkpoint``."""
        data = self._supervisor.checkpoint()
        if data is None:
            return None
        try:
            state, self.weights = _parted(data)
        except Exception:  # a damaged file fails in many ways; who unpacks it says so
            return data
        return state

    def known(self, fields: dict[str, Any]) -> dict[str, Any] | None:
        """See ``EvaluationCallback.known``."""
        return self._supervisor.known(fields)

    def failed(self, reason: str) -> None:
        """See ``EvaluationCallback.failed``."""
        self._supervisor.failed(reason)


def _joined(parts: Sequence[bytes]) -> bytes:
    file = io.BytesIO()
    np.savez(file, *(np.frombuffer(part, np.uint8) for part in parts))
    return file.getvalue()


def _parted(data: bytes) -> list[bytes]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return [file[f"arr_{number}"].tobytes() for number in range(2)]
