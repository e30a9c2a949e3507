"""Discovers the hyperparameters of a HyperModel's own ``fit`` by calling it before a search."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import keras_tuner
import numpy as np

from xnas_tf.keras_tools.class_outputs import number_of_classes
from xnas_tf.keras_tools.head import compile_head
from xnas_tf.keras_tools.targets import targets_for
from xnas_tf.spaces.conditional import add_new, unknown

Build = Callable[[keras_tuner.HyperParameters], keras.Model]
Data = tuple[np.ndarray, np.ndarray]


class _TrainingBegins(BaseException):
    """Signal that ends the call to ``fit``; not an ``Exception``, which user code might catch."""


class _StopAtBeginning(keras.callbacks.Callback):
    """Callback that ends training before its first step."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Raise the exception that ends the call to ``fit``."""
        raise _TrainingBegins


def discover_in_fit(
    hypermodel: keras_tuner.HyperModel,
    declared: keras_tuner.HyperParameters,
    build: Build,
    data: Data,
) -> frozenset[str]:
    """Call ``fit`` on a few noise images until training begins.

    The hyperparameters that ``fit`` requests are added to ``declared``. A custom training loop that
    does not call callbacks trains on a single batch for one epoch.

    Returns:
        The names of arguments that ``fit`` sets itself, as in ``model.fit(*args,
        batch_size=hp.Choice(…), **kwargs)``, or does not accept.
    """
    arguments = {"epochs": 1, "batch_size": len(data[0]), "verbose": 0}
    dropped: set[str] = set()
    while True:
        hp = declared.copy()
        model = build(hp)
        if not model.compiled:
            compile_head(model, "sgd")
        images, labels = data[0], targets_for(model, data[1], number_of_classes(model))
        more = {"validation_data": (images, labels), "callbacks": [_StopAtBeginning()]}
        try:
            hypermodel.fit(hp, model, images, labels, **more, **arguments)
        except _TrainingBegins:
            pass
        except TypeError as error:
            pattern = r"(?:multiple values for|an unexpected) keyword argument '(\w+)'"
            refused = re.search(pattern, str(error))
            if not refused or refused[1] not in arguments:
                raise
            del arguments[refused[1]]
            dropped.add(refused[1])
            continue
        add_new(declared, unknown(hp, declared))
        return frozenset(dropped)
