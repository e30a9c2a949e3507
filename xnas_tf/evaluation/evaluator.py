"""The evaluator: builds, trains and scores one candidate on all ranks of its group."""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.candidate import Candidate, Result
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RankDiedError, RunError, XnasError
from xnas_tf.evaluation.backend import Backend, ModelAccess, SeparateModels
from xnas_tf.evaluation.collapse import describe_collapse
from xnas_tf.evaluation.evaluation_hash import evaluation_digest
from xnas_tf.evaluation.scorer import Scorer, describe_violations
from xnas_tf.keras_tools.inspection import network_of
from xnas_tf.keras_tools.mixed_precision import check_devices
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.objectives.base import Subject
from xnas_tf.registry import describe
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import CallbackError, EvaluationCallback, Interrupted, escaping
from xnas_tf.training.checkpoint import TrainingProgress
from xnas_tf.training.compiled_metrics import compiled_metrics, has_metrics
from xnas_tf.training.custom_fit import CustomFitTrainer, check_own_training
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.predictor import Predictor, cross_entropy
from xnas_tf.training.timing import TimedCommunicator
from xnas_tf.training.trainer import Trainer
from xnas_tf.utils.heartbeat import on_progress, report_progress
from xnas_tf.utils.phase_times import PhaseTimes
from xnas_tf.utils.randomness import uninterrupted

AnyTrainer = Trainer | CustomFitTrainer
Keep = Callable[[Result, keras.Model], None]
_FAILURES = (Exception, SystemExit)
"""Exceptions in a user's code that are failures of the candidate: even its ``sys.exit()`` must not
end the search."""
_NO_PROBABILITIES = np.zeros((0, 0), np.float32)


