"""The record of an interpreted classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xnas_tf.data import Split
from xnas_tf.interpretation.flint.evaluation import InterpreterPredictions
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter
from xnas_tf.interpretation.flint.options import FlintOptions
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.training.chance_level import Accuracy

Mode = Literal["posthoc", "by-design"]


@dataclass(frozen=True)
class InterpretationData:
    """A classifier with its interpreter, and their predictions on held-out images.

    Attributes:
        model: Both, trained.
        mode: How they were trained.
        class_names: The classes.
        validation: Predictions on the validation split.
        answers: Predictions on the test split.
        test: The test split.
        settings: Training settings; the number of epochs is the length of ``history``.
        seed: Seed of the initial weights and of the order of the images.
        history: Loss and accuracy on the training split in each epoch.
        input_range: The range of the classifier's inputs.
        before: The classifier's accuracy on the test split before the training.
    """

    model: Interpreter | InterpretableModel
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
