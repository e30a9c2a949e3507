"""Keras' own format."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import numpy as np

from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.exporting.serving import ServedModel
from xnas_tf.keras_tools.preprocessing import to_model_input


class KerasFile(ExportFormat):
    """The Keras model as the run kept it, without the scaling of images, to train it further."""

    name = "keras"
    file = "model.keras"
    tolerance = 1e-5
    usage = """\
import keras

model = keras.saving.load_model("model.keras", compile=False)
print(model(images / np.float32(255)).shape)  # it takes values from 0 to 1"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        shutil.copyfile(served.source, path)

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        return {"probabilities": probabilities_of(model, to_model_input(images).numpy())}
