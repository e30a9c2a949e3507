"""The built-in formats: SavedModel, Keras, TensorFlow Lite and ONNX."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.exporting.formats.base import ExportFormat, Outputs
from xnas_tf.exporting.serving import PREDICTED, ServedModel
from xnas_tf.keras_tools import tflite
from xnas_tf.keras_tools.compat import freeze
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.objectives.latency import Latency

WILDCARDS = re.compile(r"[*?\[\\]")
"""Characters that prevent TensorFlow from loading a SavedModel if its path contains them."""
OPSET = 17
"""Opset of 2022: old enough for runtimes on devices, and enough for all built-in search spaces."""


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
        with _path_without_wildcards(path) as plain:
            loaded = tf.saved_model.load(str(plain))
        inputs = tf.constant(images)
        classes = tf.fill([len(images)], PREDICTED)
        explained = loaded.signatures["explain"](images=inputs, class_index=classes)
        served = loaded.signatures["serving_default"](images=inputs)
        outputs = {name: values.numpy() for name, values in {**explained, **served}.items()}
        return {name: values for name, values in outputs.items() if values.dtype != object}


@contextmanager
def _path_without_wildcards(path: Path) -> Iterator[Path]:
    """Yield a path without brackets, which TensorFlow would treat as a pattern."""
    if not WILDCARDS.search(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "model"
        link.symlink_to(path.resolve())
        yield link


class KerasFile(ExportFormat):
    """The Keras model as saved in the run, without image scaling, for further training."""

    name = "keras"
    file = "model.keras"
    tolerance = 1e-5
    usage = """\
import keras

model = keras.saving.load_model("model.keras", compile=False)
print(model(images / np.float32(255)).shape)  # it expects values from 0 to 1"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        shutil.copyfile(served.source, path)

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        # This is a copy of a file that has already been loaded, in safe mode or not.
        model = keras.saving.load_model(path, compile=False, safe_mode=False)
        return {"probabilities": probabilities_of(model, to_model_input(images).numpy())}


class TFLite(ExportFormat):
    """Maps uint8 images to class probabilities, computed in float32."""

    name = "tflite"
    file = "model.tflite"
    tolerance = 1e-4
    usage = """\
import tensorflow as tf

serve = tf.lite.Interpreter("model.tflite").get_signature_runner()
print(serve(images=images)["probabilities"])"""
    precision: ClassVar[tflite.Precision] = "float32"

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        shape = served.images.shape[1:]
        path.write_bytes(
            tflite.convert(
                served.model, served.probabilities, shape, self.precision, served.calibration
            )
        )

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        return {"probabilities": tflite.predict(path.read_bytes(), images)}

    def latency(self, path: Path, options: Latency) -> list[float]:
        """See ``ExportFormat.latency``."""
        return options.percentiles_of_file(path.read_bytes())


class TFLiteFloat16(TFLite):
    """``TFLite`` with float16 weights, which halve the file size."""

    name = "tflite_float16"
    file = "model_float16.tflite"
    tolerance = 1e-2
    usage = TFLite.usage.replace("model.tflite", file)
    precision = "float16"


class TFLiteInt8(TFLite):
    """``TFLite`` in int8: full-integer quantization, calibrated on training images."""

    name = "tflite_int8"
    file = "model_int8.tflite"
    tolerance = 1.0  # any probabilities are allowed: the accuracy loss is measured instead
    is_quantized = True
    usage = TFLite.usage.replace("model.tflite", file)
    precision = "int8"


class Onnx(ExportFormat):
    """Maps uint8 images to class probabilities, computed in float32."""

    name = "onnx"
    file = "model.onnx"
    tolerance = 1e-4
    modules = ("tf2onnx", "onnxruntime")
    extra = "xnas-tf[onnx]"
    usage = """\
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
print(session.run(["probabilities"], {"images": images}))"""

    def write(self, served: ServedModel, path: Path) -> None:
        """See ``ExportFormat.write``."""
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)  # tf2onnx logs every graph it rewrites
        with served.traceable():
            function = tf.function(served.probabilities, autograph=False)
            frozen = freeze(function.get_concrete_function(served.images))
        # ``from_function`` would mistake constants of a layer for inputs.
        given, returned = frozen.inputs[0].name, frozen.outputs[0].name
        tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[given],
            output_names=[returned],
            tensors_to_rename={given: "images", returned: "probabilities"},
            opset=OPSET,
            output_path=str(path),
        )

    def outputs(self, path: Path, images: np.ndarray) -> Outputs:
        """See ``ExportFormat.outputs``."""
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"images": images})
        return {"probabilities": probabilities}
