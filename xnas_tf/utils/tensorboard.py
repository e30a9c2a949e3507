"""Files for TensorBoard: training curves and images."""

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
    metrics: Mapping[str, float],
    epochs: int,
    hyperparameters: Mapping[str, Any] | None = None,
    title: str = "",
) -> None:
    """Write training curves and final metrics, unless the directory exists.

    Args:
        folder: TensorBoard's log directory of the training.
        history: Metrics of each epoch.
        metrics: Final metrics by tag.
        epochs: Step at which the final metrics are written.
        hyperparameters: Shown in the HParams tab, if given.
        title: Name of the training in the HParams tab.
    """
    if folder.exists():
        return
    draft = folder.with_name(f".{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # left behind by a process that was killed
    with writer(draft):
        for epoch, values in enumerate(history, start=1):
            for name, value in values.items():
                tf.summary.scalar(_curve_tag(name), value, step=epoch)
        if hyperparameters:
            shown = {name: _plain(value) for name, value in hyperparameters.items()}
            hparams.hparams(shown, trial_id=title)
        for name, value in metrics.items():
            tf.summary.scalar(name, value, step=epochs)
    draft.rename(folder)


def write_images(folder: Path, tag: str, pictures: Sequence[bytes], first: int = 0) -> None:
    """Write PNG images, one per step."""
    with writer(folder):
        for step, picture in enumerate(pictures, first):
            write_image(tag, picture, step)


@contextmanager
def writer(folder: Path) -> Iterator[None]:
    """Write the summaries made inside the context to a new file in ``folder``."""
    file_writer = tf.summary.create_file_writer(str(folder))
    with file_writer.as_default():
        yield
    file_writer.close()


def _curve_tag(name: str) -> str:
    """Return ``loss/validation`` for ``val_loss``, so that TensorBoard groups both curves."""
    return f"{name.removeprefix('val_')}/{'validation' if name.startswith('val_') else 'training'}"


def write_image(tag: str, picture: bytes, step: int) -> None:
    """Write a PNG image with the default writer."""
    tf.summary.image(tag, tf.io.decode_png(picture, channels=3)[None], step=step)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
