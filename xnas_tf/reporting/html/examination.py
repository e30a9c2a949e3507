"""Looking at trained models for a report: test figures, attributions, class distances."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import PIL.Image
import tensorflow as tf

from xnas_tf.attribution import attribution_method
from xnas_tf.candidate import Candidate
from xnas_tf.data import load_dataset
from xnas_tf.data.dataset import sample_images
from xnas_tf.distributed import SingleProcess
from xnas_tf.evaluation.evaluator import validation_order
from xnas_tf.explanation import explain
from xnas_tf.explanation.drawing import drawable, map_picture
from xnas_tf.objectives.base import Subject
from xnas_tf.objectives.introspectability import ACTIVATIONS, ClassMeans, Introspectability
from xnas_tf.reporting.html.interpretations import png_uri
from xnas_tf.reporting.predictions import answers_data
from xnas_tf.storage.run import Run
from xnas_tf.training.predictor import Predictor

SHOWN_CLASSES = 30
"""Classes whose mean maps and distances are shown, at most."""
SIDE = 96
"""Pixels of a picture's longer side, at most; the page shows smaller ones enlarged."""


class Examiner:
    """Looks at the models of a run, each on the same images.

    Args:
        run: The run.
        count: Test images explained.

    Raises:
        InputError: If the run's data cannot be loaded.
    """

    def __init__(self, run: Run, count: int) -> None:
        tf.get_logger().setLevel("ERROR")  # it warns of every model's trace
        self._data = load_dataset(**run.config.dataset.model_dump())
        self._images = sample_images(self._data.test, count)
        order = validation_order(run.config, self._data)
        measures = (m for m in run.config.measures() if isinstance(m, Introspectability))
        self._measure = next(measures, Introspectability())
        self._validation = self._data.validation.take(order)

    def shared(self) -> dict[str, Any]:
        """What all models are shown beside: the images and the names of the classes."""
        return {
            "classes": list(self._data.class_names),
            "images": [_picture(_image(image)) for image in self._images.images],
            "labels": self._images.labels.tolist(),
            "looked_at": min(len(self._validation), self._measure.looked_at(self._data.classes)),
        }

    def examine(self, candidate: Candidate) -> dict[str, Any]:
        """Test figures, attributions and class distances of a candidate's model.

        Raises:
            InputError: If it cannot be loaded in safe mode.
            Exception: Whatever a user's layers raise.
        """
        model = candidate.load_model()
        try:
            test = self._data.test
            predictor = Predictor(model, len(test) + len(self._validation))
            predicted = predictor(test.images).argmax(axis=1)
            return {
                **answers_data(test.labels, predicted, self._data.classes),
                **self._attributions(model),
                "means": self._class_means(model, predictor),
            }
        finally:
            del model
            keras.backend.clear_session()

    def _attributions(self, model: keras.Model) -> dict[str, Any]:
        """What the model takes each image for, and each method's maps over the images."""
        shown = self._images
        found = explain(
            model, shown.images, labels=shown.labels, class_names=self._data.class_names
        )
        return {
            "predicted": found.predicted.tolist(),
            "probability": [round(float(p.max()), 4) for p in found.probabilities],
            "maps": {
                method.title: [
                    _picture(map_picture(image, values, method.signed))
                    for image, values in zip(shown.images, maps, strict=True)
                ]
                for method, maps in found.maps.items()
            },
            "inapplicable": found.failures,
        }

    def _class_means(self, model: keras.Model, predictor: Predictor) -> list[dict[str, Any]]:
        """By source of introspectability, the distances of the class means and, where these are
        maps, the maps over the mean images."""
        part = self._validation
        names = self._data.class_names
        subject = Subject(
            model, SingleProcess(), names, part.images, part.labels, predictor(part.images)
        )
        found = self._measure.class_means(subject)
        return [_drawn(means) for means in found if np.isfinite(means.value)]


def _drawn(means: ClassMeans) -> dict[str, Any]:
    """One source as the page takes it; classes without images have neither map nor distance."""
    chosen, counts = means.chosen, means.chosen.pairs.counts
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
        "maps": maps,
    }


def _image(image: np.ndarray) -> PIL.Image.Image:
    return PIL.Image.fromarray(drawable(image).astype(np.uint8))


def _picture(image: PIL.Image.Image) -> str:
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return png_uri(buffer.getvalue())
