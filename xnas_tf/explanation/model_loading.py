"""Loads the models, data sets and images that a user names."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from pydantic import ValidationError

import xnas_tf.interpretation.flint.interpreter  # noqa: F401 - registers its classes with Keras
from xnas_tf.candidate import RECOMMENDED, Candidate
from xnas_tf.config import load_stored_config
from xnas_tf.data import Dataset
from xnas_tf.data.class_names import check_order
from xnas_tf.data.given_values import stored_images
from xnas_tf.data.new_files import read_files
from xnas_tf.data.options import DatasetOptions
from xnas_tf.data.value_scaling import LEVELS, Scaling
from xnas_tf.errors import InputError
from xnas_tf.explanation.exported_code import load_exported
from xnas_tf.interpretation.model_data import data_for
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.input_range import declare_range
from xnas_tf.keras_tools.model_files import load_model
from xnas_tf.storage.model_source import NEEDED, ModelSource, is_run, model_file
from xnas_tf.storage.run import Run
from xnas_tf.storage.run_directory import CONFIG, DATABASE
from xnas_tf.training.chance_level import WARNING
from xnas_tf.utils.source_code import CHANGED, changes_text, source_hashes

_RECORDS = (DATABASE, "retraining.json")
"""Files that show that a folder is a run or a retraining, with a configuration."""


@dataclass(frozen=True)
class ModelSubject:
    """A model to explain, and where it comes from.

    Attributes:
        model: The model.
        title: The model's name in figures.
        run: The model's run; None if it has no run or was given as a file.
        class_names: The classes of the run or of the card of an exported model; empty if unknown.
        home: The run that contains the file from which the model was loaded; None if none does.
        card: What the card of an exported model says about the data of its search; empty if it has
            no card.
    """

    model: keras.Model
    title: str = ""
    run: Run | None = None
    class_names: Sequence[str] = ()
    home: Run | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trained_by(self) -> Run | None:
        """The run that trained the model, however the model was given; None if unknown."""
        return self.run or self.home

    @property
    def full_scales(self) -> Mapping[str, int] | None:
        """The ``Findings.full_scales`` in the card."""
        return self.card.get("full_scales")

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images on which a run trained the model; None if unknown."""
        facts = self.card if self.trained_by is None else self.trained_by.fact("dataset")
        if not facts or "image_shape" not in facts:
            return None
        height, width, _ = facts["image_shape"]
        return height, width

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The ``Run.value_range`` of the run that trained the model; None if unknown.

        Raises:
            InputError: See ``Run.value_range``.
        """
        if self.trained_by:
            return self.trained_by.value_range
        if not self.card:
            return None
        low, high = self.card.get("values", (0, LEVELS))  # stated only if unusual
        return low, high

    def stored_images(self, images: np.ndarray) -> np.ndarray:
        """Convert images on the value scale of the search's arrays as ``Run.stored_images`` does.

        The ``value_range`` must be known.
        """
        if self.trained_by:
            return self.trained_by.stored_images(images)
        assert self.value_range
        return stored_images(images, self.value_range)

    @property
    def searched(self) -> DatasetOptions | None:
        """The data set on which a run trained the model; None if unknown."""
        if self.trained_by:
            return self.trained_by.config.dataset
        if "name" not in self.card:
            return None
        known = self.card.keys() & DatasetOptions.model_fields.keys()
        try:
            return DatasetOptions.model_validate({name: self.card[name] for name in known})
        except ValidationError:  # a card that was edited
            return None

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
        data = data_for(self.model, given, log, self.searched)
        check_order(data.class_names, self.class_names, f"data set {data.name}")
        if isinstance(given, str) and (note := self._scale_note(data)):
            log(f"{WARNING}{note}")
        return data

    def _scale_note(self, data: Dataset) -> str:
        """Say that a data set has another range of values than the search; empty if it has not."""
        own = data.scaling
        known: tuple[float, float] | None = None
        with suppress(InputError):  # a run of an earlier version, without its data
            known = self.value_range
        if known is None or (own.low, own.high) == known:
            return ""
        if own.is_usual and Scaling(*known).is_usual:
            return ""
        return (
            f"data set {data.name}: its values {own.low:.6g} to {own.high:.6g} reach the model as "
            f"0 to 1, but in its search, the values {known[0]:.6g} to {known[1]:.6g} did, so the "
            "results may be wrong. In Python, `run.prepare(x)` converts arrays as the search did"
        )


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
    if folder := _folder_of_run(file):
        declare_range(model)
        with suppress(InputError):  # a run of a later version
            home = Run(folder)
            return ModelSubject(model, title, None, home.class_names, home)
    card = _card(file)
    if not {"candidate", "genotype"} <= set(card):
        return ModelSubject(model, title)
    declare_range(model)
    data = card.get("dataset", {})
    return ModelSubject(model, title, None, data.get("class_names", ()), card=data)


def _folder_of_run(file: Path) -> Path | None:
    """Return the folder of the run that contains the file of a candidate or a retrained model."""
    folder = file.resolve().parent
    if folder.name != "models":
        return None
    return next((up for up in folder.parents[:3] if (up / DATABASE).is_file()), None)


def _module_of_run(file: Path) -> str | None:
    """Return the module of the HyperModel that built a model in a run or retraining, or None."""
    folder = file.resolve().parent
    if folder.name == "models" and any((folder.parent / name).is_file() for name in _RECORDS):
        with suppress(InputError):  # such as an objective that cannot be imported
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
    if changes := changed_code(candidate, run, model):
        warnings.warn(f"{run.path}: {changes}", stacklevel=4)
    title = f"candidate {candidate.id} of {run.path.resolve().name}"
    return ModelSubject(model, title, run, run.class_names)


def changed_code(candidate: Candidate, run: Run, model: keras.Model) -> str:
    """Say if the code of a model's own layers has changed since the search; empty if it has not."""
    hashes = source_hashes([], [candidate.module]) if any(custom_code(model)) else {}
    changes = changes_text(run.fact("code"), hashes, "search")
    return f"{changes}: {CHANGED}" if changes else ""


def read_images(
    files: Sequence[Path],
    model: keras.Model,
    scales: Mapping[str, int] | None = None,
    usual_size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Read image files as a data set would, in the size and with the channels that a model expects.

    Args:
        files: The image files.
        model: The model.
        scales: The data set's ``Findings.full_scales``; computed for each image alone if None.
        usual_size: Height and width to which to resize images for a model that takes any size; None
            keeps each image's own.

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
    sizes = (height, width) if height and width else usual_size
    images = read_files(files, sizes, channels, scales)
    if len({image.shape for image in images}) > 1:
        raise InputError("the images differ in size, and the model has no fixed input size")
    return np.stack(images)
