"""Training one model data-parallel, with a constant global batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data import Dataset, Split
from xnas_tf.data.batches import batching, training_batches
from xnas_tf.distributed import Communicator
from xnas_tf.errors import RunError
from xnas_tf.training.callbacks import CallbackError, EvaluationCallback, Interrupted, escaping
from xnas_tf.training.checkpoint import CheckpointError, TrainingProgress, pack, unpack
from xnas_tf.training.compilation import compile_model
from xnas_tf.training.multi_step import MultiStep, stacked
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.step import Step
from xnas_tf.training.timing import PhaseTimes
from xnas_tf.utils.heartbeat import beat


class Trainer:
    """Trains one Keras model on this rank's share of every batch.

    Gradients are sums over the global batch divided by its size, so one rank and several
    give the same model (without BatchNorm, whose statistics are those of a rank's share).

    Attributes:
        progress: How far the training has come: at first as far as the supervisor's checkpoint.
            Who calls ``run_epoch`` adds its figures to the history.
        step: Trains the model on a batch.
        ignored: Why the supervisor's checkpoint was not used, if it wasn't.

    Args:
        model: A model; compiled with the configuration's optimizer unless it already is.
        dataset: The images; only ``dataset.train`` is touched.
        config: The configuration's section.
        communicator: The ranks that train this model together.
        seed: Seed of the order of images and of their augmentation.
        supervisor: Keeps checkpoints.
        seconds: What the time of the first step, ``trace``, is added to.
        longest: Epochs of the longest training that others of this model go on to: whether steps
            are traced must be the same in all of them, as what is traced rounds otherwise.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        config: TrainingOptions,
        communicator: Communicator,
        seed: int,
        supervisor: EvaluationCallback | None = None,
        seconds: PhaseTimes | None = None,
        longest: int = 0,
    ) -> None:
        self._model = model
        self._dataset = dataset
        self._config = config
        self._communicator = communicator
        self._seed = seed
        self._supervisor = supervisor or EvaluationCallback()
        self._seconds = PhaseTimes() if seconds is None else seconds
        self._batch_size, self._steps = batching(len(dataset.train), config.batch_size)
        weight_decay = 0.0 if model.compiled else config.weight_decay
        if not model.compiled:
            compile_model(model, config, self._steps)
        model.optimizer.build(model.trainable_variables)
        self.progress, self.ignored = self._beginning()
        runs = self._steps * max(config.epochs, longest)
        self.step = self._new_step(weight_decay, runs)
        self._pace = MultiStep()

    def _new_step(self, weight_decay: float, runs: int) -> Step:
        return Step(
            self._model,
            self._dataset,
            self._batch_size,
            weight_decay,
            self._config,
            self._communicator,
            runs,
        )

    @property
    def _state(self) -> list[keras.Variable]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _beginning(self) -> tuple[TrainingProgress, str]:
        """The leader's checkpoint or nothing; then all ranks have its variables."""
        progress, ignored = TrainingProgress(), ""
        if self._communicator.rank == 0:
            with escaping():
                data = self._supervisor.checkpoint()
            try:
                progress = unpack(data, self._state) if data is not None else progress
            except CheckpointError as error:
                ignored = f"its checkpoint was ignored: {error}"
        told, ignored = self._communicator.broadcast([asdict(progress), ignored])
        self._communicator.broadcast_variables(self._state)
        return TrainingProgress(**told), ignored

    def run_epoch(self) -> dict[str, float]:
        """Trains an epoch, or what is left of it.

        Returns:
            Mean loss (regularisation included) and accuracy over the epoch's images, while
            the weights were changing.

        Raises:
            RunError: If the loss is no longer finite.
        """
        totals = self._run_steps()
        loss, accuracy = totals[0] / self._steps, totals[1] / (self._steps * self._batch_size)
        epoch = self.progress.epoch + 1
        if not math.isfinite(loss):
            raise RunError(f"the loss became {loss} in epoch {epoch}")
        self._average_statistics()
        history = self.progress.history
        # A copy: this epoch's figures are added to the list itself.
        self._steps_done = TrainingProgress(epoch - 1, self._steps, totals, list(history))
        self.progress = TrainingProgress(epoch, history=history)
        return {"loss": loss, "accuracy": accuracy}

    def keep_end(self) -> None:
        """Keeps the state after the latest epoch, for another training to go on from as
        after an interruption: with an epoch of no more steps."""
        if self._communicator.rank == 0:
            self._keep(self._steps_done)

    @contextmanager
    def kept_if_interrupted(self) -> Iterator[None]:
        """Inside, between the steps of an epoch and its figures in the history or those of the
        whole training, an interruption first keeps a checkpoint. From there an epoch of no more
        steps is run, and what was interrupted begins anew."""
        try:
            yield
        except CallbackError as escaped:
            if isinstance(escaped.error, Interrupted) and self._communicator.rank == 0:
                self._keep(self._steps_done)
            raise

    def _run_steps(self) -> list[float]:
        """The steps left in this epoch; returns the totals of all of them."""
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
        totals, step = np.array(self.progress.totals), self.progress.step
        strides = self._pace.strides(batches)
        some = next(strides, [])
        while some:
            figures = self._run(some)
            following = next(strides, [])  # loaded while a GPU is at work
            for each in figures.numpy():  # in turn, whatever the pace: sums are rounded
                totals += each
            step += len(some)
            self._keep_checkpoint(step, totals.tolist())
            beat()
            some = following
        return totals.tolist()

    def _run(self, batches: list[Split]) -> tf.Tensor:
        """Loss and right answers of each batch, (K, 2)."""
        given = stacked(batches)
        if self.step.has_run:
            return self.step(*given)
        with self._seconds.timed("trace", within="train"):
            return tf.constant(self.step(*given).numpy())  # waits for a GPU

    def _keep_checkpoint(self, step: int, totals: list[float]) -> None:
        if self._communicator.rank != 0:
            return
        with escaping():
            if not self._supervisor.wants_checkpoint():
                return
        self._keep(replace(self.progress, step=step, totals=totals))

    def _keep(self, progress: TrainingProgress) -> None:
        data = pack(progress, self._state)
        with escaping():
            self._supervisor.keep_checkpoint(data)

    def _average_statistics(self) -> None:
        """Gives every rank the mean of what layers such as BatchNorm gathered on each.

        In float64, where the mean of equal float32 numbers is exactly that number: weights that
        are frozen stay what they are."""
        statistics = [
            variable
            for variable in self._model.non_trainable_variables
            if keras.backend.is_float_dtype(variable.dtype)
        ]
        if self._communicator.size == 1 or not statistics:
            return
        sums = self._communicator.sum(
            *(variable.numpy().astype(np.float64) for variable in statistics)
        )
        for variable, total in zip(statistics, sums, strict=True):
            variable.assign((total / self._communicator.size).astype(variable.dtype))
