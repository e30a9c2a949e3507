"""What a user names to have a model explained: the model, a data set, and the folder to write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject, load_subject
from xnas_tf.utils.output_folder import check_new


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
