"""Examines a trained model: test metrics, attributions, class distances and layers."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from xnas_tf.attribution import attribution_method
from xnas_tf.attribution.metrics.maps import is_empty, is_flat
from xnas_tf.data import Dataset
from xnas_tf.data.dataset import sample_images
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.validator import validation_order
from xnas_tf.explanation import explain
from xnas_tf.explanation.drawing import drawable, map_picture
from xnas_tf.interpretation.accuracy_text import weak_classes_text
from xnas_tf.keras_tools.inspection import observed_ending
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.keras_tools.settings import clear_session
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.class_distance import ClassMeans
from xnas_tf.objectives.introspectability import ACTIVATIONS, Introspectability
from xnas_tf.reporting.html.quality import quality_data
from xnas_tf.reporting.predictions import metrics_on_test
from xnas_tf.storage.run import Run
from xnas_tf.training.chance_level import Accuracy
from xnas_tf.training.predictor import Predictor
from xnas_tf.utils.html_page import picture_uri
from xnas_tf.utils.shown_channels import shown_channels_sentence

SHOWN_CLASSES = 30
"""Maximum number of classes to show mean maps and distances for."""
MAX_PIXELS = 96
"""Maximum length of a picture's longer side; the page scales smaller pictures up."""


class Examiner:
    """Examines all models on the same data, and shows attributions of ``count`` test images.

    Introspectability (``objective``) is measured on the validation images with the indices
    ``order``, or on all. With ``measured``, the quality of the attributions is measured, too.
    """

    def __init__(
        self,
        data: Dataset,
        count: int,
        order: np.ndarray | None = None,
        objective: Introspectability | None = None,
        measured: bool = False,
    ) -> None:
        tf.get_logger().setLevel("ERROR")  # TensorFlow warns whenever it traces a new model
        self._data = data
        sample = sample_images(data.test, count)
        self._images, self._labels = np.asarray(sample.images), sample.labels
        self._objective = objective or Introspectability()
        self._validation = data.validation if order is None else data.validation.select(order)
        self._measured = measured
        self._example = np.random.default_rng(0).random((2, *data.image_shape), np.float32)

    def shared(self) -> dict[str, Any]:
        """Return the data that all models share: the images and the class names."""
        max_images = self._objective.max_images(self._data.classes)
        return {
            "classes": list(self._data.class_names),
            "images": [
                _picture(PIL.Image.fromarray(drawable(each).astype(np.uint8)))
                for each in self._images
            ],
            "shown_channels": shown_channels_sentence(self._images.shape),
            "labels": self._labels.tolist(),
            "looked_at": min(len(self._validation), max_images),
            "group_by": self._objective.group_by,
        }

    def examine(self, model: keras.Model, accuracy: Accuracy | None = None) -> dict[str, Any]:
        """Compute the test metrics, attributions and class distances of a model.

        The model expects values from 0 to 1. The verdicts on its maps depend on its ``accuracy`` on
        the test split. Any exception that a user's layers raise is raised.
        """
        try:
            test = self._data.test
            count = len(test) + len(self._validation)
            predictor = Predictor(model, count, ending=observed_ending(model, self._example))
            probabilities = predictor(test.images)
            metrics = metrics_on_test(test.labels, probabilities, self._data.classes)
            return {
                **metrics,
                "weak_classes": weak_classes_text(metrics["confusion"], self._data.class_names),
                **self._attributions(model, accuracy),
                "means": self._class_means(model, predictor),
                "layers": layer_rows(model),
            }
        finally:
            del model
            clear_session()

    def _attributions(self, model: keras.Model, accuracy: Accuracy | None) -> dict[str, Any]:
        """Return the model's predictions for the images, and the maps of each method."""
        explanation = explain(
            model,
            self._images,
            labels=self._labels,
            class_names=self._data.class_names,
            measured=self._measured,
            input_range=DEFAULT_RANGE,
        )
        explanation = replace(explanation, accuracy=accuracy)
        titled = [(m.title, m, maps) for m, maps in explanation.maps.items()]
        return {
            "predicted": explanation.predicted.tolist(),
            "probability": [float(p.max()) for p in explanation.probabilities],
            "maps": {
                title: [
                    _picture(map_picture(image, values, method.signed))
                    for image, values in zip(self._images, maps, strict=True)
                ]
                for title, method, maps in titled
            },
            "empty": {title: is_empty(maps).tolist() for title, _, maps in titled},
            "flat": {title: is_flat(maps).tolist() for title, _, maps in titled},
            "notes": explanation.warnings,
            **({"quality": quality_data(explanation.as_dict())} if self._measured else {}),
        }

    def _class_means(self, model: keras.Model, predictor: Predictor) -> list[dict[str, Any]]:
        """Return the class means of each source of introspectability; see ``_means_data``."""
        names, images = self._data.class_names, self._validation.images
        labels, outputs = self._validation.labels, predictor(images)
        subject = Subject(model, SingleProcess(), names, images, labels, outputs)
        sources = self._objective.class_means(subject)
        is_predicted = self._objective.group_by == "predicted"
        return [
            _means_data(each, names, is_predicted) for each in sources if np.isfinite(each.value)
        ]


def run_examiner(run: Run, count: int) -> Examiner:
    """Return an examiner for a run's models, with the options of its search.

    Raises:
        InputError: If the run's data cannot be loaded.
    """
    data = run.load_dataset()
    measures = (m for m in run.config.measures() if isinstance(m, Introspectability))
    return Examiner(data, count, validation_order(run.config, data), next(measures, None))


def layer_rows(model: keras.Model) -> list[list[Any]]:
    """Return the name, class, output shape and number of parameters of each layer."""
    return [
        [
            layer.name,
            type(layer).__name__,
            _shape_text(layer),
            sum(math.prod(weight.shape) for weight in layer.weights),
        ]
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def _shape_text(layer: keras.layers.Layer) -> str:
    try:
        shapes = [tuple(tensor.shape[1:]) for tensor in tf.nest.flatten(layer.output)]
    except (AttributeError, ValueError):  # never called with symbolic inputs
        return ""
    return ", ".join(" × ".join(str(size or "?") for size in shape) for shape in shapes)


def _means_data(means: ClassMeans, names: Sequence[str], is_predicted: bool) -> dict[str, Any]:
    """Return the distances between a source's class means, leaving out classes without images."""
    chosen, pairs, counts = means.chosen, means.chosen.pairs, means.chosen.pairs.counts
    present = np.flatnonzero(counts)[:SHOWN_CLASSES]
    distances = means.distances[np.ix_(present, present)]
    title, maps = "activations", []
    if means.source != ACTIVATIONS:
        method = attribution_method(means.source)
        title = method.title
        for label in present:
            mean = chosen.images[chosen.groups == label].mean(axis=0)
            values = (means.sums[0][label] / counts[label]).reshape(mean.shape[:2])
            maps.append(_picture(map_picture(mean.astype(np.uint8), values, method.signed)))
    return {
        "source": title,
        "classes": present.tolist(),
        "counts": counts[present].astype(int).tolist(),
        "distances": np.round(distances, 4).tolist(),
        "value": round(means.value, 4),
        "reasons": [
            *pairs.missing_reasons(names, is_predicted),
            *pairs.degenerate_reasons(means.gram, names),
        ],
        "maps": maps,
    }


def _picture(image: PIL.Image.Image) -> str:
    image.thumbnail((MAX_PIXELS, MAX_PIXELS))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return picture_uri(buffer.getvalue())
