"""Wraps a trained model in TensorFlow functions that take raw images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.export import ExportArchive

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.outputs import serving_function
from xnas_tf.keras_tools.inspection import inlined_calls
from xnas_tf.keras_tools.preprocessing import exact_model_input
from xnas_tf.keras_tools.tracing import freed_custom_gradients, unoptimized_graphs

PREDICTED = -1
"""The class index that denotes the predicted class."""


class ServedModel:
    """An exported model's functions, which are traced inside ``traceable``.

    The model was loaded from ``source``, and all given attribution methods apply to it.
    ``calibration`` contains images for quantized formats, uint8 (N, H, W, C).
    """

    def __init__(
        self,
        model: keras.Model,
        source: Path,
        image_shape: Sequence[int],
        class_names: Sequence[str],
        methods: Sequence[AttributionMethod],
        calibration: np.ndarray | None = None,
    ) -> None:
        self.model = model
        self.source = source
        self.calibration = calibration
        self.class_names = tuple(class_names)
        self.images = tf.TensorSpec((None, *image_shape), tf.uint8, name="images")
        self.class_index = tf.TensorSpec((None,), tf.int32, name="class_index")
        self.probabilities = serving_function(model, image_shape)
        specs = tf.TensorSpec((None, *image_shape), tf.float32), self.class_index
        self._maps = {
            method.name: _unoptimized(explainer_of(model, method).untraced(image_shape), specs)
            for method in methods
        }

    @contextmanager
    def traceable(self) -> Iterator[None]:
        """Allow the functions to be traced and the traces to be saved."""
        with freed_custom_gradients(), inlined_calls(self.model), unoptimized_graphs():
            yield

    def save(self, path: Path, functions: dict[str, Callable[..., Any]]) -> None:
        """Write a SavedModel whose signatures are the named methods of this object."""
        archive = ExportArchive()
        archive.track(self.model)
        with self.traceable():
            for name, function in functions.items():
                specs = [self.images, self.class_index][: len(signature(function).parameters)]
                archive.add_endpoint(name, function, input_signature=specs)
            archive.write_out(str(path), verbose=False)

    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classify uint8 images (B, H, W, C).

        Returns:
            ``probabilities`` (B, classes), and ``labels`` (B,), the name of each image's most
            likely class.
        """
        probabilities = self.probabilities(images)
        labels = self._names(tf.argmax(probabilities, axis=1))
        return {"probabilities": probabilities, "labels": labels}

    def explain(self, images: tf.Tensor, class_index: tf.Tensor) -> dict[str, tf.Tensor]:
        """Explain one class for each image.

        Args:
            images: uint8, (B, H, W, C).
            class_index: int32, (B,): the class to explain, or -1 for the predicted class.

        Returns:
            The results of ``serve``; ``explained`` (B,), the names of the explained classes; and
            maps (B, H, W) by attribution method, computed as in ``xnas_tf.explain``.

        Raises:
            tf.errors.InvalidArgumentError: If a class is out of range, there are no images, or the
                number of classes differs from the number of images.
        """
        with tf.control_dependencies(self._checks(images, class_index)):
            images = tf.identity(images)
        answers = self.serve(images)
        predicted = tf.argmax(answers["probabilities"], axis=1, output_type=tf.int32)
        explained = tf.where(class_index == PREDICTED, predicted, class_index)
        inputs = exact_model_input(images)
        maps = {name: method(inputs, explained) for name, method in self._maps.items()}
        return {**answers, "explained": self._names(explained), **maps}

    def _names(self, classes: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(self.class_names), classes)

    def _checks(self, images: tf.Tensor, class_index: tf.Tensor) -> list[tf.Operation]:
        """Return operations that fail if arguments of ``explain`` are invalid."""
        count, last = tf.shape(images)[0], len(self.class_names) - 1
        allowed = f"class_index: allowed: {PREDICTED} for the predicted class, or 0 to {last}"
        return [
            tf.debugging.assert_positive(count, message="images: none are given"),
            tf.debugging.assert_equal(
                tf.shape(class_index)[0], count, message="class_index: one for each of the images"
            ),
            tf.debugging.assert_greater_equal(class_index, PREDICTED, message=allowed),
            tf.debugging.assert_less_equal(class_index, last, message=allowed),
        ]


def _unoptimized(
    function: Callable[..., Any], specs: tuple[tf.TensorSpec, ...]
) -> Callable[..., Any]:
    """Return a function that, inside ``unoptimized_graphs``, runs exactly as it was traced.

    It is not optimized even as a part of a larger graph that is optimized on loading. Optimization
    changes rounding, and the gradient of a ReLU jumps at zero. With a network from the quickstart,
    one activation in 16 images moved across 0, which changed that image's integrated gradients by
    up to 0.001.
    """
    return tf.function(
        function,
        input_signature=specs,
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
