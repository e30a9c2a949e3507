"""Trains models with a user's ``HyperModel.fit``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Dataset, Split
from xnas_tf.distributed import SingleProcess
from xnas_tf.errors import InputError, RunError
from xnas_tf.keras_tools.tracing import without_trace_warnings
from xnas_tf.training.callbacks import EndOfEpoch
from xnas_tf.training.checkpoint import BestEpoch, TrainingProgress
from xnas_tf.training.compilation import class_weights, compile_model
from xnas_tf.training.metrics import as_arrays, finite_metrics
from xnas_tf.training.options import TrainingOptions
from xnas_tf.utils.heartbeat import report_progress
from xnas_tf.utils.randomness import uninterrupted

Fit = Callable[..., Any]
"""``fit(model, x, y, validation_data=…, epochs=…, …)`` of a HyperModel with hyperparameters."""
MOST_BYTES = 2**32
"""Maximum size of training and validation images, which ``fit`` receives as float32 arrays."""


def check_own_training(
    who: str, training: TrainingOptions, rungs: int, dataset: Dataset, ranks: int
) -> None:
    """Raise an ``InputError`` if an option requires the search's own training.

    ``who`` names the user's code, which trains instead.
    """
    wrong = []
    if ranks > 1:
        wrong.append(
            "distributed.ranks_per_candidate must be 1, without horovodrun: this code does not "
            "communicate with other ranks"
        )
    if rungs > 1:
        wrong.append("search.fidelity must be left out: this code cannot resume training")
    augmentation = training.augmentation
    unsupported = {
        "mixed_precision": training.mixed_precision,
        "jit_compile": training.jit_compile,
        "weight_decay": training.weight_decay,
        "augmentation.crop": augmentation.crop,
        "augmentation.flip": augmentation.flip is True,
        "augmentation.cutout": augmentation.cutout,
    }
    wrong += [
        f"training.{key} must be left out: it would have no effect"
        for key, is_given in unsupported.items()
        if is_given
    ]
    pixels = (len(dataset.train) + len(dataset.validation)) * math.prod(dataset.image_shape)
    if 4 * pixels > MOST_BYTES:
        wrong.append(
            f"the images take {4 * pixels / 2**30:.1f} GiB as float32 arrays, but the limit is "
            f"{MOST_BYTES / 2**30:g} GiB: set a smaller dataset.size"
        )
    if wrong:
        raise InputError(f"{who} trains models itself:\n  " + "\n  ".join(wrong))


class CustomFitTrainer:
    """Trainer that lets a user's code train one model, on one rank.

    The class has the methods of ``Trainer`` that its callers need, but it saves no checkpoints: if
    interrupted, training starts again from the beginning.

    Attributes:
        progress: The initial progress. ``early`` also holds the metrics that ``fit`` returns.
        best: See ``Trainer``.

    Args:
        validation: The validation split, in the order in which objectives receive it.
        seed: Seed of Keras' random generators, which the user's code uses.
        keras_callbacks: Keras callbacks for this training, which are also passed to ``fit``.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        validation: Split,
        config: TrainingOptions,
        fit: Fit,
        seed: int,
        keras_callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        self._model = model
        self._config = config
        self._fit = fit
        self._seed = seed
        self.progress = TrainingProgress()
        self.best = BestEpoch(model, SingleProcess()) if config.keep == "best" else None
        batch_size = min(config.batch_size, len(dataset.train))
        if not model.compiled:
            # An incomplete last batch also counts as a step, unlike in the search's own training.
            compile_model(model, config, math.ceil(len(dataset.train) / batch_size))
        self._arrays = as_arrays(dataset.train, model, dataset.classes)
        self._arguments = {
            "validation_data": as_arrays(validation, model, dataset.classes),
            "epochs": config.epochs,
            "batch_size": batch_size,
            "verbose": 0,
        }
        weights = class_weights(config.class_weight, dataset.class_names)
        if weights is not None:
            self._arguments["class_weight"] = dict(enumerate(weights.tolist()))
        self._keras_callbacks = keras_callbacks

    def train(self, end_of_epoch: EndOfEpoch) -> None:
        """Train the model; see ``Trainer.train``."""
        with uninterrupted():
            keras.utils.set_random_seed(self._seed)
        callback = _FitCallback(end_of_epoch)
        callbacks = [*self._keras_callbacks, callback]
        with without_trace_warnings():
            found = self._fit(self._model, *self._arrays, **self._arguments, callbacks=callbacks)
        if isinstance(found, int | float | np.number):
            found = {"fit": found}
        returned = finite_metrics(found) if isinstance(found, Mapping) else {}
        if not callback.epochs:
            end_of_epoch(dict(returned))
        self.progress.early.update(returned)

    def end_epoch(self, history: Sequence[Mapping[str, float]]) -> bool:
        """See ``Trainer.end_epoch``; Keras stops the training itself."""
        if self.best:
            self.best.update(history)
        return False

    def finish(self) -> bool:
        """Restore the weights of the best epoch if they were kept.

        Always returns True, because ``fit`` may have restored the weights of an earlier epoch.
        """
        if self.best:
            self.best.restore()
        return True

    def save_end_of_epoch(self) -> None:
        """Do nothing: if training is interrupted, it starts again from the beginning."""

    @contextmanager
    def checkpoint_if_interrupted(self) -> Iterator[None]:
        """See ``save_end_of_epoch``."""
        yield


class _FitCallback(keras.callbacks.Callback):
    def __init__(self, end_of_epoch: EndOfEpoch) -> None:
        super().__init__()
        self._end_of_epoch = end_of_epoch
        self.epochs = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        report_progress()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        report_progress()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1
        logs = logs or {}
        if not np.isfinite(loss := np.asarray(logs.get("loss", 0.0), np.float64)).all():
            raise RunError(f"the loss became {loss} in epoch {self.epochs}")
        if self._end_of_epoch(finite_metrics(logs)) and self.model is not None:
            self.model.stop_training = True
        report_progress()
