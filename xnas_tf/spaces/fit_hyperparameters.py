"""What a HyperModel's own ``fit`` asks for, found out before a search by calling it once."""

from __future__ import annotations

import re
from collections.abc import Callable

import keras
import keras_tuner
import numpy as np

from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.spaces.conditional import add_new, unknown

Build = Callable[[keras_tuner.HyperParameters], keras.Model]
Data = tuple[np.ndarray, np.ndarray]
DROPPED = ("batch_size", "epochs", "verbose")
"""What a ``fit`` may give to ``model.fit`` itself, or not take at all."""


class _Enough(BaseException):
    """Ends the call once hyperparameters are known; no exception that a user's code catches."""


class _Ending(keras.callbacks.Callback):
    """Ends a training before its first step."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        raise _Enough


def discover_in_fit(
    hypermodel: keras_tuner.HyperModel,
    declared: keras_tuner.HyperParameters,
    build: Build,
    data: Data,
) -> frozenset[str]:
    """Calls ``fit`` on a few images of noise, until the model's training begins.

    A loop of its own that does not call its callbacks trains for one epoch of one batch.

    Args:
        hypermodel: The HyperModel.
        declared: Its hyperparameters; those that ``fit`` asks for are added.
        build: Builds a model of it.
        data: A few images (N, H, W, C) and their class numbers (N,).

    Returns:
        Those of ``DROPPED`` that must be left out of its arguments: it gives them itself, as in
        ``model.fit(*args, batch_size=hp.Choice(…), **kwargs)``, or does not take them.
    """
    dropped: set[str] = set()
    while True:
        hp = declared.copy()
        model = build(hp)
        if not model.compiled:
            model.compile("sgd", "sparse_categorical_crossentropy")
        images, labels = data[0], targets_for(model, data[1], model.output_shape[-1])
        given = {"epochs": 1, "batch_size": len(images), "verbose": 0}
        kept = {name: value for name, value in given.items() if name not in dropped}
        try:
            hypermodel.fit(
                hp,
                model,
                images,
                labels,
                validation_data=(images, labels),
                callbacks=[_Ending()],
                **kept,
            )
        except _Enough:
            pass
        except TypeError as error:
            pattern = r"(?:multiple values for|an unexpected) keyword argument '(\w+)'"
            refused = re.search(pattern, str(error))
            if not refused or refused[1] not in kept:
                raise
            dropped.add(refused[1])
            continue
        add_new(declared, unknown(hp, declared))
        return frozenset(dropped)
