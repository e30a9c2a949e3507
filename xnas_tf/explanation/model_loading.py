"""Loads the models, data sets and images that a user names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from pydantic import ValidationError

import xnas_tf.interpretation.flint.interpreter  # noqa: F401 - registers its classes with Keras
from xnas_tf.candidate import RECOMMENDED, Candidate
from xnas_tf.config import load_stored_config
from xnas_tf.data import Dataset
from xnas_tf.data.class_names import check_order
from xnas_tf.data.given_images import stored_images
from xnas_tf.data.options import DatasetOptions
from xnas_tf.data.value_scaling import LEVELS, Scaling
from xnas_tf.errors import InputError
from xnas_tf.explanation.exported_code import load_exported
from xnas_tf.interpretation.model_data import data_for
from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.input_range import declare_range
from xnas_tf.keras_tools.model_files import load_model
from xnas_tf.storage.model_source import NEEDED, ModelSource, is_run, model_file
from xnas_tf.storage.run import Run, run_of
from xnas_tf.storage.run_directory import CONFIG, DATABASE
from xnas_tf.training.chance_level import WARNING
from xnas_tf.utils.source_code import CHANGED, changes_text, source_hashes
from xnas_tf.utils.user_warnings import warn_user

AnyModel: TypeAlias = keras.Model | Run | Candidate | str | Path
"""A Keras model; a run, which stands for its recommended candidate; a candidate, such as
``run[4]``; or the path of a run, an exported candidate or a ``.keras`` file."""


@dataclass(frozen=True)
class ModelSubject:
    """A model to explain, and where it comes from."""

    model: keras.Model
    title: str = ""  # the model's name in figures
    run: Run | None = None  # None if it has no run or was given as a file
    class_names: Sequence[str] = ()  # those of the run or of the card; empty if unknown
    home: Run | None = None  # the run that contains the file from which the model was loaded
    card: Mapping[str, Any] = field(default_factory=dict)  # what an export says about its data

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
        """The ``Run.value_range`` of the run that trained the model; None if unknown."""
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

        A named data set is converted to the model's input; see ``data_for``.

        Raises:
            InputError: If there is none (with the message ``missing``), it cannot be loaded or does
                not fit the model, or the run's data set has changed since the search.
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
    """Choose a new output folder, by default one for this kind of result, and load the model."""
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


def named_model(model: AnyModel, safe: bool = True) -> ModelSubject:
    """Return a model, which is loaded if necessary, together with its run's data.

    Raises:
        InputError: If the model does not exist or cannot be loaded.
    """
    if isinstance(model, keras.Model):
        return ModelSubject(model)
    model = run_of(model)
    if isinstance(model, Run):
        return subject_of(model.choose(), model, safe)
    if isinstance(model, Candidate):
        path = model.model_path and model.model_path.parent.parent
        if path is None or not is_run(path):
            return ModelSubject(model.load_model(safe))
        return subject_of(model, Run(path), safe)
    if isinstance(model, str | os.PathLike):
        return load_subject(Path(model), safe=safe)
    raise InputError(
        f"`model` is of type {type(model).__name__}; allowed: a Keras model, a Run, a Candidate, "
        "or the path of a run, an exported candidate or a .keras file"
    )


def load_subject(path: Path, candidate: int | str | None = None, safe: bool = True) -> ModelSubject:
    """Load a model, or raise an ``InputError``; see ``ModelSource`` for the arguments."""
    if is_run(path):
        run = Run(path)
        return subject_of(run.choose(RECOMMENDED if candidate is None else candidate), run, safe)
    file = model_file(path, candidate)
    card = _card(file)
    if (module := _module_of_run(file)) is None:
        model = load_exported(file, str(card.get("hypermodel_module", "")), safe)
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
    records = [folder.parent / name for name in (DATABASE, "retraining.json")]
    if folder.name == "models" and any(record.is_file() for record in records):
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
    """Load the model of a run's candidate; warn if the code of its own layers has changed."""
    model = candidate.load_model(safe)
    if changes := changed_code(candidate, run, model):
        warn_user(f"{run.path}: {changes}")
    title = f"candidate {candidate.id} of {run.path.resolve().name}"
    return ModelSubject(model, title, run, run.class_names)


def changed_code(candidate: Candidate, run: Run, model: keras.Model) -> str:
    """Say if the code of a model's own layers has changed since the search; empty if it has not."""
    hashes = source_hashes([], [candidate.module]) if any(custom_code(model)) else {}
    changes = changes_text(run.fact("code"), hashes, "search")
    return f"{changes}: {CHANGED}" if changes else ""
