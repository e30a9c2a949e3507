"""An interpreted classifier with its predictions and metrics, which can be saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from xnas_tf.data import Split
from xnas_tf.errors import InputError
from xnas_tf.interpretation.drawing import drawn
from xnas_tf.interpretation.files import plain, write_facts, write_pictures
from xnas_tf.interpretation.flint.drawing import drawings
from xnas_tf.interpretation.flint.expert_text import interpretation_page, interpreted_range_text
from xnas_tf.interpretation.flint.interpreter import InterpretedModel
from xnas_tf.interpretation.flint.options import FlintOptions
from xnas_tf.interpretation.flint.predictions import InterpreterPredictions
from xnas_tf.interpretation.flint.tables import interpretation_tables
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.utils.intervals import accuracy_interval
from xnas_tf.utils.markup import page_html, rich_html, short_repr
from xnas_tf.utils.number_format import counted, percent_range, percent_text
from xnas_tf.utils.output_folder import atomic_folder
from xnas_tf.utils.shown_channels import shown_channels_sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

Mode = Literal["posthoc", "by-design"]


@dataclass(frozen=True, repr=False)
class Interpretation:
    """A classifier and its interpreter, with their predictions on held-out images.

    Attributes:
        model: The trained classifier and interpreter, which takes values from 0 to 1.
        mode: How they were trained: ``posthoc`` or ``by-design``.
        class_names: Names of the classes.
        validation: Predictions on the validation split.
        answers: Predictions on the test split.
        test: The test split.
        settings: Training settings; the length of ``history`` is the number of epochs.
        seed: Seed for the initial weights and the order of the images.
        history: Loss and accuracy on the training split in each epoch.
        input_range: The range of the inputs of the classifier alone.
        before: The classifier's accuracy on the test split before training.
    """

    model: InterpretedModel
    mode: Mode
    class_names: Sequence[str]
    validation: InterpreterPredictions
    answers: InterpreterPredictions
    test: Split
    settings: FlintOptions
    seed: int
    history: list[dict[str, float]]
    input_range: InputRange
    before: Accuracy

    @property
    def accuracy(self) -> Accuracy:
        """The classifier's accuracy on the test split, after training in by-design mode."""
        if self.mode == "posthoc":
            return self.before
        return Accuracy.of(self.answers.predictor, self.answers.labels)

    def plot(self, which: str = "relevance", explained: Sequence[int] = ()) -> Figure:
        """Draw one figure, with a title.

        Args:
            which: The figure's name: ``relevance`` (of attributes for classes), ``conciseness``, or
                ``explanations`` (of single images); also ``attributes`` if any attribute is
                relevant, and ``disagreements`` if there are any.
            explained: See ``save``.

        Raises:
            InputError: If the figure or an image does not exist.
        """
        check_indices(explained, self.test)
        return drawn(self._drawings(explained), f"{self._title}; {self._fidelity}", which)[which]

    @property
    def _title(self) -> str:
        return f"Interpreter ({self.mode}) with {counted(len(self.answers.weights), 'attribute')}"

    @property
    def _fidelity(self) -> str:
        agrees, count = self.answers.agrees.sum(), len(self.test)
        low, share, high = accuracy_interval(agrees, count) or [np.nan] * 3
        interval = f"95% interval {percent_range(low, high)}"
        return f"fidelity {percent_text(share)} of {count:,} test images ({interval})"

    def __repr__(self) -> str:
        fidelity = f"{self.answers.agrees.mean():.3f}"
        attributes = len(self.answers.weights)
        return short_repr(self, mode=self.mode, attributes=attributes, fidelity=fidelity)

    def _repr_html_(self) -> str:
        known = {
            "fidelity": self._fidelity,
            "before training": self.before.text,
            "inputs": interpreted_range_text(self.as_dict(), "model"),
        }
        return page_html(self._title, known, *map(rich_html, interpretation_tables(self.as_dict())))

    def _drawings(self, explained: Sequence[int]) -> dict[str, Callable[[], Figure]]:
        return drawings(self.model, self.test, self.answers, self.class_names, explained)

    def save(self, out: str | Path, title: str = "", explained: Sequence[int] = ()) -> Path:
        """Write the model, metrics, figures and TensorBoard images to a new folder.

        The folder's ``index.html`` explains the result to readers who know the images.

        Args:
            out: The new folder, which is returned.
            title: Title of the figures and subtitle of the page.
            explained: Indices of test images to explain in a figure; if empty, one image of each of
                several classes.

        Raises:
            InputError: If the folder exists or cannot be written, or an image does not exist.
        """
        check_indices(explained, self.test)
        figures = drawn(self._drawings(explained), title)
        with atomic_folder(Path(out)) as draft:
            self.model.save(draft / "interpreted.keras")
            pictures = write_pictures(draft, "interpretation", figures)
            write_facts(draft / "interpretation.json", self.as_dict())
            interpretation_page(self.as_dict()).write(draft, title, pictures)
        return Path(out)

    @property
    def never_predicted(self) -> list[str]:
        """The classes of the test images that the classifier never predicts."""
        missing = np.setdiff1d(self.answers.labels, self.answers.predictor)
        return [self.class_names[number] for number in missing]

    def as_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON values; undefined values are None."""
        names, answers = self.class_names, self.answers
        never = np.isnan(answers.class_relevance).any(axis=1)
        return {
            "mode": self.mode,
            "input_range": self.input_range.name,
            "interpreted_input_range": DEFAULT_RANGE,
            "shown_channels": shown_channels_sentence(self.test.images.shape),
            "accuracy": self.accuracy.as_dict(),
            "accuracy_by_class": self.accuracy.classes(names),
            "layers": self.model.layer_names,
            "settings": {**self.settings.model_dump(), "seed": self.seed},
            "epochs": len(self.history),
            "class_names": list(names),
            "images": {"validation": len(self.validation.labels), "test": len(self.test)},
            "validation": self.validation.as_dict(),
            "test": answers.as_dict(),
            "class_relevance": plain(answers.class_relevance),
            "never_answered": [name for name, is_so in zip(names, never, strict=True) if is_so],
            "never_predicted": self.never_predicted,
            "disagreements": [
                {
                    "image": int(index),
                    "label": names[answers.labels[index]],
                    "f": names[answers.predictor[index]],
                    "g": names[answers.interpreter[index]],
                }
                for index in np.flatnonzero(~answers.agrees)
            ],
            "history": self.history,
        }


def check_indices(indices: Sequence[int], test: Split) -> None:
    """Raise an ``InputError`` if one of these indices is not in the test split."""
    for index in indices:
        if not 0 <= index < len(test):
            raise InputError(
                f"`explained` {index}: allowed: 0 to {len(test) - 1}, of the test split"
            )
