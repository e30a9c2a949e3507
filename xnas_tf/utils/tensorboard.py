"""Writes files for TensorBoard: training curves and images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams


class TrainingCurves:
    """Writes training curves and final metrics during training, in one folder per training."""

    def __init__(self) -> None:
        self._running: dict[Path, tuple[tf.summary.SummaryWriter, int]] = {}  # and its epochs

    def update(self, folder: Path, history: Sequence[Mapping[str, float]]) -> None:
        """Write the new epochs of a training to its folder, so that TensorBoard shows them at once.

        If a training was resumed or restarted, its folder is replaced.
        """
        curves, known = self._running.get(folder, (None, 0))
        if curves is None or known >= len(history):
            self.close(folder)
            shutil.rmtree(folder, ignore_errors=True)
            # The suffix distinguishes the file from that of the final metrics.
            curves = tf.summary.create_file_writer(str(folder), filename_suffix=".epochs")
            known = 0
            self._running[folder] = curves, known  # closed even if writing fails
        with curves.as_default():
            for epoch, values in enumerate(history[known:], start=known + 1):
                for name, value in values.items():
                    tf.summary.scalar(_curve_tag(name), value, step=epoch)
        curves.flush()
        self._running[folder] = curves, len(history)

    def finish(
        self,
        folder: Path,
        history: Sequence[Mapping[str, float]],
        metrics: Mapping[str, float],
        hyperparameters: Mapping[str, Any] | None = None,
        title: str = "",
    ) -> None:
        """Write the final metrics of a training, and its curves if they are missing, only once.

        The metrics, by tag, are written at the step of the last epoch. The HParams tab shows the
        hyperparameters under the title.
        """
        if any(folder.glob("*.v2")):
            return
        if self._running.get(folder, (None, -1))[1] != len(history):
            self.update(folder, history)
        self.close(folder)
        draft = folder.with_name(f".{folder.name}")
        shutil.rmtree(draft, ignore_errors=True)  # left behind by a killed process
        with writer(draft):
            if hyperparameters:
                shown = {name: _plain(value) for name, value in hyperparameters.items()}
                hparams.hparams(shown, trial_id=title)
            for name, value in metrics.items():
                tf.summary.scalar(name, value, step=len(history))
        for file in draft.iterdir():
            file.rename(folder / file.name)
        draft.rmdir()

    def close(self, folder: Path) -> None:
        """Close the file that contains a training's curves."""
        if running := self._running.pop(folder, None):
            running[0].close()


def write_images(folder: Path, tag: str, pictures: Sequence[bytes], first: int = 0) -> None:
    """Write PNG images, one per step."""
    with writer(folder):
        for step, picture in enumerate(pictures, first):
            write_image(tag, picture, step)


@contextmanager
def writer(folder: Path) -> Iterator[None]:
    """Write the summaries created inside the context to a new file in ``folder``."""
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
