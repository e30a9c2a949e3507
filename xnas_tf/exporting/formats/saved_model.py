"""SavedModels, for TensorFlow and TensorFlow Serving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.exporting.serving import PREDICTED, ServedModel


class SavedModel(ExportFormat):
    """Version 1 of a model for TensorFlow Serving, with the signatures of ``ServedModel``."""

    name = "saved_model"
    file = "1"
    tolerance = 1e-4
    usage = """\
import tensorflow as tf

model = tf.saved_model.load("1")
answers = model.signatures["serving_default"](images=tf.constant(images))
print(answers["labels"].numpy(), answers["probabilities"].numpy())
of_classes = tf.constant([-1, 0])  # the predicted class of the first image, class 0 of the second
explained = model.signatures["explain"](images=tf.constant(images), class_index=of_classes)
print({name: values.shape for name, values in explained.items()})"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        served.save(path, {"serving_default": served.serve, "explain": served.explain})

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        loaded = tf.saved_model.load(str(path))
        inputs = tf.constant(images)
        classes = tf.fill([len(images)], PREDICTED)
        explained = loaded.signatures["explain"](images=inputs, class_index=classes)
        served = loaded.signatures["serving_default"](images=inputs)
        outputs = {name: values.numpy() for name, values in {**explained, **served}.items()}
        return {name: values for name, values in outputs.items() if values.dtype != object}
