"""Shows a search in TensorBoard, opened with ``tensorboard --logdir RUN/tensorboard``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from xnas_tf.candidate import Candidate
from xnas_tf.execution.callbacks import Callback, SearchContext
from xnas_tf.execution.search_run import SearchRun
from xnas_tf.explanation import Explanation
from xnas_tf.figures.front_figure import front_figure, front_info
from xnas_tf.reporting.trackers.base import front_values
from xnas_tf.reporting.utilisation import timeline, timeline_figure
from xnas_tf.storage.columns import measured_columns
from xnas_tf.strategy.recommendation import recommend
from xnas_tf.utils.number_format import shortened
from xnas_tf.utils.pictures import png
from xnas_tf.utils.tensorboard import TrainingCurves, write_image, writer

TEST_ACCURACY, SECONDS = "test/accuracy", "seconds"
"""Tags of metrics that are not objectives."""


class TensorBoard(Callback):
    """A callback that writes one TensorBoard run for the search and one for each candidate."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context
        self._config = context.config
        self._path = context.path / "tensorboard"
        self._search: tf.summary.SummaryWriter | None = None
        self._curves = TrainingCurves()
        recorded = [measure.name for measure in self._config.record]
        self._tags = {
            f"{'recorded' if c.name.split('/')[0] in recorded else 'objective'}/{c.name}": c
            for c in measured_columns(self._config)
        }

    def on_search_begin(self, run: SearchRun) -> None:
        """Write candidates that an earlier session recorded but did not write to TensorBoard."""
        for candidate in run:
            self._write(candidate)

    def on_epoch_end(
        self, run: SearchRun, candidate: Candidate, epoch: int, logs: Mapping[str, float]
    ) -> None:
        """Add the epoch's values to the candidate's curves."""
        self._curves.update(self._folder(candidate), candidate.history)

    def on_candidate_end(self, run: SearchRun, candidate: Candidate) -> None:
        """Write the candidate's hyperparameters and objectives, and the hypervolume."""
        if candidate.trained and (hypervolume := run.hypervolume()) is not None:
            with self._search_writer():
                step = candidate.finish_order
                tf.summary.scalar("front/hypervolume by answer", hypervolume, step=step)
        self._write(candidate)

    def _write(self, candidate: Candidate) -> None:
        """Write a finished candidate, unless it has already been written."""
        folder = self._folder(candidate)
        if candidate.state != "done":
            self._curves.close(folder)
            return
        values = {tag: column.value(candidate) for tag, column in self._tags.items()}
        values[SECONDS] = candidate.seconds_total
        self._curves.finish(
            folder,
            candidate.history,
            {tag: value for tag, value in values.items() if value is not None},
            candidate.hyperparameters,
            f"candidate {candidate.id}",
        )

    def on_generation_end(self, run: SearchRun, generation: int) -> None:
        """Write the front and its hypervolume after a generation."""
        counts = self._context.dataset.counts["validation"].tolist()
        front = run.pareto()
        recommended = recommend(front, self._config, counts).id
        info = front_info(run.candidates(), front, self._config, recommended, sum(counts))
        figure = front_figure(info)
        with self._search_writer():
            if generation == 1:
                self._declare_hyperparameters()
            for name, value in front_values(run).items():
                tf.summary.scalar(name, value, step=generation)
            write_image("front", png(figure), generation)

    def groups(self, candidates: Sequence[Candidate]) -> None:
        """Write a picture of the timeline of all groups of ranks."""
        picture = png(timeline_figure(timeline(candidates)))
        with self._search_writer():
            write_image("groups", picture, len(candidates))

    def attributions(self, candidate: Candidate, explained: Explanation) -> None:
        """Write an image that shows a model's attributions next to its input images."""
        title = f"candidate {candidate.id}: {shortened(candidate.genotype)}"
        picture = png(explained.figure(title))
        with writer(self._folder(candidate)):
            write_image("attributions", picture, candidate.epochs)

    def tested(self, candidate: Candidate) -> None:
        """Write a model's accuracy on the test split."""
        with writer(self._folder(candidate)):
            accuracy = candidate.metrics["test_accuracy"]
            tf.summary.scalar(TEST_ACCURACY, accuracy, step=candidate.epochs)

    def graph(self, candidate: Candidate, model: keras.Model) -> None:
        """Write the inference graph of a model."""
        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")
        predict = tf.function(lambda images: model(images, training=False))
        with writer(self._folder(candidate)):
            tf.summary.graph(predict.get_concrete_function(images).graph)

    @contextmanager
    def _search_writer(self) -> Iterator[None]:
        """Use the search's own writer, which stays open, as the default writer."""
        self._search = self._search or tf.summary.create_file_writer(str(self._path / "search"))
        with self._search.as_default():
            yield
        self._search.flush()

    def _folder(self, candidate: Candidate) -> Path:
        return self._path / f"candidate-{candidate.id:05d}"

    def _declare_hyperparameters(self) -> None:
        names = dict.fromkeys(variable.name for variable in self._context.space.variables)
        tags = {tag: tag.removeprefix("objective/") for tag in self._tags}
        tags |= {TEST_ACCURACY: "test accuracy", SECONDS: "seconds"}
        tags = dict(sorted(tags.items(), key=lambda tag: "/" in tag[1]))  # ticks the first five
        hparams.hparams_config(
            hparams=[hparams.HParam(name) for name in names],
            metrics=[hparams.Metric(tag, display_name=name) for tag, name in tags.items()],
        )
