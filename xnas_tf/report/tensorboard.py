"""What TensorBoard shows of a run: ``tensorboard --logdir RUN/tensorboard``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from xnas_tf.candidate import Candidate
from xnas_tf.config import Config
from xnas_tf.explaining.explanation import Explanation
from xnas_tf.report.attributions import attribution_figure
from xnas_tf.report.columns import measured_columns
from xnas_tf.report.figures import front_figure, front_info, png
from xnas_tf.report.utilisation import timeline, timeline_figure
from xnas_tf.run.observer import Observer
from xnas_tf.spaces.variables import Variable
from xnas_tf.strategy.recommendation import recommend


class TensorBoard(Observer):
    """Writes one TensorBoard run for the search and one for each candidate.

    Args:
        path: The log directory.
        config: The run's configuration.
        variables: The search space's variables, shown as hyperparameters.
        validation_counts: Validation images of each class, for ``recommend``.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        variables: Sequence[Variable],
        validation_counts: Sequence[int] | None = None,
    ) -> None:
        self._path = path
        self._config = config
        self._variables = variables
        self._validation_counts = validation_counts
        self._search: tf.summary.SummaryWriter | None = None
        recorded = [measure.name for measure in config.record]
        self._tags = {
            f"{'recorded' if c.name.split('/')[0] in recorded else 'objective'}/{c.name}": c
            for c in measured_columns(config)
        }

    def candidate(
        self, candidate: Candidate, is_new: bool, front: Sequence[Candidate], hypervolume: float
    ) -> None:
        """Writes training curves, hyperparameters and objectives, unless they are there, and
        the front's hypervolume by then."""
        if is_new and candidate.trained:
            with self._of_the_search():
                tf.summary.scalar("front/hypervolume by answer", hypervolume, step=candidate.answer)
        if candidate.state != "done":
            return
        write_training(
            self._folder(candidate),
            candidate.history,
            {tag: v for tag, c in self._tags.items() if (v := c.value(candidate)) is not None},
            candidate.epochs,
            candidate.hyperparameters,
            f"candidate {candidate.id}",
        )

    def generation(
        self,
        generation: int,
        candidates: Sequence[Candidate],
        front: Sequence[Candidate],
        hypervolume: float,
    ) -> None:
        """Writes the front and its hypervolume after a generation."""
        recommended = recommend(front, self._config, self._validation_counts).id
        figure = front_figure(front_info(candidates, front, self._config, recommended))
        with self._of_the_search():
            if generation == 1:
                self._declare_hyperparameters()
            tf.summary.scalar("front/hypervolume", hypervolume, step=generation)
            tf.summary.scalar("front/size", len(front), step=generation)
            for objective in self._config.objectives if front else ():
                best = min(objective.sign * c.objectives[objective.name] for c in front)
                tf.summary.scalar(f"best/{objective.name}", objective.sign * best, step=generation)
            _image("front", png(figure), generation)

    def groups(self, candidates: Sequence[Candidate]) -> None:
        """Writes a picture of what each group of ranks did when."""
        picture = png(timeline_figure(timeline(candidates)))
        with self._of_the_search():
            _image("groups", picture, len(candidates))

    def attributions(self, candidate: Candidate, explained: Explanation) -> None:
        """Writes a picture of a model's attributions beside their inputs."""
        title = f"candidate {candidate.id}: {candidate.genotype}"
        picture = png(attribution_figure(explained, title))
        with _writer(self._folder(candidate)):
            _image("attributions", picture, candidate.epochs)

    def graph(self, candidate: Candidate, model: keras.Model) -> None:
        """Writes the graph with which a model answers."""
        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")
        answer = tf.function(lambda images: model(images, training=False))
        with _writer(self._folder(candidate)):
            tf.summary.graph(answer.get_concrete_function(images).graph)

    @contextmanager
    def _of_the_search(self) -> Iterator[None]:
        """Writes to the search's own file: one for all candidates, not one for each."""
        self._search = self._search or tf.summary.create_file_writer(str(self._path / "search"))
        with self._search.as_default():
            yield
        self._search.flush()

    def _folder(self, candidate: Candidate) -> Path:
        return self._path / f"candidate-{candidate.id:05d}"

    def _declare_hyperparameters(self) -> None:
        hparams.hparams_config(
            hparams=[
                hparams.HParam(name) for name in dict.fromkeys(v.name for v in self._variables)
            ],
            metrics=[
                hparams.Metric(tag, display_name=tag.removeprefix("objective/"))
                for tag in self._tags
            ],
        )


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
    with _writer(draft):
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
    with _writer(folder):
        for step, picture in enumerate(pictures, first):
            _image(tag, picture, step)


@contextmanager
def _writer(folder: Path) -> Iterator[None]:
    """Makes a writer of a new file the default one, and closes the file in the end."""
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        yield
    writer.close()


def _curve_tag(name: str) -> str:
    """``val_loss`` -> ``loss/validation``, so that both curves of a figure stand together."""
    return f"{name.removeprefix('val_')}/{'validation' if name.startswith('val_') else 'training'}"


def _image(tag: str, picture: bytes, step: int) -> None:
    tf.summary.image(tag, tf.io.decode_png(picture, channels=3)[None], step=step)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
