"""A classifier interpreted, from Python."""

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
from xnas_tf.interpretation.flint.training import Told, learn
from xnas_tf.keras_tools.input_range import AUTO, range_of
from xnas_tf.keras_tools.strided_convolution import compute_at_positions
from xnas_tf.training.accuracy import tell_accuracy

MODES = {"posthoc": Interpreter, "by-design": InterpretableModel}
MOST = 2**30
"""The largest number: of a seed three are made, each less than 2³²."""


class Interpretation(InterpretationData):
    """A classifier with its interpreter, and what they answer on held-out images.

    See ``InterpretationData`` for its attributes.
    """

    def save(self, out: str | Path, title: str = "", explained: Sequence[int] = ()) -> Path:
        """Write the model, pictures, figures and TensorBoard images into a new folder.

        Args:
            out: The folder.
            title: Above the pictures.
            explained: Images of the test part whose answers are explained in a picture, by
                number; if empty, one of each of some classes.

        Returns:
            The folder.

        Raises:
            InputError: If it is there already, or cannot be written, or there is no such image.
        """
        check_places(explained, self.test)
        return save(self, Path(out), title, explained)


def train_interpreter(
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
    told: Told = lambda *_: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Interpretation:
    """Train an interpreter, and measures it on the validation and the test part.

    Args:
        model: A Keras image classifier of any kind. Post-hoc it stays as it is; by design it
            is trained, from the weights that it has.
        dataset: A data set or its name.
        mode: ``posthoc`` or ``by-design``.
        attributes: J; that of the settings if None.
        layers: Names or patterns of the layers that attributes are made from; see
            ``networks.default_taps`` for those chosen if None.
        settings: See ``Interpreter``.
        epochs: Passes over the training part; by its size if None, see ``FlintOptions.fitted``.
        rate: Adam's learning rate; by the size too if None.
        seed: Of the initial weights and of the order of images.
        input_range: The values that the model takes: ``0-1``, ``0-255``, ``-1-1``, or ``auto``,
            see ``attribution.input_range.range_of``.
        communicator: Ranks that share each batch; all return the same.
        told: Is told of each epoch: which, of how many, its figures.
        tell: Is told what is being done.

    Raises:
        InputError: If something given is wrong or doesn't fit the model.
    """
    check_options(mode, attributes, epochs, rate, seed)
    data = load_dataset(dataset) if isinstance(dataset, str) else dataset
    taken = range_of(model, data.image_shape, input_range)
    if mode == "by-design":
        compute_at_positions(model)
    made = MODES[mode](
        model, attributes, layers, settings=settings, input_range=taken.name, seed=seed
    )
    made.build((None, *data.image_shape))
    if made.image_shape != data.image_shape:
        raise InputError(
            f"data set {data.name}: images of shape {data.image_shape}; the model takes "
            f"{made.image_shape}"
        )
    check_classes(made.classes, data.class_names, data.name)
    for part, images in (("validation", data.validation), ("test", data.test)):
        if not len(images):
            raise InputError(f"data set {data.name}: its {part} part is empty")
    ranks = communicator or SingleProcess()
    tell(taken.text)
    before = answers(made, data.test, ranks).accuracy
    if mode == "posthoc":
        tell_accuracy(before, taken, tell, model, data.test)
    else:
        tell(f"before training: {before.text}")
    count, speed = made.settings.fitted(len(data.train), epochs, rate)
    used = made.settings.changed(rate=speed)
    tell(f"{mode}: {used.attributes} attributes of {', '.join(made.layer_names)}")
    history = learn(made, data, count, used.batch, used.rate, seed, ranks, told)
    tell("answers on held-out images")
    validation, test = (answers(made, part, ranks) for part in (data.validation, data.test))
    for found in (validation, test):
        _check_finite(found)
    return Interpretation(
        made,
        mode,
        data.class_names,
        validation,
        test,
        data.test,
        used,
        seed,
        history,
        taken,
        before,
    )


def check_options(
    mode: str,
    attributes: int | None = None,
    epochs: int | None = None,
    rate: float | None = None,
    seed: int = 0,
) -> None:
    """Raise an ``InputError`` if a number or the mode is not allowed."""
    if mode not in MODES:
        raise InputError(f"--mode: no mode is called {suggest(mode, MODES)}")
    whole = ("attributes", attributes, 1), ("epochs", epochs, 1), ("seed", seed, 0)
    for option, value, least in whole:
        if value is not None and not (isinstance(value, int) and least <= value <= MOST):
            raise InputError(f"--{option} {value}: allowed: whole numbers, {least} to {MOST}")
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise InputError(f"--rate {rate}: allowed: more than 0")


def check_places(places: Sequence[int], test: Split) -> None:
    """Raise an ``InputError`` if the test part has no image of one of these numbers."""
    for place in places:
        if not 0 <= place < len(test):
            raise InputError(f"--explain {place}: allowed: 0 to {len(test) - 1}, of the test part")


def _check_finite(found: InterpreterPredictions) -> None:
    if not (np.isfinite(found.attributes).all() and np.isfinite(found.weights).all()):
        raise InputError("attributes are not finite: the model cannot be interpreted")
