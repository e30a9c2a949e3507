"""Interprets a classifier: the Python interface to FLINT."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Dataset, Split, load_dataset
from xnas_tf.distributed import Communicator, SingleProcess
from xnas_tf.errors import InputError, suggest
from xnas_tf.interpretation.classifier import check_classes
from xnas_tf.interpretation.flint.evaluation import InterpreterPredictions, answers
from xnas_tf.interpretation.flint.files import save
from xnas_tf.interpretation.flint.interpretation_data import InterpretationData, Mode
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter
from xnas_tf.interpretation.flint.options import FlintOptions
from xnas_tf.interpretation.flint.training import EpochCallback, learn
from xnas_tf.keras_tools.input_range import AUTO, range_of
from xnas_tf.keras_tools.strided_convolution import avoid_strided_1x1
from xnas_tf.training.chance_level import report_accuracy

MODES = {"posthoc": Interpreter, "by-design": InterpretableModel}
MAX_INTEGER = 2**30
"""Largest integer option: up to 3·seed + 2 is used as a seed, which must be less than 2³²."""


class Interpretation(InterpretationData):
    """A classifier with its interpreter, and their predictions on held-out images.

    See ``InterpretationData`` for its attributes.
    """

    def save(self, out: str | Path, title: str = "", explained: Sequence[int] = ()) -> Path:
        """Write the model, metrics, figures and TensorBoard images into a new folder.

        Args:
            out: The folder.
            title: Title of the figures.
            explained: Indices of images of the test split whose predictions are explained in a
                figure; if empty, one image of each of some classes.

        Returns:
            The folder.

        Raises:
            InputError: If the folder exists or cannot be written, or there is no such image.
        """
        check_indices(explained, self.test)
        return save(self, Path(out), title, explained)


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
    told: EpochCallback = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Interpretation:
    """Train an interpreter, and evaluate it on the validation and the test split.

    Args:
        model: A Keras image classifier of any kind. Post-hoc it is not changed; by design it is
            trained, starting from its current weights.
        dataset: A data set or its name.
        mode: ``posthoc`` or ``by-design``.
        attributes: J; that of the settings if None.
        layers: Names or patterns of the layers that attributes are computed from; if None, see
            ``flint.layers.default_taps``.
        settings: See ``Interpreter``.
        epochs: The number of epochs; if None, it depends on the number of training images, see
            ``FlintOptions.fitted``.
        rate: Adam's initial learning rate; if None, it depends on that number too.
        seed: Seed of the initial weights and of the order of the images.
        input_range: The values that the model expects: ``0-1``, ``0-255``, ``-1-1``, or
            ``auto``, see ``keras_tools.input_range.range_of``.
        communicator: Ranks that share each batch; all return the same result.
        told: Called after each epoch with its number, the number of epochs, and its metrics.
        tell: Called with progress messages.

    Raises:
        InputError: If an argument is wrong or does not fit the model.
    """
    check_options(mode, attributes, epochs, rate, seed)
    data = load_dataset(dataset) if isinstance(dataset, str) else dataset
    resolved = range_of(model, data.image_shape, input_range)
    if mode == "by-design":
        avoid_strided_1x1(model)
    interpreter = MODES[mode](
        model, attributes, layers, settings=settings, input_range=resolved.name, seed=seed
    )
    interpreter.build((None, *data.image_shape))
    if interpreter.image_shape != data.image_shape:
        raise InputError(
            f"data set {data.name}: images of shape {data.image_shape}; the model takes "
            f"{interpreter.image_shape}"
        )
    check_classes(interpreter.classes, data.class_names, data.name)
    for name, split in (("validation", data.validation), ("test", data.test)):
        if not len(split):
            raise InputError(f"data set {data.name}: its {name} split is empty")
    ranks = communicator or SingleProcess()
    tell(resolved.text)
    before = answers(interpreter, data.test, ranks).accuracy
    if mode == "posthoc":
        report_accuracy(before, resolved, tell, model, data.test)
    else:
        tell(f"before training: {before.text}")
    epochs, rate = interpreter.settings.fitted(len(data.train), epochs, rate)
    used = interpreter.settings.changed(rate=rate)
    tell(f"{mode}: {used.attributes} attributes of {', '.join(interpreter.layer_names)}")
    history = learn(interpreter, data, epochs, used.batch, used.rate, seed, ranks, told)
    tell("predictions on held-out images")
    validation = answers(interpreter, data.validation, ranks)
    test = answers(interpreter, data.test, ranks)
    _check_finite(validation)
    _check_finite(test)
    return Interpretation(
        interpreter,
        mode,
        data.class_names,
        validation,
        test,
        data.test,
        used,
        seed,
        history,
        resolved,
        before,
    )


def check_options(
    mode: str,
    attributes: int | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    seed: int = 0,
) -> None:
    """Raise an ``InputError`` if the mode or a number is not allowed."""
    if mode not in MODES:
        raise InputError(f"--mode: no mode is called {suggest(mode, MODES)}")
    integers = ("attributes", attributes, 1), ("epochs", epochs, 1), ("seed", seed, 0)
    for option, value, low in integers:
        if value is not None and not (isinstance(value, int) and low <= value <= MAX_INTEGER):
            raise InputError(f"--{option} {value}: allowed: whole numbers, {low} to {MAX_INTEGER}")
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise InputError(f"--rate {rate}: allowed: more than 0")


def check_indices(indices: Sequence[int], test: Split) -> None:
    """Raise an ``InputError`` unless the test split has images of these indices."""
    for index in indices:
        if not 0 <= index < len(test):
            raise InputError(f"--explain {index}: allowed: 0 to {len(test) - 1}, of the test split")


def _check_finite(predictions: InterpreterPredictions) -> None:
    if not (np.isfinite(predictions.attributes).all() and np.isfinite(predictions.weights).all()):
        raise InputError("attributes are not finite: the model cannot be interpreted")
