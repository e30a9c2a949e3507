"""One candidate from hyperparameters to objective values: build, train, score."""

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

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import shard
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RankDiedError, RunError, XnasError
from xnas_tf.evaluation.backend import Backend, ModelAccess, SeparateModels
from xnas_tf.evaluation.collapse import collapse_of
from xnas_tf.evaluation.evaluation_hash import evaluation_digest
from xnas_tf.evaluation.result import Result
from xnas_tf.evaluation.scorer import Scorer, broken_limits
from xnas_tf.keras_tools.inspection import network_of
from xnas_tf.keras_tools.mixed_precision import check_devices
from xnas_tf.keras_tools.tracing import forgotten_custom_gradients
from xnas_tf.objectives.base import Subject
from xnas_tf.registry import describe
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.training.callbacks import CallbackError, EvaluationCallback, Interrupted, escaping
from xnas_tf.training.checkpoint import TrainingProgress
from xnas_tf.training.compiled_metrics import compiled_metrics, has_metrics
from xnas_tf.training.custom_fit import CustomFitTrainer, check_own_training
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.predictor import Predictor, cross_entropy
from xnas_tf.training.timing import PhaseTimes, TimedCommunicator
from xnas_tf.training.trainer import Trainer
from xnas_tf.utils.heartbeat import beat, heard_by
from xnas_tf.utils.randomness import uninterrupted

AnyTrainer = Trainer | CustomFitTrainer
Keep = Callable[[Result, keras.Model], None]
_FAILURES = (Exception, SystemExit)
"""What a user's code may raise that is a failure of its candidate: ``sys.exit()`` in it must not
end the search either."""


_NOTHING = np.zeros((0, 0), np.float32)


