"""TensorBoard's files: training curves and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams


def write_training(
    folder: Path,
    history: Sequence[Mapping[str, float]],
    figures: Mapping[str, float],
    epochs: int,
    hyperparameters: Mapping[str, Any] | None = None,
    title: str = "",
) -> None:
    """Writes training curves and what came of them, unless they are there.

    Args:
        folder: TensorBoard's folder for the training.
        history: Figures of each epoch.
        figures: Final figures by tag.
        epochs: Their place on the axis.
        hyperparameters: Shown in the HParams tab, under the title, if there are any.
        title: See there.
    """
    if folder.exists():
        return
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # an earlier one, cut off by a kill
    with writer(draft):
        for epoch, values in enumerate(history, start=1):
            for name, value in values.items():
                tf.summary.scalar(_curve_tag(name), value, step=epoch)
        if hyperparameters:
            shown = {name: _plain(value) for name, value in hyperparameters.items()}
            hparams.hparams(shown, trial_id=title)
        for name, value in figures.items():
            tf.summary.scalar(name, value, step=epochs)
    draft.rename(folder)


def write_images(folder: Path, tag: str, pictures: Sequence[bytes], first: int = 0) -> None:
    """Writes PNG pictures, a step each."""
    with writer(folder):
        for step, picture in enumerate(pictures, first):
            write_image(tag, picture, step)


@contextmanager
def writer(folder: Path) -> Iterator[None]:
    """Makes a writer of a new file the default one, and closes the file in the end."""
    writer = tf.summary.create_filewriter(str(folder))
    with writer.as_default():
        yield
    writer.close()


def _curve_tag(name: str) -> str:
    """``val_loss`` -> ``loss/validation``, so that both curves of a figure stand together."""
    return f"{name.removeprefix('val_')}/{'validation' if name.startswith('val_') else 'training'}"


def write_image(tag: str, picture: bytes, step: int) -> None:
    tf.summary.image(tag, tf.io.decode_png(picture, channels=3)[None], step=step)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
