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
from xnas_tf.data.bug import check_augmentation
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RankDiedError, RunError, XnasError, is_temporary
from xnas_tf.evaluation.backend import Backend
from xnas_tf.evaluation.collapse import describe_collapse
from xnas_tf.evaluation.evaluation_hash import evaluation_digest
from xnas_tf.evaluation.scorer import Scorer
from xnas_tf.evaluation.validator import Validator
from xnas_tf.keras_tools.inspection import network_of
from xnas_tf.keras_tools.mixed_precision import check_devices
from xnas_tf.keras_tools.model_files import describe_failure
from xnas_tf.keras_tools.settings import KerasSettings, clear_session
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.keras_tools.weights_errors import explain_weights
from xnas_tf.objectives.base import Subject
from xnas_tf.registry import describe
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import CallbackError, EvaluationCallback, Interrupted, escaping
from xnas_tf.training.checkpoint import TrainingProgress
from xnas_tf.training.custom_fit import CustomFitTrainer
from xnas_tf.training.keras_callbacks import new_callbacks
from xnas_tf.training.metrics import finite_metrics
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.timing import TimedCommunicator
from xnas_tf.training.trainer import Trainer
from xnas_tf.utils.constraints import describe_violations
from xnas_tf.utils.heartbeat import on_progress, report_progress
from xnas_tf.utils.phase_times import PhaseTimes
from xnas_tf.utils.randomness import uninterrupted

AnyTrainer = Trainer | CustomFitTrainer
Keep = Callable[[Result, keras.Model], None]
_FAILURES = (Exception, SystemExit)
"""Exceptions in a user's code that count as failures of the candidate. Not even ``sys.exit()`` may
end the search."""