class Evaluator:
    """Evaluates candidates, on all ranks at once.

    An evaluation is a function of the candidate's hyperparameters and seed, the
    configuration and the data; it leaves nothing behind.
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
        self._probabilities = _NOTHING
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
        supervisor: EvaluationCallback | None = None,
    ) -> Result:
        """Builds, trains and scores a candidate, unless the supervisor knows its network.

        Args:
            candidate: Its hyperparameters, seed and epochs are used. Below the full length the
                supervisor gets the state of the training in the end, to go on from.
            keep: Called with the outcome and the trained model of one that is done, before
                the model is freed.
            supervisor: Hears of the progress, keeps checkpoints, and may interrupt.

        Returns:
            The same outcome on every rank: done, infeasible, a duplicate, or failed with the
            reason.

        Raises:
            RankDiedError: If another rank died.
            Exception: Whatever the supervisor raises, and ``OSError``, ``RunError`` or
                ``Interrupted`` of ``keep``: no failures of the candidate.
        """
        supervisor = supervisor or EvaluationCallback()
        outcome = Result()
        self._communicator.count_in(outcome.seconds)
        try:
            with forgotten_custom_gradients(), heard_by(escaping()(supervisor.beat)):
                self._evaluate(candidate, outcome, supervisor)
        except CallbackError as escaped:
            raise escaped.error from None
        except Interrupted:
            raise
        except _FAILURES as error:  # a failed candidate must not end the search
            if self._communicator.size > 1 and _is_of_horovod(error):
                raise RankDiedError(f"another rank died: {describe(error)}") from error
            reason = str(error) if isinstance(error, XnasError) else describe(error)
            if not isinstance(error, XnasError):  # ours are raised on all ranks alike
                supervisor.failed(reason)
            outcome = outcome.failed(reason)
            error.__traceback__ = None  # it holds the model
        else:
            if keep and outcome.state == "done" and not outcome.answered_by:
                with outcome.seconds.timed("record"):
                    outcome = self._keep(keep, outcome)
        finally:
            with outcome.seconds.timed("clean"):
                self._release()
        return outcome

    def reloaded(self, candidate: Candidate, model: keras.Model) -> ModelAccess:
        """Return the fastest way to query a model that was saved; see ``Backend.reloaded``."""
        return self._backend.reloaded(candidate, model, len(self._dataset.test))

    def _keep(self, keep: Keep, outcome: Result) -> Result:
        """Keeps the model; one that cannot be saved is a failure of the candidate."""
        try:
            keep(outcome, self._network)
        except (OSError, RunError, Interrupted):  # of the disk, rank 0 or the user
            raise
        except _FAILURES as error:  # of a user's layers
            return outcome.failed(f"the model cannot be saved: {describe(error)}")
        return outcome

    def _evaluate(
        self, candidate: Candidate, outcome: Result, supervisor: EvaluationCallback
    ) -> None:
        infeasible = self._space.infeasible(candidate.hyperparameters)
        if not infeasible:
            with outcome.seconds.timed("build"):
                self._model = self._network = self._build(candidate)
                if self._space.trains(self._model):  # measured and kept without what trains it
                    self._network = network_of(self._model)
                outcome.digest = self._digest(candidate)
                beat()
                untrained = Subject(self._network, self._communicator, self._dataset.class_names)
                self._scorer.score(untrained, outcome, trained=False)
                infeasible = broken_limits(self._config.constraints, outcome)
        if infeasible:
            outcome.state, outcome.reason = "infeasible", infeasible
            return
        if self._is_known(outcome, supervisor):
            return
        with outcome.seconds.timed("train"):
            trainer = self._train(candidate, outcome, supervisor)
        with outcome.seconds.timed("score"), trainer.kept_if_interrupted():
            self._note_collapse(outcome)
            subject = self._trained_subject(dict(outcome.metrics))
            self._scorer.score(subject, outcome, trained=True)
        outcome.state = "done"
        self._trainings += 1

    def _build(self, candidate: Candidate) -> keras.Model:
        """Builds on all ranks; where it fails on one it fails on all, so that none waits."""
        failure = model = None
        try:
            with uninterrupted():
                # Initial values come from global generators, whatever layers a user has.
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

    def _is_known(self, outcome: Result, supervisor: EvaluationCallback) -> bool:
        """Takes over what is known, on all ranks what the leader hears; whether there is any."""
        answer = None
        if self._communicator.rank == 0:
            with escaping():
                answer = supervisor.known(outcome.as_dict())
        answer = self._communicator.broadcast(answer)
        outcome.take(answer or {})
        return answer is not None

    def _train(
        self, candidate: Candidate, outcome: Result, supervisor: EvaluationCallback
    ) -> AnyTrainer:
        # The learning rate falls within each rung, or its order would not be that of the end.
        training = self._config.training.model_copy(update={"epochs": candidate.epochs})
        if self._space.trains(self._model):
            return self._train_by_itself(candidate, outcome, training)
        trainer = self._backend.trainer(
            candidate,
            self._model,
            self._dataset,
            training,
            self._communicator,
            candidate.seed,
            supervisor,
            outcome.seconds,
            self._config.training.epochs,
        )
        outcome.note(trainer.ignored)
        if (
            candidate.promoted_from
            and trainer.progress == TrainingProgress()
            and not trainer.ignored
        ):
            outcome.note("the state of the rung below was not found: it was trained anew")
        outcome.history = trainer.progress.history
        predictor = self._backend.predictor(
            self._model, len(self._validation), self._config.training.epochs
        )
        while (epoch := trainer.progress.epoch) < candidate.epochs:
            figures = trainer.run_epoch()
            with trainer.kept_if_interrupted(), outcome.seconds.timed("validate", within="train"):
                figures |= self._validate(predictor)
            _check_finite(figures["val_loss"], epoch + 1)
            outcome.history.append(figures)
            if self._is_enough(trainer, outcome.history):
                break
        outcome.metrics.update(outcome.history[-1])
        if candidate.epochs < self._config.training.epochs:
            trainer.keep_end()
        return trainer

    def _is_enough(self, trainer: AnyTrainer, history: list[dict[str, float]]) -> bool:
        """Whether a training ends after this epoch; a search lets each come to its end, so that
        all candidates of a fidelity are trained alike."""
        return False

    def _train_by_itself(
        self, candidate: Candidate, outcome: Result, training: TrainingOptions
    ) -> CustomFitTrainer:
        """Trains as the HyperModel or the model does; validation figures are taken as ever."""
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

        def end_of_epoch(figures: dict[str, float]) -> bool:
            with outcome.seconds.timed("validate", within="train"):
                figures = figures | self._validate(predictor)
            _check_finite(figures["val_loss"], len(outcome.history) + 1)
            outcome.history.append(figures)
            return self._is_enough(trainer, outcome.history)

        trainer.train(candidate.seed, end_of_epoch)
        # Once more: fit may have taken the best epoch's weights in the end.
        with outcome.seconds.timed("validate", within="train"):
            last = self._validate(predictor)
        _check_finite(last["val_loss"], len(outcome.history))
        outcome.metrics.update(outcome.history[-1] | trainer.returned | last)
        return trainer

    def _validate(self, predictor: Predictor) -> dict[str, float]:
        """Exact validation figures: sums over all ranks, then divided."""
        labels = self._validation.labels
        self._probabilities = predictor(self._validation.images)
        correct = np.count_nonzero(self._probabilities.argmax(axis=1) == labels)
        sums = np.array([cross_entropy(self._probabilities, labels), correct, len(labels)])
        (sums,) = self._communicator.sum(sums)
        figures = {"val_loss": sums[0] / sums[2], "val_accuracy": sums[1] / sums[2]}
        return self._own_metrics() | figures

    def _note_collapse(self, outcome: Result) -> None:
        """Marks a training that came to nothing, on all ranks alike."""
        classes, labels = self._dataset.classes, self._validation.labels
        predicted = self._probabilities.argmax(axis=1)
        counts = [
            np.bincount(of, minlength=classes)
            for of in (predicted, labels, labels[predicted == labels])
        ]
        answers, images, right = self._communicator.sum(*counts)
        if why := collapse_of(answers, images, int(right.sum()), outcome.history):
            outcome.metrics["collapsed"] = 1.0
            outcome.note(f"collapsed: {why}")

    def _own_metrics(self) -> dict[str, float]:
        """Validation values of the metrics that the HyperModel compiled its model with: those
        of all images, since not all metrics are means over images."""
        if not has_metrics(self._model):
            return {}
        count = len(self._dataset.validation)
        mine = shard(count, self._communicator.rank, self._communicator.size)
        everything = np.zeros((count, self._dataset.classes), np.float32)
        labels = np.zeros(count, np.int32)
        everything[mine], labels[mine] = self._probabilities, self._validation.labels
        found = compiled_metrics(self._model, *self._communicator.sum(everything, labels))
        return {f"val_{name}": value for name, value in found.items()}

    def _trained_subject(self, figures: dict[str, float]) -> Subject:
        return Subject(
            self._network,
            self._communicator,
            self._dataset.class_names,
            self._validation.images,
            self._validation.labels,
            self._probabilities,
            figures,
            self._backend.stand_ins(),
        )

    def _release(self) -> None:
        """Frees the model and everything traced with it; ``clear_session`` collects garbage."""
        self._backend.release()
        self._model = self._network = None
        self._probabilities = _NOTHING
        keras.backend.clear_session()
        if self._trainings == 1:
            # What was imported and is traced for all stays: later collections need not walk
            # through it each time.
            gc.freeze()


def validation_order(config: Config, dataset: Dataset) -> np.ndarray:
    """Numbers of the validation images in the order in which objectives see them."""
    return np.random.default_rng(config.dataset.seed).permutation(len(dataset.validation))


def _check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise RunError(f"the validation loss became {loss} in epoch {epoch}")


def _is_of_horovod(error: BaseException) -> bool:
    """Whether a collective operation failed; being out of memory in one is another matter.

    Its messages and the names of its operations have a capital letter, the paths of files that
    TensorFlow quotes have not.
    """
    is_memory = isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
    said = f"{type(error).__name__}: {error}"
    return not is_memory and re.search(r"(?<![\w/\\.-])Horovod", said) is not None
