"""Training as a user's code does it: ``HyperModel.fit``, or the model's own ``train_step``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Dataset, Split
from xnas_tf.errors import InputError, RunError
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.keras_tools.tracing import without_trace_warnings
from xnas_tf.training.checkpoint import TrainingProgress
from xnas_tf.training.compilation import compile_model
from xnas_tf.training.options import TrainingOptions
from xnas_tf.utils.heartbeat import beat
from xnas_tf.utils.randomness import uninterrupted

Fit = Callable[..., Any]
"""``fit(model, x, y, validation_data=…, epochs=…, …)``, of a HyperModel and hyperparameters."""
EndOfEpoch = Callable[[dict[str, float]], bool]
"""Gets an epoch's figures; returns whether the training is to end."""
MOST_BYTES = 2**32
"""Of training and validation images as float32: they are given to ``fit`` as arrays."""


def check_own_training(
    who: str, training: TrainingOptions, rungs: int, dataset: Dataset, ranks: int
) -> None:
    """Checks that a user's code can train in the way that the configuration asks for.

    Args:
        who: What trains, for messages.
        training: How the search would train.
        rungs: How many fidelities the search has.
        dataset: The images.
        ranks: Ranks that train a candidate together.

    Raises:
        InputError: If something is asked for that only the search's own training does.
    """
    wrong = []
    if ranks > 1:
        wrong.append(
            "distributed.ranks_per_candidate must be 1, and no horovodrun started this: "
            "it knows nothing of other ranks"
        )
    if rungs > 1:
        wrong.append("search.fidelity must be left out: it cannot go on with a shorter training")
    changes = training.augmentation
    ours = {
        "mixed_precision": training.mixed_precision,
        "jit_compile": training.jit_compile,
        "weight_decay": training.weight_decay,
        "augmentation.crop": changes.crop,
        "augmentation.flip": changes.flip is True,
        "augmentation.cutout": changes.cutout,
    }
    wrong += [
        f"training.{key} must be left out: it would have no effect" for key in ours if ours[key]
    ]
    pixels = (len(dataset.train) + len(dataset.validation)) * math.prod(dataset.image_shape)
    if 4 * pixels > MOST_BYTES:
        wrong.append(
            f"the images are {4 * pixels / 2**30:.1f} GiB as float32 arrays, of which it gets "
            f"at most {MOST_BYTES / 2**30:g}: give a smaller dataset.size"
        )
    if wrong:
        raise InputError(f"{who} trains models itself:\n  " + "\n  ".join(wrong))


class CustomFitTrainer:
    """Lets a user's code train one model, on one rank.

    It has what others ask of a ``Trainer``. It keeps no checkpoints: what is cut off is trained
    anew.

    Attributes:
        progress: How far it has come: at the beginning, before and after.
        returned: What ``fit`` returned in figures, if it did.

    Args:
        model: The model; compiled as the configuration says unless it already is.
        dataset: The images.
        validation: The validation part in the order in which objectives see it.
        config: The configuration's section.
        fit: Trains it.
    """

    progress = TrainingProgress()

    def __init__(
        self,
        model: keras.Model,
        dataset: Dataset,
        validation: Split,
        config: TrainingOptions,
        fit: Fit,
    ) -> None:
        self._model = model
        self._config = config
        self._fit = fit
        self.returned: dict[str, float] = {}
        batch_size = min(config.batch_size, len(dataset.train))
        if not model.compiled:
            # An incomplete last batch is a step too, other than in the search's own training.
            compile_model(model, config, math.ceil(len(dataset.train) / batch_size))
        self._arrays = as_arrays(dataset.train, model, dataset.classes)
        self._arguments = {
            "validation_data": as_arrays(validation, model, dataset.classes),
            "epochs": config.epochs,
            "batch_size": batch_size,
            "verbose": 0,
        }

    def train(self, seed: int, end_of_epoch: EndOfEpoch) -> None:
        """Trains the model.

        Args:
            seed: Of Keras' generators, from which a user's code draws.
            end_of_epoch: Called after each epoch.

        Raises:
            RunError: If the loss is no longer finite.
        """
        with uninterrupted():
            keras.utils.set_random_seed(seed)
        watching = _Watching(end_of_epoch)
        with without_trace_warnings():
            found = self._fit(self._model, *self._arrays, **self._arguments, callbacks=[watching])
        if isinstance(found, Mapping):
            self.returned = plain_figures(found)
        elif isinstance(found, int | float | np.number):
            self.returned = plain_figures({"fit": found})
        if not watching.epochs:
            end_of_epoch(self.returned)

    def keep_end(self) -> None:
        """Keeps nothing: no training goes on from here."""

    @contextmanager
    def kept_if_interrupted(self) -> Iterator[None]:
        """Keeps nothing: what is interrupted is trained anew."""
        yield


class _Watching(keras.callbacks.Callback):
    """Passes figures on, tells that the work goes on, and ends it where that is asked for."""

    def __init__(self, end_of_epoch: EndOfEpoch) -> None:
        super().__init__()
        self._end_of_epoch = end_of_epoch
        self.epochs = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        beat()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        beat()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs += 1
        logs = logs or {}
        if not np.isfinite(loss := np.asarray(logs.get("loss", 0.0), np.float64)).all():
            raise RunError(f"the loss became {loss} in epoch {self.epochs}")
        if self._end_of_epoch(plain_figures(logs)) and self.model is not None:
            self.model.stop_training = True
        beat()


def as_arrays(part: Split, model: keras.Model, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C), float32 in [0, 1], and what the model's loss wants to know of them."""
    everything = part.take(np.arange(len(part)))
    images = everything.images.astype(np.float32)
    images /= 255
    return images, targets_for(model, everything.labels, classes)


def plain_figures(figures: Mapping[str, Any]) -> dict[str, float]:
    """Figures as plain numbers; one of several numbers becomes ``NAME_0``, ``NAME_1``, …

    Those that are not finite are left out: the record takes none, and a metric may well have no
    value yet, such as the precision of a class that is never predicted."""
    plain = {}
    for name, value in figures.items():
        numbers = np.asarray(value, np.float64)
        if numbers.size == 1:
            plain[name] = float(numbers.reshape(()))
        else:
            plain |= {f"{name}_{i}": float(number) for i, number in enumerate(numbers.ravel())}
    return {name: number for name, number in plain.items() if math.isfinite(number)}