class Evaluator:
    """Evaluates candidates on all ranks of a group together.

    An evaluation depends only on the candidate's hyperparameters and seed, the configuration and
    the data. No evaluation leaves any state behind. ``backend`` trains and queries the models.
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
        self.backend = backend or Backend()
        self._communicator = TimedCommunicator(communicator, PhaseTimes())
        self._model: Any = None
        self._network: Any = None
        self._scorer = Scorer(config, dataset)
        check_augmentation(dataset, config.training.augmentation)
        if config.training.mixed_precision:
            check_devices()
        self._validator = Validator(config, dataset, self._communicator)
        self._trainings = 0
        self._settings = KerasSettings.current()

    def evaluate(
        self,
        candidate: Candidate,
        keep: Keep | None = None,
        callback: EvaluationCallback | None = None,
    ) -> Result:
        """Build, train and score a candidate, unless the callback has a result for its network.

        Args:
            candidate: The candidate; its hyperparameters, seed and epochs are used. If a candidate
                has fewer epochs than full training, its last state is saved as a checkpoint.
            keep: Called with the result and the trained model of a candidate that is done, before
                the model is freed.
            callback: Called during the evaluation; saves checkpoints and may interrupt it.

        Returns:
            The result, which is the same on every rank: done, infeasible, duplicate, or failed
            (with a reason).

        Raises:
            RankDiedError: If another rank died.
            OSError: If a disk is full or fails, or its server does, on this rank.
            Exception: Any exception raised by the callback, and ``OSError``, ``RunError`` or
                ``Interrupted`` raised by ``keep``; these are not failures of the candidate.
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
            if is_temporary(error):  # the next candidates would fail, too
                raise
            if self._communicator.size > 1 and _is_of_horovod(error):
                raise RankDiedError(f"another rank died: {describe(error)}") from error
            reason = str(error) if isinstance(error, XnasError) else describe(error)
            if not isinstance(error, XnasError):  # these are raised on all ranks
                callback.failed(reason)
            result = result.failed(reason)
            error.__traceback__ = None  # it references the model
        else:
            if keep and result.state == "done" and not result.reused_from:
                with result.seconds.timed("record"):
                    result = self._keep(keep, result)
        finally:
            with result.seconds.timed("clean"):
                self._release()
        return result

    def _keep(self, keep: Keep, result: Result) -> Result:
        try:
            keep(result, self._network)
        except (OSError, RunError, Interrupted):  # caused by the disk, rank 0 or the user
            raise
        except _FAILURES as error:  # caused by a user's layers
            return result.failed(f"the model cannot be saved: {describe_failure(error)}")
        return result

    def _evaluate(self, candidate: Candidate, result: Result, callback: EvaluationCallback) -> None:
        infeasible = self._space.infeasible(candidate.hyperparameters)
        if not infeasible:
            with result.seconds.timed("build"):
                self._model = self._network = self._build(candidate)
                if self._space.trains(self._model):  # scored and saved without being trained itself
                    self._network = network_of(self._model)
                result.digest = evaluation_digest(
                    self._model, self._config.space, self._space, candidate.hyperparameters
                )
                report_progress()
                untrained = Subject(self._network, self._communicator, self._dataset.class_names)
                self._scorer.score(untrained, result, trained=False)
                costs = {**result.metrics, **result.objectives}  # may be measured: rank 0's count
                violations = describe_violations(self._config.constraints, costs)
                infeasible = self._communicator.broadcast(violations)
        if infeasible:
            result.state, result.reason = "infeasible", infeasible
            return
        if self._is_known(result, callback):
            return
        self._scorer.check_model(self._network)
        with result.seconds.timed("train"):
            trainer = self._train(candidate, result, callback)
        with result.seconds.timed("score"), trainer.checkpoint_if_interrupted():
            self._note_collapse(result)
            self._scorer.score(self._trained_subject(result.metrics), result, trained=True)
            result.metrics.update(self._further_metrics())
        result.state = "done"
        self._trainings += 1

    def _build(self, candidate: Candidate) -> keras.Model:
        """Build the model on all ranks. If one rank fails, all fail, so no rank keeps waiting."""
        failure = model = None
        try:
            with uninterrupted():
                # Layers of any kind draw their initial values from global generators.
                keras.utils.set_random_seed(candidate.seed)
                model = self._space.build(candidate.hyperparameters)
        except _FAILURES as error:
            if is_temporary(error):
                raise
            is_ours = isinstance(error, XnasError)
            failure = str(error) if is_ours else explain_weights(error) or describe(error)
        (failed,) = self._communicator.sum(np.array(failure is not None, np.int64))
        if failed:
            raise RunError(f"build failed: {failure or 'on another rank'}")
        return model

    def _is_known(self, result: Result, callback: EvaluationCallback) -> bool:
        """Update the result on all ranks if the callback has one; return whether it does."""
        with escaping():
            known = None if self._communicator.rank else callback.known(result)
        fields = self._communicator.broadcast(known and known.as_dict())  # as JSON
        if fields:
            result.update(Result(**fields))
        return fields is not None

    def _train(
        self, candidate: Candidate, result: Result, callback: EvaluationCallback
    ) -> AnyTrainer:
        trainer = self._trainer(candidate, result, callback)
        result.history, early = trainer.progress.history, trainer.progress.early
        if isinstance(trainer, CustomFitTrainer):
            predictor = Predictor(self._model)
        else:
            images, times = len(self._validator.split), self._config.training.epochs
            predictor = self.backend.predictor(self._model, images, times)
        if trainer.progress == TrainingProgress() and self._config.record_at.get(0):
            metrics = self._validate(predictor, 0, result)
            early.update(self._measure_early(0, metrics, result))

        def end_of_epoch(metrics: dict[str, float]) -> bool:
            epoch = len(result.history) + 1
            with trainer.checkpoint_if_interrupted():
                metrics |= self._validate(predictor, epoch, result)
                early.update(self._measure_early(epoch, metrics, result))
            result.history.append(metrics)
            is_stopped = trainer.end_epoch(result.history)
            ends = self._ends_early(candidate, trainer, result.history)
            with escaping():
                callback.on_epoch_end(result.history)
            return ends or is_stopped

        trainer.train(end_of_epoch)
        if candidate.epochs < self._config.training.epochs:
            trainer.save_end_of_epoch()
        with trainer.checkpoint_if_interrupted():
            self._end_training(trainer, predictor, result)
        return trainer

    def _ends_early(
        self, candidate: Candidate, trainer: AnyTrainer, history: list[dict[str, float]]
    ) -> bool:
        """Return whether training ends after this epoch.

        Never in a search, so that all candidates of a fidelity are trained in the same way.
        """
        return False

    def _further_metrics(self) -> dict[str, float]:
        """Return metrics of a scored network to add to the result."""
        return {}

    def _trainer(
        self, candidate: Candidate, result: Result, callback: EvaluationCallback
    ) -> AnyTrainer:
        # The learning rate decays fully on each rung, so that all rungs rank candidates alike.
        training = self._config.training.model_copy(update={"epochs": candidate.epochs})
        names, rank = training.callbacks, self._communicator.rank
        callbacks = new_callbacks(names, f"candidate-{candidate.id:05d}", rank)
        model, data, seed = self._model, self._dataset, candidate.seed
        if self._space.has_fit:
            fit = partial(self._space.fit, candidate.hyperparameters)
            split = self._validator.split
            return CustomFitTrainer(model, data, split, training, fit, seed, callbacks)
        trainer = self.backend.trainer(
            candidate,
            model,
            data,
            training,
            self._communicator,
            seed,
            callback,
            result.seconds,
            self._config.training.epochs,
            callbacks,
        )
        result.note(trainer.ignored)
        is_new = trainer.progress == TrainingProgress() and not trainer.ignored
        if candidate.promoted_from and is_new:
            result.note("the checkpoint of the rung below was not found: trained from scratch")
        return trainer

    def _measure_early(
        self, epoch: int, metrics: dict[str, float], result: Result
    ) -> dict[str, float]:
        if not self._config.record_at.get(epoch):
            return {}
        with result.seconds.timed("score", within="train"):
            return self._scorer.score_at(epoch, self._trained_subject(metrics))

    def _end_training(self, trainer: AnyTrainer, predictor: Predictor, result: Result) -> None:
        """Set the final weights, and validate them if they differ from the last epoch's."""
        has_changed = trainer.finish()
        epoch = trainer.best.epoch if trainer.best else len(result.history)
        result.metrics.update(result.history[epoch - 1] | trainer.progress.early)
        if trainer.best:
            result.metrics["best_epoch"] = float(epoch)
        if has_changed:
            result.metrics.update(self._validate(predictor, epoch, result))
            for name in self._validator.undefined:
                result.metrics.pop(name, None)
        if self._config.test == "all":
            with result.seconds.timed("score", within="train"):
                tested = self._validator.test(predictor)
            result.metrics.update(finite_metrics(tested))
            for name in sorted(tested.keys() - result.metrics.keys()):
                result.note(f"not recorded: {name} is {tested[name]}")

    def _validate(self, predictor: Predictor, epoch: int, result: Result) -> dict[str, float]:
        with result.seconds.timed("validate", within="train"):
            return self._validator.validate(self._model, predictor, epoch)

    def _note_collapse(self, result: Result) -> None:
        """Mark the result on all ranks if training collapsed."""
        predicted = self._validator.probabilities.argmax(axis=1)
        labels = self._validator.split.labels
        predictions, images, correct = self._class_counts(predicted, labels)
        if why := describe_collapse(predictions, images, int(correct.sum()), result.history):
            result.metrics["collapsed"] = 1.0
            result.note(f"collapsed: {why}")

    def _class_counts(self, predicted: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        """Count the predictions, the images and the hits of each class on all ranks."""
        each_of = predicted, labels, labels[predicted == labels]
        counts = [np.bincount(each, minlength=self._dataset.classes) for each in each_of]
        return self._communicator.sum(*counts)

    def _trained_subject(self, metrics: dict[str, float]) -> Subject:
        undefined = dict.fromkeys(self._validator.undefined, math.nan)
        return Subject(
            self._network,
            self._communicator,
            self._dataset.class_names,
            self._validator.split.images,
            self._validator.split.labels,
            self._validator.probabilities,
            {**metrics, **undefined},
            self.backend.shared_models(),
            self._validator.split.masks,
            self._dataset.bug,
        )

    def _release(self) -> None:
        """Free the model and everything traced with it; ``clear_session`` collects garbage."""
        self.backend.release()
        self._model = self._network = None
        self._validator.clear()
        self._settings.apply()  # build() may have changed them for this candidate
        clear_session()
        if self._trainings == 1:
            # Imported modules and shared graphs stay in memory, so later collections can skip them.
            gc.freeze()


def _is_of_horovod(error: BaseException) -> bool:
    """Return whether a collective operation failed for a reason other than a lack of memory.

    Horovod's messages and operation names contain its capitalised name; the name is ignored in file
    paths that TensorFlow quotes.
    """
    is_memory = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    message = f"{type(error).__name__}: {error}"
    return not is_memory and re.search(r"(?<![\w/\\.-])Horovod", message) is not None
