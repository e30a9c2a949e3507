"""Data-parallel training of one model with a constant global batch size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial

import keras
import numpy as np

from xnas_tf.data import Batch, Dataset
from xnas_tf.data.batches import batching, training_batches
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RunError
from xnas_tf.keras_tools.targets import build_metrics
from xnas_tf.training.callbacks import (
    CallbackError,
    EndOfEpoch,
    EvaluationCallback,
    Interrupted,
    escaping,
)
from xnas_tf.training.checkpoint import (
    BestEpoch,
    CheckpointError,
    TrainingProgress,
    join,
    pack,
    split,
    unpack,
)
from xnas_tf.training.compilation import compile_model
from xnas_tf.training.metrics import finite_metrics
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.step import Step, optimizers_of
from xnas_tf.utils.heartbeat import report_progress
from xnas_tf.utils.phase_times import PhaseTimes


class Trainer:
    """Trainer of one Keras model on this rank's part of each global batch.

    The model's own ``train_step`` runs on each rank's share of a batch, and the gradients are
    averaged. Training on one rank or on several therefore gives the same model, except that
    BatchNorm uses the statistics, and Dropout the random numbers, of each rank's own share.

    Attributes:
        progress: Starts with the progress in the callback's checkpoint, if any. The caller of
            ``run_epoch`` adds the metrics to ``progress.history``.
        best: The best epoch; None unless its weights are to be kept (``training.keep``).
        ignored: Why the callback's checkpoint was ignored; empty if it was not.

    Args:
        model: Compiled according to the configuration unless it is already compiled.
        seed: Seed for the order and the augmentation of images.
        seconds: Times to which ``trace``, the time of the first step, is added.
        longest: Largest number of epochs to which this training may later be extended. Because
            tracing affects rounding, either all stages of the training must trace their steps, or
            none may.
        keras_callbacks: If there are any, no checkpoints are saved, as they would lack their state.
    """

    def __init__(  # noqa: PLR0913 - the parts of a training
        self,
        model: keras.Model,
        dataset: Dataset,
        config: TrainingOptions,
        communicator: Communicator,
        seed: int,
        callback: EvaluationCallback | None = None,
        seconds: PhaseTimes | None = None,
        longest: int = 0,
        keras_callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        self._model = model
        self._dataset = dataset
        self._config = config
        self._communicator = communicator
        self._seed = seed
        self._callback = (
            EvaluationCallback() if keras_callbacks else callback or EvaluationCallback()
        )
        self._seconds = PhaseTimes() if seconds is None else seconds
        self._batch_size, self._steps = batching(len(dataset.train), config.batch_size)
        weight_decay = 0.0 if model.compiled else config.weight_decay
        if not model.compiled:
            compile_model(model, config, self._steps)
        for optimizer in optimizers_of(model):
            if not optimizer.built:
                optimizer.build(model.trainable_variables)
        _check_reduction(model, communicator, bool(config.class_weight))
        build_metrics(model, dataset.classes)
        self.best = BestEpoch(model, communicator) if config.keep == "best" else None
        self._before_end = b""
        self.progress, self.ignored = self._restore()
        self._resumed_at = self.progress.epoch, self.progress.step
        runs = self._steps * max(config.epochs, longest)
        self.step = self._new_step(weight_decay, runs)
        parameters = {"verbose": 0, "epochs": config.epochs, "steps": self._steps}
        self._keras_callbacks: keras.callbacks.CallbackList | None = None
        if keras_callbacks:
            made = keras.callbacks.CallbackList([*keras_callbacks], model=model, **parameters)
            self._keras_callbacks = made

    def _new_step(self, weight_decay: float, runs: int) -> Step:
        data, config, ranks = self._dataset, self._config, self._communicator
        return Step(self._model, data, self._batch_size, weight_decay, config, ranks, runs)

    @property
    def _state(self) -> list[keras.Variable]:
        model = self._model
        slots = [v for optimizer in optimizers_of(model) for v in optimizer.variables]
        return [*model.variables, *slots, *model.metrics_variables]

    def _restore(self) -> tuple[TrainingProgress, str]:
        """Load rank 0's checkpoint, if any; return the progress, and why it was ignored."""
        progress, ignored = TrainingProgress(), ""
        if self._communicator.rank == 0:
            with escaping():
                data = self._callback.checkpoint()
            try:
                if data is not None and self.best:
                    data, self.best.weights = split(data)
                if data is not None:
                    progress = unpack(data, self._state)
            except CheckpointError as error:
                ignored = f"its checkpoint was ignored: {error}"
        fields, ignored = self._communicator.broadcast([asdict(progress), ignored])
        self._communicator.broadcast_variables(self._state)
        if self._communicator.rank != 0:
            self._model.reset_metrics()  # rank 0's checkpoint holds those for its own images
        return TrainingProgress(**fields), ignored

    def train(self, end_of_epoch: EndOfEpoch) -> None:
        """Train until all epochs are completed or ``end_of_epoch`` returns True."""
        while self.progress.epoch < self._config.epochs:
            if end_of_epoch(self.run_epoch()):
                break

    def run_epoch(self) -> dict[str, float]:
        """Train for an epoch, or for the rest of one that was interrupted.

        Returns the loss and metrics over the epoch's images, computed while the weights were
        changing. If several ranks resumed in the middle of the epoch, the earlier images of ranks
        other than 0 are not included.

        Raises:
            RunError: If the loss is not finite.
        """
        metrics = self.progress.metrics
        if callbacks := self._keras_callbacks:
            if self.progress.epoch == 0:
                self._model.stop_training = False
                callbacks.on_train_begin()
            callbacks.on_epoch_begin(self.progress.epoch)
        if not metrics:
            self._run_steps()  # even if none is left: a supernet loads the weights there
            metrics = self.step.metrics()
        epoch = self.progress.epoch + 1
        if not math.isfinite(loss := metrics.get("loss", 0.0)):
            raise RunError(f"the loss became {loss} in epoch {epoch}")
        metrics = finite_metrics(metrics)
        self._check_equal_weights()
        self._average_statistics()
        history = self.progress.history
        # The history is copied, since the caller adds this epoch's metrics to the list.
        self._epoch_end = replace(
            self.progress, epoch=epoch - 1, step=self._steps, metrics=metrics, history=list(history)
        )
        self.progress = replace(self.progress, epoch=epoch, step=0, metrics={})
        return dict(metrics)

    def end_epoch(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Keep the weights if the last epoch of the history is the best one, and run callbacks.

        Returns whether a Keras callback stopped the training, on any rank.
        """
        if self.best:
            self.best.update(history)
        if self._keras_callbacks:
            self._keras_callbacks.on_epoch_end(len(history) - 1, dict(history[-1]))
        return self._is_stopped()

    def _is_stopped(self) -> bool:
        if not self._keras_callbacks:
            return False
        return bool(self._communicator.sum(np.array(int(self._model.stop_training)))[0])

    def finish(self) -> bool:
        """Set the final weights, and return whether this changed the weights.

        The final weights are those of the best epoch if they were kept, as after ``EarlyStopping``
        with ``restore_best_weights``. Otherwise, the final weights are the optimizer's moving
        averages, if there are any, as after ``fit``. Keras callbacks may then change the weights.
        """
        change = self._final_change()
        if change is not None:
            if self._communicator.rank == 0:
                self._before_end = self._packed(self._epoch_end)
            change()
        if self._keras_callbacks:
            self._keras_callbacks.on_train_end(dict((self.progress.history or [{}])[-1]))
            self._check_equal_weights()
        return change is not None or bool(self._keras_callbacks)

    def _final_change(self) -> Callable[[], None] | None:
        """Return the function that sets the final weights, or None to keep the last epoch's."""
        if self.best:
            return self.best.restore if self.best.epoch < self.progress.epoch else None
        optimizer = getattr(self._model.optimizer, "inner_optimizer", self._model.optimizer)
        own = getattr(type(optimizer), "finalize_variable_values", None)
        of_keras = keras.optimizers.Optimizer.finalize_variable_values
        if own is None or not (optimizer.use_ema or own is not of_keras):
            return None
        return partial(optimizer.finalize_variable_values, self._model.trainable_variables)

    def save_end_of_epoch(self) -> None:
        """Save the state at the end of the last epoch, from which another training can resume.

        The state that this training itself resumed from is not saved again: a new checkpoint is
        always further on.
        """
        end = self._epoch_end
        if self._communicator.rank == 0 and (end.epoch, end.step) != self._resumed_at:
            self._keep(end)

    @contextmanager
    def checkpoint_if_interrupted(self) -> Iterator[None]:
        """Save a checkpoint if the context, entered at the end of an epoch, is interrupted.

        The context is used while an epoch is validated and the model is scored. Training resumes
        with the rest of this epoch, which has no steps left, and then repeats what was interrupted.
        """
        try:
            yield
        except CallbackError as escaped:
            if isinstance(escaped.error, Interrupted) and self._communicator.rank == 0:
                self._keep(self._epoch_end)
            raise

    def _run_steps(self) -> None:
        batches = training_batches(
            self._dataset,
            self._batch_size,
            self._config.augmentation,
            self._seed,
            self.progress.epoch,
            self._communicator.rank,
            self._communicator.size,
            self.progress.step,
        )
        if self.progress.step == 0:
            self.step.reset_metrics()
        batch = next(batches, None)
        for step in range(self.progress.step + 1, self._steps + 1):
            assert batch is not None
            if self._keras_callbacks:
                self._keras_callbacks.on_train_batch_begin(step - 1)
            self._run(batch)
            batch = next(batches, None)  # loaded while a GPU computes
            self.step.wait()
            if self._keras_callbacks:
                self._keras_callbacks.on_train_batch_end(step - 1, self.step.logs)
            self._keep_checkpoint(step)
            report_progress()
            if self._is_stopped():
                break

    def _run(self, batch: Batch) -> None:
        if self.step.has_run:
            self.step(batch.images, batch.labels)
            return
        with self._seconds.timed("trace", within="train"):
            self.step(batch.images, batch.labels)
            self.step.wait()

    def _check_equal_weights(self) -> None:
        """Check that all ranks have the same weights, even with a user's own code."""
        used, ranks = (self._model, *optimizers_of(self._model)), self._communicator
        is_own = any(not type(each).__module__.startswith("keras.") for each in used)
        if ranks.size == 1 or not (is_own or self._keras_callbacks):
            return
        mine = [np.asarray(variable, np.float64) for variable in self._model.trainable_variables]
        means = [total / ranks.size for total in ranks.sum(*mine)]
        pairs = zip(mine, means, strict=True)
        differ = not all(np.allclose(own, mean, equal_nan=True) for own, mean in pairs)
        if ranks.sum(np.array(int(differ)))[0]:
            raise RunError(
                "training gives each rank different weights: train_step must change them with an "
                "optimizer that is an attribute of the model, whose apply averages gradients, and "
                "Keras callbacks must do the same on all ranks"
            )

    def _keep_checkpoint(self, step: int) -> None:
        if self._communicator.rank != 0:
            return
        with escaping():
            if not self._callback.wants_checkpoint():
                return
        metrics = self.step.unrecorded_logs if step == self._steps else {}
        self._keep(replace(self.progress, step=step, metrics=metrics))

    def _keep(self, progress: TrainingProgress) -> None:
        data = self._before_end or self._packed(progress)
        with escaping():
            self._callback.save_checkpoint(data)

    def _packed(self, progress: TrainingProgress) -> bytes:
        """Return a checkpoint, with the weights of the best epoch if they are kept."""
        state = pack(progress, self._state)
        return join(state, self.best.weights) if self.best else state

    def _average_statistics(self) -> None:
        """Average the statistics of layers such as BatchNorm over the ranks.

        The mean of equal float32 numbers is exact in float64, so frozen weights do not change.
        """
        variables, is_float = self._model.non_trainable_variables, keras.backend.is_float_dtype
        statistics, ranks = [v for v in variables if is_float(v.dtype)], self._communicator
        if ranks.size == 1 or not statistics:
            return
        sums = ranks.sum(*(np.asarray(v).astype(np.float64) for v in statistics))
        for variable, total in zip(statistics, sums, strict=True):
            variable.assign((total / ranks.size).astype(variable.dtype))


def _check_reduction(model: keras.Model, communicator: Communicator, has_weights: bool) -> None:
    """Check that a loss is a mean over images, since gradients are averaged over the ranks."""
    for loss in keras.tree.flatten(model.loss):
        reduction = getattr(loss, "reduction", "mean")
        wrong = ("sum", "none", None, *(["mean_with_sample_weight"] if has_weights else []))
        if communicator.size > 1 and reduction in wrong:
            raise RunError(
                f"the loss has reduction={reduction!r}; allowed where several ranks share a batch: "
                "a mean, such as 'sum_over_batch_size'"
            )
