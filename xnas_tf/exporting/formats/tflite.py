"""TensorFlow Lite, for phones and microcontrollers."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.exporting.serving import ServedModel


class TFLite(ExportFormat):
    """uint8 images -> class probabilities, computed in float32."""

    name = "tflite"
    file = "model.tflite"
    tolerance = 1e-4
    usage = """\
import tensorflow as tf

serve = tf.lite.Interpreter("model.tflite").get_signature_runner()
print(serve(images=images)["probabilities"])"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        with tempfile.TemporaryDirectory() as folder:
            served.save(Path(folder), {"serving_default": served.probabilities})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            self._set_options(converter)
            path.write_bytes(converter.convert())

    def _set_options(self, converter: tf.lite.TFLiteConverter) -> None:
        """Set nothing: float32 is the default."""

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow 2.20 deprecates it
            serve = tf.lite.Interpreter(str(path)).get_signature_runner()
        return serve(images=images)


class TFLiteFloat16(TFLite):
    """The same with float16 weights: half the size."""

    name = "tflite_float16"
    file = "model_float16.tflite"
    tolerance = 1e-2
    usage = TFLite.usage.replace("model.tflite", file)

    def _set_options(self, converter: tf.lite.TFLiteConverter) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
