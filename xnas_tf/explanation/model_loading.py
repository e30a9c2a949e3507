"""Loads the models, data sets and images that a user names."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import xnas_tf.interpretation.flint.interpreter  # noqa: F401 - registers its classes with Keras
from xnas_tf.candidate import RECOMMENDED, Candidate
from xnas_tf.config import load_stored_config
from xnas_tf.data import Dataset
from xnas_tf.data.class_names import check_order
from xnas_tf.data.new_files import read_files
from xnas_tf.errors import InputError
from xnas_tf.explanation.exported_code import load_exported
from xnas_tf.interpretation.model_data import data_for
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.input_range import declare_range
from xnas_tf.keras_tools.model_files import load_model
from xnas_tf.storage.model_source import NEEDED, ModelSource, is_run, model_file
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import CONFIG, DATABASE
from xnas_tf.utils.source_code import CHANGED, changes_text, source_hashes


@dataclass(frozen=True)
class ModelSubject:
    """A model to explain, and where it comes from.

    Attributes:
        model: The model.
        title: The model's name in figures.
        run: The model's run; None if it has no run or was given as a file.
        class_names: The classes of the run or of the card of an exported model; empty if unknown.
        full_scales: The ``Findings.full_scales`` in this card.
    """

    model: keras.Model
    title: str = ""
    run: Run | None = None
    class_names: Sequence[str] = ()
    full_scales: Mapping[str, int] | None = None

    def load_dataset(
        self,
        given: str | Dataset | None,
        log: Callable[[str], None] = lambda _: None,
        missing: str = "`dataset`: none is given, and the model does not come from a run",
    ) -> Dataset:
        """Return the given data set or, if there is none, the data set of the model's run.

        A named data set is converted to the model's input; see ``data_for``. ``missing`` is the
        message if no data set is available.

        Raises:
            InputError: If no data set is available, it cannot be loaded, it does not fit the
                model, or the run's data set has changed since the search.
        """
        if given is None:
            if self.run is None:
                raise InputError(missing)
            return self.run.load_dataset(log)
        if not isinstance(given, str | Dataset):
            raise InputError(
                f"`dataset` is of type {type(given).__name__}; allowed: a name, such as 'digits', "
                "or a Dataset"
            )
        data = data_for(self.model, given, log)
        check_order(data.class_names, self.class_names, data.name)
        return data


def load_source(source: ModelSource, kind: str) -> tuple[ModelSubject, Path]:
    """Choose the output folder, by default one for this kind of result, and load the model.

    Raises:
        InputError: If the model cannot be loaded, or the folder already exists.
    """
    assert source.path is not None  # a HyperModel is built, not loaded
    out = source.folder(kind)
    return load_subject(source.path, source.candidate, source.safe), out


def load_data(
    source: ModelSource,
    subject: ModelSubject,
    kind: str,
    log: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Load the data set of a source for this kind of result; see ``ModelSubject.load_dataset``."""
    return subject.load_dataset(source.dataset, log, f"{source.path}: give {NEEDED[kind]}")


def load_subject(path: Path, candidate: int | str | None = None, safe: bool = True) -> ModelSubject:
    """Load a model; see ``ModelSource`` for the arguments.

    Raises:
        InputError: If the model does not exist or cannot be loaded.
    """
    if is_run(path):
        run = Run(path)
        return subject_of(run.choose(RECOMMENDED if candidate is None else candidate), run, safe)
    file = model_file(path, candidate)
    if (module := _module_of_run(file)) is None:
        model = load_exported(file, str(_card(file).get("hypermodel_module", "")), safe)
    else:
        model = load_model(file, safe, module)
    if not isinstance(model, keras.Model):
        raise InputError(f"{file} contains a {type(model).__name__}; allowed: a Keras model")
    title = f"classifier {path.resolve().name}"
    if not _is_from_run(file):
        return ModelSubject(model, title)
    declare_range(model)
    data = _card(file).get("dataset", {})
    names = data.get("class_names", ())
    return ModelSubject(model, title, None, names, data.get("full_scales"))


def _is_from_run(file: Path) -> bool:
    """Return whether a run trained a model; if so, the model's file is in a run or export."""
    folder = file.resolve().parent
    if folder.name == "models" and any((up / DATABASE).is_file() for up in folder.parents[:3]):
        return True
    return {"candidate", "genotype"} <= set(_card(file))


def _module_of_run(file: Path) -> str | None:
    """Return the module of the HyperModel that built a model in a run or retraining, or None."""
    folder = file.resolve().parent
    if folder.name == "models" and (folder.parent / CONFIG).is_file():
        with suppress(InputError):  # a file written by another program
            return load_stored_config(folder.parent / CONFIG).space.hypermodel_module
    return None


def _card(file: Path) -> dict[str, Any]:
    """Return the model card stored with an exported model, or an empty one if there is none."""
    card = file.resolve().parent / "card.json"
    try:
        content = json.loads(card.read_text("utf-8")) if file.name == "model.keras" else {}
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def subject_of(candidate: Candidate, run: Run, safe: bool) -> ModelSubject:
    """Load the model of a run's candidate; warn if the code of its own layers has changed.

    Raises:
        InputError: If it cannot be loaded.
    """
    model = candidate.load_model(safe)
    hashes = source_hashes([], [candidate.module]) if any(custom_code(model)) else {}
    if changes := changes_text(run.fact("code"), hashes, "search"):
        warnings.warn(f"{run.path}: {changes}: {CHANGED}", stacklevel=4)
    title = f"candidate {candidate.id} of {run.path.resolve().name}"
    return ModelSubject(model, title, run, run.class_names)


def read_images(
    files: Sequence[Path], model: keras.Model, scales: Mapping[str, int] | None = None
) -> np.ndarray:
    """Read image files as a data set would, in the size and with the channels that a model expects.

    Args:
        files: The image files.
        model: The model.
        scales: The data set's ``Findings.full_scales``; computed for each image alone if None.

    Returns:
        Images, (N, H, W, C), uint8.

    Raises:
        InputError: If a file cannot be read, or if the images differ in size and the model's input
            size is unknown.
    """
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[3] in (1, 3)):
        raise InputError(f"the model's input is {shape}; image files need (height, width, 1 or 3)")
    _, height, width, channels = shape
    sizes = (height, width) if height and width else None
    images = read_files(files, sizes, channels, scales)
    if len({image.shape for image in images}) > 1:
        raise InputError("the images differ in size, and the model has no fixed input size")
    return np.stack(images)
