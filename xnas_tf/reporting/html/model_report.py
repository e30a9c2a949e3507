"""Collects the data for a report on a single model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from xnas_tf.candidate import Candidate
from xnas_tf.data import Dataset
from xnas_tf.explanation.model_loading import AnyModel, named_model
from xnas_tf.interpretation.accuracy_text import (
    accuracy_warning,
    means_little,
    range_warning,
    worst_classes_text,
)
from xnas_tf.interpretation.classifier import check_dataset, examine
from xnas_tf.keras_tools.input_range import InputRange, from_unit_model, range_of, scaled
from xnas_tf.keras_tools.range_names import AUTO
from xnas_tf.reporting.html.examination import Examiner, layer_rows
from xnas_tf.reporting.html.interpretations import model_interpretations
from xnas_tf.reporting.html.summary import Facts, data_text, made_text
from xnas_tf.storage.tested_models import candidate_name
from xnas_tf.training.chance_level import Accuracy, report_accuracy
from xnas_tf.training.class_predictions import predictions

MOST_CLASSES = 30
"""Maximum number of classes to show an image of, whatever number is requested."""


def model_name(given: AnyModel) -> str:
    """Return a model's name for use in file names."""
    if isinstance(given, str | Path):
        return Path(given).stem
    if isinstance(given, Candidate):
        return candidate_name(given.id)
    assert isinstance(given, keras.Model)
    return str(given.name)


def _called(given: AnyModel) -> str:
    """Return a phrase that refers to the model in a sentence."""
    if isinstance(given, Candidate):
        return f"candidate {given.id}"
    name = Path(given).resolve().name if isinstance(given, str | Path) else model_name(given)
    return f"the classifier {name}"


def model_data(
    given: AnyModel,
    dataset: str | Dataset | None,
    images: int,
    log: Callable[[str], None],
    safe: bool = True,
    input_range: str = AUTO,
) -> dict[str, Any]:
    """Collect all data for the page; see ``save_report`` for the arguments.

    Raises:
        InputError: If the model or the data set does not exist, or if the two do not match.
    """
    subject = named_model(given, safe)
    data = subject.load_dataset(dataset, log)
    count = max(images, min(data.classes, MOST_CLASSES))
    resolved = range_of(subject.model, data.image_shape, input_range)
    log(resolved.text)
    count_of_classes, _ = examine(subject.model, scaled(data.test.images[:2], resolved.name))
    check_dataset(count_of_classes, data)
    found = predictions(subject.model, data.test, resolved.name)
    accuracy = report_accuracy(found, resolved, log, subject.model, data.test, data.scaling)
    facts = _facts(subject.model, data, accuracy, resolved)
    layers = layer_rows(subject.model)  # without the scaling layer added below
    examiner = Examiner(data, count, measured=True)
    log("measuring its attributions")
    unit_model = from_unit_model(subject.model, data.image_shape, resolved.name)
    examined = examiner.examine(unit_model, accuracy)
    name = model_name(given)
    return {
        "title": f"Report on {_called(given)}",
        "subtitle": made_text(),
        "facts": facts,
        "problem": _problem(accuracy, data.class_names),
        "models": {**examiner.shared(), "models": [{"id": None, **examined, "layers": layers}]},
        "interpretations": model_interpretations(Path(), name, accuracy, resolved.name),
    }


def _facts(model: keras.Model, data: Dataset, accuracy: Accuracy, resolved: InputRange) -> Facts:
    return [
        ("data", data_text(data.name, data.facts)),
        ("test split", accuracy.text),
        ("parameters, including non-trainable ones", f"{model.count_params():,}"),
        ("input range", f"{resolved.name}: {resolved.reason.partition('; set ')[0]}"),
    ]


def _problem(accuracy: Accuracy, class_names: Sequence[str]) -> str:
    """Say why the model's explanations may mean little, and for which classes it is much worse."""
    known = accuracy.as_dict()
    worst = worst_classes_text(accuracy.value or 0, accuracy.classes(class_names))
    texts = [range_warning(known), "" if means_little(known) else worst, accuracy_warning(known)]
    return " ".join(text for text in texts if text)
