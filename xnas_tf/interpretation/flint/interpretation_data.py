"""What an interpreted classifier consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xnas_tf.data import Split
from xnas_tf.interpretation.flint.evaluation import InterpreterPredictions
from xnas_tf.interpretation.flint.interpreter import InterpretableModel, Interpreter
from xnas_tf.interpretation.flint.options import FlintOptions
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.training.accuracy import Accuracy

Mode = Literal["posthoc", "by-design"]


@dataclass(frozen=True)
class InterpretationData:
    """A classifier with its interpreter, and what they answer on held-out images.

    Attributes:
        model: Both, trained.
        mode: How they were trained.
        class_names: The classes.
        validation: InterpreterPredictions on the validation part.
        answers: InterpreterPredictions on the test part.
        test: The test part.
        settings: How they were trained; the number of epochs is that of ``history``.
        seed: Of the initial weights and of the order of images.
        history: Of each epoch, loss and accuracy on the training part.
        input_range: The values that the classifier was given.
        before: How often it was right about the test part before anything was trained.
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
