"""Loads what a user names: models, data sets and images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import xnas_tf.interpretation.flint.interpreter  # noqa: F401 - registers its classes with Keras
from xnas_tf.candidate import RECOMMENDED
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.decoding import Unreadable, read_image
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.input_range import declare_range
from xnas_tf.registry import describe
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import DATABASE
from xnas_tf.utils.output_folder import check_new


@dataclass(frozen=True)
class ModelSubject:
    """A model to explain.

    Attributes:
        title: Its name in figures.
        parent: The folder in which folders of results belong.
        name: Its name in these folders.
        dataset: Arguments of ``load_dataset`` for its training data; None if unknown.
    """

    model: keras.Model
    title: str
    parent: Path
    name: str
    dataset: dict[str, Any] | None = None

    def home(self, kind: str) -> Path:
        """Return the default folder for results of a kind, such as ``explanations``."""
        return self.parent / kind / self.name


@dataclass(frozen=True)
class ModelSource:
    """A model to explain, the data set to do it with, and the folder to write.

    Attributes:
        path: A run, an exported candidate or a Keras model file; None with a HyperModel.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        dataset: A data set's name; that of the run if None.
        out: The folder to write; one inside the run or in the current directory if None.
        safe: Whether to refuse models that contain their own code.
    """

    path: Path | None
    candidate: int | str | None
    dataset: str | None
    out: Path | None
    safe: bool

    def load_model(self, kind: str) -> tuple[ModelSubject, Path]:
        """Load the model and choose the folder to write, by default for a kind of results.

        Raises:
            InputError: If the model cannot be loaded, or the folder exists.
        """
        assert self.path is not None  # a HyperModel is built, not loaded
        subject = load_subject(self.path, self.candidate, self.safe)
        return subject, check_new(self.out or subject.home(kind))

    def load_dataset(self, subject: ModelSubject, needed: str) -> Dataset:
        """Load the data set by its name, or else that of the model's run.

        Raises:
            InputError: If there is neither; ``needed`` is what to give then, and what for.
        """
        known = {"name": self.dataset} if self.dataset else subject.dataset
        if known is None:
            raise InputError(f"{self.path}: give {needed}")
        return load_dataset(**known)


def load_subject(path: Path, candidate: int | str | None = None, safe: bool = True) -> ModelSubject:
    """Load a model; ``ModelSource`` describes the arguments.

    Raises:
        InputError: If there is no model, or it cannot be loaded.
    """
    if (path / DATABASE).is_file():
        return _load_from_run(Run(path), RECOMMENDED if candidate is None else candidate)
    if candidate is not None:
        raise InputError(f"`candidate` {candidate}: {path} is no run")
    file = path / "model.keras" if (path / "model.keras").is_file() else path
    if not file.is_file():
        what = "holds neither a run nor a model.keras" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {what}; allowed: a run, an exported candidate, a .keras file")
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=safe)
    except Exception as error:  # Keras and a user's layers may raise anything
        raise InputError(
            f"{file} cannot be loaded{' in safe mode' if safe else ''}: {describe(error)}"
        ) from error
    if not isinstance(model, keras.Model):
        raise InputError(f"{file} holds a {type(model).__name__}; allowed: a Keras model")
    if _is_from_run(file):
        declare_range(model)
    return ModelSubject(model, path.stem, Path(), path.stem)


def _is_from_run(file: Path) -> bool:
    """Return whether a run trained a model: its file is in a run or in an exported folder."""
    folder = file.resolve().parent
    if folder.name == "models" and any((up / DATABASE).is_file() for up in folder.parents[:3]):
        return True
    card = folder / "card.json"
    try:
        text = card.read_text(encoding="utf-8") if file.name == "model.keras" else "{}"
        return {"candidate", "genotype"} <= set(json.loads(text))
    except (OSError, ValueError, TypeError):
        return False


def _load_from_run(run: Run, which: int | str) -> ModelSubject:
    candidate = run.choose(which)
    title = f"candidate {candidate.id}: {candidate.genotype}"
    name = f"candidate-{candidate.id:05d}"
    dataset = run.config.dataset.model_dump()
    return ModelSubject(candidate.load_model(), title, run.path, name, dataset)


def read_images(files: Sequence[Path], model: keras.Model) -> np.ndarray:
    """Read image files as those of a data set, with the size and the channels of a model's input.

    Returns:
        (N, H, W, C), uint8.

    Raises:
        InputError: If a file cannot be read, or the model's input has no known size and the
            images differ in theirs.
    """
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[3] in (1, 3)):
        raise InputError(f"the model's input is {shape}; image files need (height, width, 1 or 3)")
    _, height, width, channels = shape
    sizes = (height, width) if height and width else None
    images = []
    for file in files:
        try:
            images.append(read_image(file, sizes, channels))
        except Unreadable as error:
            raise InputError(f"image {file} cannot be read: {error}") from error
    if len({image.shape for image in images}) > 1:
        raise InputError("the images differ in size, and the model has no fixed input size")
    return np.stack(images)
