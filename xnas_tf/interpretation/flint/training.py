"""The Python interface to FLINT, which trains interpreters on ranks that share each batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError, suggest
from xnas_tf.interpretation.classifier import check_dataset
from xnas_tf.interpretation.flint.interpretation import Interpretation, Mode
from xnas_tf.interpretation.flint.interpreter import (
    InterpretableModel,
    InterpretedModel,
    Interpreter,
)
from xnas_tf.interpretation.flint.options import FlintOptions
from xnas_tf.interpretation.flint.predictions import answers
from xnas_tf.interpretation.model_data import data_for
from xnas_tf.keras_tools.compat import sublayers
from xnas_tf.keras_tools.input_range import range_of
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.range_names import AUTO
from xnas_tf.keras_tools.strided_convolution import avoid_strided_1x1
from xnas_tf.training.chance_level import Accuracy, report_accuracy
from xnas_tf.training.class_predictions import predictions
from xnas_tf.training.options import TrainingOptions
from xnas_tf.training.trainer import Trainer
from xnas_tf.utils.argument_types import NAMES, WHOLE, check_types
from xnas_tf.utils.progress import ShowEpoch, epochs_bar, log_message

MODES = {"posthoc": Interpreter, "by-design": InterpretableModel}
MAX_INTEGER = 2**30
"""Largest allowed integer option, because values up to 3·seed + 2 are used as seeds, and these must
be less than 2³²."""


@check_types(layers=NAMES, seed=WHOLE)
def train_interpreter(  # noqa: PLR0913 - options with defaults
    model: keras.Model,
    dataset: str | Dataset,
    mode: Mode = "posthoc",
    attributes: int | None = None,
    layers: Sequence[str] | None = None,
    settings: str | FlintOptions | Mapping[str, Any] | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    input_range: str = AUTO,
    communicator: Communicator | None = None,
    log: Callable[[str], None] = log_message,
) -> Interpretation:
    """Train an interpreter, and evaluate it on the validation and test splits.

    Args:
        model: A Keras image classifier. It is left unchanged in post-hoc mode, and trained from its
            current weights in by-design mode.
        dataset: A data set, or the name of one, which is loaded at the size of the model's input.
        mode: ``posthoc`` or ``by-design``.
        attributes: Number of attributes, J; if None, it is taken from the settings.
        layers: Names or name patterns of the layers from which attributes are computed; if None,
            see ``flint.networks.default_taps``.
        settings: See ``Interpreter``.
        epochs: Number of epochs; if None, it depends on the number of training images (see
            ``FlintOptions.fitted``).
        rate: Adam's initial learning rate; if None, it depends on the number of training images.
        seed: Seed for the initial weights and for the order of the images.
        input_range: The range of values that the model expects, as ``LOW-HIGH``, such as ``0-255``
            or ``-1-1``; or ``auto`` (see ``keras_tools.input_range.range_of``).
        communicator: Ranks that share each batch; all of them return the same result.
        log: Called with progress messages.

    Raises:
        InputError: If an argument is invalid or does not fit the model.
    """
    check_options(mode, attributes, epochs, rate, seed)
    data = data_for(model, dataset, log)
    resolved = range_of(model, data.image_shape, input_range)
    if mode == "by-design":
        avoid_strided_1x1(model)
    interpreter = MODES[mode](
        model, attributes, layers, settings=settings, input_range=resolved.name, seed=seed
    )
    interpreter.build((None, *data.image_shape))
    check_dataset(interpreter.classes, data)
    ranks = communicator or SingleProcess()
    log(resolved.text)
    if mode == "posthoc":
        found = predictions(model, data.test, resolved.name)
        before = report_accuracy(found, resolved, log, model, data.test, data.scaling)
    else:
        untrained = answers(interpreter, data.test, ranks)
        before = Accuracy.of(untrained.predictor, untrained.labels)
        log(f"before training: {before.text}")
    epochs, rate = interpreter.settings.fitted(len(data.train), epochs, rate)
    used = interpreter.settings.changed(rate=rate)
    log(f"learning {used.attributes} attributes of {', '.join(interpreter.layer_names)} ({mode})")
    with epochs_bar() as show_epoch:
        history = learn(interpreter, data, epochs, used.rate, seed, ranks, show_epoch)
    log("predicting the validation and test images")
    validation, test = (answers(interpreter, part, ranks) for part in (data.validation, data.test))
    for values in (validation.attributes, validation.weights, test.attributes):
        if not np.isfinite(values).all():
            raise InputError("the attributes are not finite; the model cannot be interpreted")
    names = data.class_names
    return Interpretation(
        interpreter, mode, names, validation, test, data.test, used, seed, history, resolved, before
    )


def check_options(
    mode: str,
    attributes: int | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    seed: int = 0,
    **_others: Any,
) -> None:
    """Raise an ``InputError`` if the mode or a numeric argument is not allowed."""
    if mode not in MODES:
        raise InputError(f"`mode`: no mode is called {suggest(mode, MODES)}")
    integers = ("attributes", attributes, 1), ("epochs", epochs, 1), ("seed", seed, 0)
    for option, value, low in integers:
        if value is not None and not (isinstance(value, int) and low <= value <= MAX_INTEGER):
            allowed = f"whole numbers, {low} to {MAX_INTEGER}"
            raise InputError(f"`{option}` {value!r}: allowed: {allowed}")
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise InputError(f"`rate` {rate!r}: allowed: more than 0")


def learn(
    model: InterpretedModel,
    dataset: Dataset,
    epochs: int,
    rate: float,
    seed: int,
    communicator: Communicator,
    on_epoch_end: ShowEpoch = lambda *_: None,
) -> list[dict[str, float]]:
    """Compile an interpreter and train it on ``dataset.train`` in the same way as a candidate.

    Adam's learning rate decays from ``rate`` to the rate in the model's settings. The seed
    determines the order of the images and the behaviour of random layers such as dropout. The
    number of ranks affects results only through rounding.

    Returns:
        Loss and accuracy in each epoch.

    Raises:
        RunError: If the loss is not finite.
    """
    _reseed(model, seed)
    loss = keras.losses.SparseCategoricalCrossentropy() if model.is_by_design else None
    options = TrainingOptions(epochs=epochs, batch_size=model.settings.batch)
    steps = epochs * batching(len(dataset.train), options.batch_size)[1]
    optimizer = decaying_adam(rate, model.settings.rate, steps)
    if model.is_by_design and any(
        layer.compute_dtype == "float16" for layer in all_layers(model.predictor)
    ):  # Keras scales the loss only if the whole model has this policy
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(optimizer, loss, metrics=[accuracy], jit_compile=False)
    model.communicator = communicator
    trainer = Trainer(model, dataset, options, communicator, seed)
    history: list[dict[str, float]] = []
    for epoch in range(epochs):
        model.begin_epoch(epoch, epochs)
        history.append(trainer.run_epoch())
        on_epoch_end(epoch + 1, epochs, history[-1])
    return history


def decaying_adam(rate: float, last: float, steps: int) -> keras.optimizers.Optimizer:
    """Return an Adam optimizer; a rate above ``last`` decays to ``last`` along a cosine."""
    if rate <= last:
        return keras.optimizers.Adam(rate)
    decay = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=last / rate)
    return keras.optimizers.Adam(decay)


def _reseed(model: keras.Model, seed: int) -> None:
    """Seed random layers, so that results do not depend on how the model was created or loaded."""
    for number, layer in enumerate([model, *sublayers(model)]):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign([seed, number])
