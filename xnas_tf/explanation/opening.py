"""Opens models and data sets by name, and chooses the folder to write."""

from __future__ import annotations

from pathlib import Path

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject, load_subject


def open_subject(
    path: Path, candidate: int | str | None, safe: bool, folder: str, out: Path | None
) -> tuple[ModelSubject, Path]:
    """Load a model and choose the folder to write; see ``load_subject``.

    Args:
        path: A run, an exported candidate or a Keras model file.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        safe: Whether to refuse models that contain their own code.
        folder: Name of a folder beside ``explanations``.
        out: The folder to write; one with the model's name in ``folder`` if None.

    Returns:
        The model, and the folder to write, which does not exist yet.

    Raises:
        InputError: If the model cannot be loaded, or the folder exists.
    """
    subject = load_subject(path, candidate, safe)
    return subject, check_new(out or subject.home.parents[1] / folder / subject.home.name)


def check_new(out: Path) -> Path:
    """Return a path; raise an ``InputError`` if it exists."""
    if out.exists():
        raise InputError(f"{out} is there already and was not touched; name another with --out")
    return out


def open_dataset(name: str | None, subject: ModelSubject, path: Path, purpose: str) -> Dataset:
    """Load a data set by name, or else that of the model's run.

    Args:
        name: The name; None for the data set of the run.
        subject: The model.
        path: The path that the user named, for the error message.
        purpose: What the data set is needed for, for the error message.

    Raises:
        InputError: If there is no name and no run.
    """
    known = {"name": name} if name else subject.dataset
    if known is None:
        raise InputError(f"{path}: give --dataset NAME {purpose}")
    return load_dataset(**known)