class Evaluator:
    """Evaluates candidates, on all ranks at once.

    An evaluation is a function of the candidate's hyperparameters and seed, the configuration and
    the data. It leaves no state behind.

    Args:
        config: The configuration.
        dataset: The data set.
        space: The search space.
        communicator: The ranks that evaluate a candidate together.
        backend: How models are trained and queried; ``SeparateModels`` if None.
    """

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        space: SearchSpace,
        communicator: Communicator,
        backend: Backend | None = None,
    ) -> None:
        self._config = config
        self._dataset = dataset
        self._space = space
        self._backend = backend or SeparateModels()
        self._communicator = TimedCommunicator(communicator, PhaseTimes())
        self._model: Any = None
        self._network: Any = None
        self._probabilities = _NO_PROBABILITIES
        self._scorer = Scorer(config, dataset.class_names)
        if config.training.mixed_precision:
            check_devices()
        order = validation_order(config, dataset)
        mine = order[shard(len(order), communicator.rank, communicator.size)]
        self._validation = dataset.validation.select(mine)
        self._trainings = 0

    def evaluate(
        self,
        candidate: Candidate,
        keep: Keep | None = None,
        callback: EvaluationCallback | None = None,
    ) -> Result:
        """Build, train and score a candidate, unless the callback knows its network.

        Args:
            candidate: The candidate; its hyperparameters, seed and epochs are used. If it has
                fewer epochs than a full training, its last state is saved as a checkpoint.
            keep: Called with the result and the trained model of a candidate that is done, before
                the model is freed.
            callback: Called during the evaluation; saves checkpoints and may interrupt.

        Returns:
            The result, the same on every rank: done, infeasible, a duplicate, or failed with the
            reason.

        Raises:
            RankDiedError: If another rank died.
            Exception: Any exception of the callback, and ``OSError``, ``RunError`` or
                ``Interrupted`` from ``keep``; these are not failures of the candidate.
        """
        callback = callback or EvaluationCallback()
        result = Result()
        self._communicator.count_in(result.seconds)
        try:
            with freed_custom_gradients(), on_progress(escaping()(callback.report_progress)):
                self._evaluate(candidate, result, callback)
        except CallbackError as escaped:
            raise escaped.error from None
        except Interrupted:
            raise
        except _FAILURES as error:  # a failed candidate must not end the search
            if self._communicator.size > 1 and _is_of_horovod(error):
                raise RankDiedError(f"another rank died: {describe(error)}") from error
            reason = str(error) if isinstance(error, XnasError) else describe(error)
            if not isinstance(error, XnasError):  # those are raised on all ranks
                callback.failed(reason)
            result = result.failed(reason)
            error.__traceback__ = None  # it holds the model
        else:
            if keep and result.state == "done" and not result.answered_by:
                with result.seconds.timed("record"):
                    result = self._keep(keep, result)
        finally:
            with result.seconds.timed("clean"):
                self._release()
        return result

    def reloaded(self, candidate: Candidate, model: keras.Model) -> ModelAccess:
        """Return the fastest access to a model that was saved; see ``Backend.reloaded``."""
        return self._backend.reloaded(candidate, model, len(self._dataset.test))

    def _keep(self, keep: Keep, result: Result) -> Result:
        """Save the model; the candidate fails if its model cannot be saved."""
        try:
            keep(result, self._network)
        except (OSError, RunError, Interrupted):  # from the disk, rank 0 or the user
            raise
        except _FAILURES as error:  # from a user's layers
            return result.failed(f"the model cannot be saved: {describe(error)}")
        return result

    def _evaluate(self, candidate: Candidate, result: Result, callback: EvaluationCallback) -> None:
        infeasible = self._space.infeasible(candidate.hyperparameters)
        if not infeasible:
            with result.seconds.timed("build"):
                self._model = self._network = self._build(candidate)
                if self._space.trains(self._model):  # scored and saved without its own training
                    self._network = network_of(self._model)
                result.digest = self._digest(candidate)
                report_progress()
                untrained = Subject(self._network, self._communicator, self._dataset.class_names)
                self._scorer.score(untrained, result, trained=False)
                infeasible = describe_violations(self._config.constraints, result)
        if infeasible:
            result.state, result.reason = "infeasible", infeasible
            return
        if self._is_known(result, callback):
            return
        with result.seconds.timed("train"):
            trainer = self._train(candidate, result, callback)
        with result.seconds.timed("score"), trainer.checkpoint_if_interrupted():
            self._note_collapse(result)
            subject = self._trained_subject(dict(result.metrics))
            self._scorer.score(subject, result, trained=True)
        result.state = "done"
        self._trainings += 1

    def _build(self, candidate: Candidate) -> keras.Model:
        """Build the model on all ranks; if it fails on one it fails on all, so that none waits."""
        failure = model = None
        try:
            with uninterrupted():
                # Initial values are drawn from global generators, whatever layers are used.
                keras.utils.set_random_seed(candidate.seed)
                model = self._space.build(candidate.hyperparameters)
        except _FAILURES as error:
            failure = describe(error)
        (failed,) = self._communicator.sum(np.array(failure is not None, np.int64))
        if failed:
            raise RunError(f"build failed: {failure or 'on another rank'}")
        return model

    def _digest(self, candidate: Candidate) -> str:
        values = candidate.hyperparameters
        return evaluation_digest(self._model, self._config.space, self._space, values)

    def _is_known(self, result: Result, callback: EvaluationCallback) -> bool:
        """Update the result on all ranks if the callback knows it; return whether it does."""
        known = None
        if self._communicator.rank == 0:
            with escaping():
                known = callback.known(result)
        fields = self._communicator.broadcast(known and known.as_dict())  # as JSON
        if fields:
            result.update(Result(**fields))
        return fields is not None

    def _train(
        self, candidate: Candidate, result: Result, callback: EvaluationCallback
    ) -> AnyTrainer:
        # The learning rate decays to its end on each rung, so that rungs rank candidates alike.
        training = self._config.training.model_copy(update={"epochs": candidate.epochs})
        if self._space.trains(self._model):
            return self._train_with_own_fit(candidate, result, training)
        trainer = self._backend.trainer(
            candidate,
            self._model,
            self._dataset,
            training,
            self._communicator,
            candidate.seed,
            callback,
            result.seconds,
            self._config.training.epochs,
        )
        result.note(trainer.ignored)
        if (
            candidate.promoted_from
            and trainer.progress == TrainingProgress()
            and not trainer.ignored
        ):
            result.note("the checkpoint of the rung below was not found: trained from scratch")
        result.history = trainer.progress.history
        predictor = self._backend.predictor(
            self._model, len(self._validation), self._config.training.epochs
        )
        while (epoch := trainer.progress.epoch) < candidate.epochs:
            metrics = trainer.run_epoch()
            with (
                trainer.checkpoint_if_interrupted(),
                result.seconds.timed("validate", within="train"),
            ):
                metrics |= self._validate(predictor)
            _check_finite(metrics["val_loss"], epoch + 1)
            result.history.append(metrics)
            if self._is_enough(trainer, result.history):
                break
        result.metrics.update(result.history[-1])
        if candidate.epochs < self._config.training.epochs:
            trainer.save_end_of_epoch()
        return trainer

    def _is_enough(self, trainer: AnyTrainer, history: list[dict[str, float]]) -> bool:
        """Return whether a training stops early after this epoch.

        It never does in a search, so that all candidates of a fidelity are trained alike.
        """
        return False

    def _train_with_own_fit(
        self, candidate: Candidate, result: Result, training: TrainingOptions
    ) -> CustomFitTrainer:
        """Train with the ``fit`` of the HyperModel or the model, and validate as usual."""
        check_own_training(
            "the model",
            self._config.training,
            len(self._config.rungs),
            self._dataset,
            self._communicator.size,
        )
        fit = partial(self._space.fit, candidate.hyperparameters)
        trainer = CustomFitTrainer(self._model, self._dataset, self._validation, training, fit)
        predictor = Predictor(self._model)

        def end_of_epoch(metrics: dict[str, float]) -> bool:
            with result.seconds.timed("validate", within="train"):
                metrics = metrics | self._validate(predictor)
            _check_finite(metrics["val_loss"], len(result.history) + 1)
            result.history.append(metrics)
            return self._is_enough(trainer, result.history)

        trainer.train(candidate.seed, end_of_epoch)
        # Again, since fit may have restored the weights of the best epoch.
        with result.seconds.timed("validate", within="train"):
            last = self._validate(predictor)
        _check_finite(last["val_loss"], len(result.history))
        result.metrics.update(result.history[-1] | trainer.returned | last)
        return trainer

    def _validate(self, predictor: Predictor) -> dict[str, float]:
        """Return the exact validation metrics: sums over all ranks, then divided."""
        labels = self._validation.labels
        self._probabilities = predictor(self._validation.images)
        correct = np.count_nonzero(self._probabilities.argmax(axis=1) == labels)
        sums = np.array([cross_entropy(self._probabilities, labels), correct, len(labels)])
        (sums,) = self._communicator.sum(sums)
        metrics = {"val_loss": sums[0] / sums[2], "val_accuracy": sums[1] / sums[2]}
        return self._own_metrics() | metrics

    def _note_collapse(self, result: Result) -> None:
        """Mark the result of a training that collapsed, on all ranks alike."""
        classes, labels = self._dataset.classes, self._validation.labels
        predicted = self._probabilities.argmax(axis=1)
        counts = [
            np.bincount(each, minlength=classes)
            for each in (predicted, labels, labels[predicted == labels])
        ]
        predictions, images, correct = self._communicator.sum(*counts)
        if why := describe_collapse(predictions, images, int(correct.sum()), result.history):
            result.metrics["collapsed"] = 1.0
            result.note(f"collapsed: {why}")

    def _own_metrics(self) -> dict[str, float]:
        """Return the validation values of the metrics that the HyperModel compiled its model with.

        They are computed from all images at once, since not all metrics are means over images.
        """
        if not has_metrics(self._model):
            return {}
        count = len(self._dataset.validation)
        mine = shard(count, self._communicator.rank, self._communicator.size)
        probabilities = np.zeros((count, self._dataset.classes), np.float32)
        labels = np.zeros(count, np.int32)
        probabilities[mine], labels[mine] = self._probabilities, self._validation.labels
        metrics = compiled_metrics(self._model, *self._communicator.sum(probabilities, labels))
        return {f"val_{name}": value for name, value in metrics.items()}

    def _trained_subject(self, metrics: dict[str, float]) -> Subject:
        return Subject(
            self._network,
            self._communicator,
            self._dataset.class_names,
            self._validation.images,
            self._validation.labels,
            self._probabilities,
            metrics,
            self._backend.shared_models(),
        )

    def _release(self) -> None:
        """Free the model and everything traced with it; ``clear_session`` collects garbage."""
        self._backend.release()
        self._model = self._network = None
        self._probabilities = _NO_PROBABILITIES
        keras.backend.clear_session()
        if self._trainings == 1:
            # Imported modules and shared graphs stay: later collections can skip them.
            gc.freeze()


def validation_order(config: Config, dataset: Dataset) -> np.ndarray:
    """Return the indices of the validation images in the order that objectives receive."""
    return np.random.default_rng(config.dataset.seed).permutation(len(dataset.validation))


def _check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise RunError(f"the validation loss became {loss} in epoch {epoch}")


def _is_of_horovod(error: BaseException) -> bool:
    """Return whether a collective operation failed for another reason than a lack of memory.

    Horovod's messages and the names of its operations are capitalised; the paths of files that
    TensorFlow quotes do not count.
    """
    is_memory = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    message = f"{type(error).__name__}: {error}"
    return not is_memory and re.search(r"(?<![\w/\\.-])Horovod", message) is not None
