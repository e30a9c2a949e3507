"""Converts models to TensorFlow Lite, and runs and times the converted models."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Literal

import keras
import numpy as np
import tensorflow as tf
from keras.export import ExportArchive

from xnas_tf.errors import XnasError
from xnas_tf.keras_tools.inspection import all_layers, inlined_calls
from xnas_tf.keras_tools.tracing import freed_custom_gradients, unoptimized_graphs
from xnas_tf.utils.heartbeat import report_progress

Precision = Literal["float32", "float16", "int8"]
WARM_UP = 5
"""Number of warm-up calls; TensorFlow Lite prepares its kernels during the first."""
_LOCATION = re.compile(r'error: loc\((?:callsite\()?fused\["(\w+):", "([^"@]*)')
"""Matches an operation that TensorFlow Lite cannot convert, and its name in the graph."""
_LISTED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def convert(
    model: keras.Model,
    probabilities: Callable[[tf.Tensor], tf.Tensor],
    image_shape: Sequence[int],
    precision: Precision = "float32",
    calibration: np.ndarray | None = None,
) -> bytes:
    """Convert a function of a model to TensorFlow Lite.

    Args:
        model: The Keras model, used to name the layers that cannot be converted.
        probabilities: Maps uint8 images (B, H, W, C) to class probabilities (B, classes).
        image_shape: Shape of an image, (H, W, C).
        precision: ``float16`` stores the weights in half precision. ``int8`` is full-integer
            quantization, with integer weights and activations except in operations for which
            TensorFlow Lite has no integer kernel, such as ELU.
        calibration: For ``int8``, uint8 images (N, H, W, C) that determine the range of
            activations.

    Returns:
        The contents of the file, which maps any number of ``images`` to ``probabilities``, float32.

    Raises:
        XnasError: If an operation cannot be converted.
    """
    spec = tf.TensorSpec((None, *image_shape), tf.uint8, name="images")
    archive = ExportArchive()
    archive.track(model)
    with freed_custom_gradients(), tempfile.TemporaryDirectory() as folder:
        with inlined_calls(model), unoptimized_graphs():
            archive.add_endpoint(
                "serving_default",
                lambda images: {"probabilities": probabilities(images)},
                input_signature=[spec],
            )
            archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            assert calibration is not None
            examples = [{"images": image[None]} for image in calibration]
            converter.representative_dataset = lambda: examples
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        return _converted(converter, model)


def _converted(converter: tf.lite.TFLiteConverter, model: keras.Model) -> bytes:
    """Convert a model to TensorFlow Lite; name the layers that cannot be converted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # images are already uint8 and are not quantized
            return converter.convert()
    except Exception as error:  # the converter's own class is not public
        if not (operations := _refused_operations(str(error), model)):
            raise
        raise XnasError(f"TensorFlow Lite cannot convert {operations}") from error


def predict(content: bytes, images: np.ndarray, batch_size: int = 100) -> np.ndarray:
    """Return a converted model's outputs (N, classes) for uint8 images (N, H, W, C)."""
    serve = _interpreter(content, threads=None).get_signature_runner()
    batches = range(0, len(images), batch_size)
    return np.concatenate(
        [serve(images=images[i : i + batch_size])["probabilities"] for i in batches]
    )


def time_batches(content: bytes, batch_size: int, repeats: int, threads: int) -> np.ndarray:
    """Time predictions on batches of random images; return seconds per batch, (repeats,)."""
    interpreter = _interpreter(content, threads)
    (given,), (returned,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = (batch_size, *given["shape"][1:])
    interpreter.resize_tensor_input(given["index"], shape)
    interpreter.allocate_tensors()
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    def run() -> None:
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        interpreter.get_tensor(returned["index"])

    for _ in range(WARM_UP):
        run()
    seconds = np.empty(repeats)
    for number in range(repeats):
        report_progress()
        start = perf_counter_ns()
        run()
        seconds[number] = (perf_counter_ns() - start) / 1e9
    return seconds


def _interpreter(content: bytes, threads: int | None) -> tf.lite.Interpreter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow 2.20 deprecates it in favour of LiteRT
        return tf.lite.Interpreter(model_content=content, num_threads=threads)


def _refused_operations(text: str, model: keras.Model) -> str:
    """Return the operations that a converter's message names, such as ``ELU (layer dense)``."""
    found = {}
    layers = {layer.name for layer in all_layers(model)}
    for operation, path in _LOCATION.findall(text):
        scopes = path.split("/")
        if model.name not in scopes:  # traced again, which numbers all scopes
            scopes = [re.sub(r"_\d+$", "", scope) for scope in scopes]
        layer = "/".join(scope for scope in scopes if scope in layers)
        found[operation, layer] = f"{operation} (layer {layer})" if layer else operation
    return ", ".join(found.values()) or ", ".join(_LISTED.findall(text))
