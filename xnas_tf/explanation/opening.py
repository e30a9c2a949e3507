"""From what a user names to a model, a data set and a new folder."""

from __future__ import annotations

from pathlib import Path

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject, load_subject


def open_subject(
    path: Path, candidate: int | str | None, safe: bool, folder: str, out: Path | None
) -> tuple[ModelSubject, Path]:
    """Load a model; see ``load_subject``.

    Args:
        path: A run, an exported candidate or a Keras model file.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        safe: Whether to refuse models that bring code of their own.
        folder: What the folder beside the model's explanations is called.
        out: The folder to write; one of the model's name in ``folder`` if None.

    Returns:
        The model, and the folder to write, which is not there yet.

    Raises:
        InputError: If the model cannot be loaded, or the folder is there.
    """
    subject = load_subject(path, candidate, safe)
    return subject, vacant(out or subject.home.parents[1] / folder / subject.home.name)


def vacant(out: Path) -> Path:
    """The folder; an ``InputError`` if it is there already."""
    if out.exists():
        raise InputError(f"{out} is there already and was not touched; name another with --out")
    return out


def open_dataset(name: str | None, subject: ModelSubject, path: Path, what: str) -> Dataset:
    """The data set named, or else that of the model's run.

    Raises:
        InputError: If there is neither; says ``what`` it is needed for.
    """
    known = {"name": name} if name else subject.dataset
    if known is None:
        raise InputError(f"{path}: give --dataset NAME {what}")
    return load_dataset(**known)
