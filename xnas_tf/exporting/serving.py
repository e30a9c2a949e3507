"""A trained model as functions of raw images, in plain TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras.export import ExportArchive

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.outputs import Probabilities
from xnas_tf.keras_tools.inspection import inlined_calls
from xnas_tf.keras_tools.preprocessing import to_model_input
from xnas_tf.keras_tools.tracing import forgotten_custom_gradients, unoptimized_graphs

PREDICTED = -1
"""The class that stands for the predicted one."""


class ServedModel:
    """What an export computes; its functions are traced by the formats, inside ``traceable``.

    Args:
        model: The Keras model.
        source: The file it was loaded from.
        image_shape: Of an image, (H, W, C).
        class_names: The classes.
        methods: The attribution methods that apply to it.

    Raises:
        InputError: If the model cannot be explained so.
    """

    def __init__(
        self,
        model: keras.Model,
        source: Path,
        image_shape: Sequence[int],
        class_names: Sequence[str],
        methods: Sequence[AttributionMethod],
    ) -> None:
        self.model = model
        self.source = source
        self.class_names = tuple(class_names)
        self.methods = tuple(methods)
        self.images = tf.TensorSpec((None, *image_shape), tf.uint8, name="images")
        self.class_index = tf.TensorSpec((None,), tf.int32, name="class_index")
        probabilities = Probabilities(output="probabilities")
        self._probabilities = explainer_of(model, probabilities).untraced(image_shape)
        inputs = tf.TensorSpec((None, *image_shape), tf.float32)
        self._maps = {
            method.name: _unoptimized(
                explainer_of(model, method).untraced(image_shape), inputs, self.class_index
            )
            for method in methods
        }
        self._levels = to_model_input(np.arange(256)).numpy()

    @contextmanager
    def traceable(self) -> Iterator[None]:
        """Inside, its functions can be traced, and what was traced can be saved."""
        with forgotten_custom_gradients(), inlined_calls(self.model), unoptimized_graphs():
            yield

    def save(self, path: Path, functions: dict[str, Callable]) -> None:
        """Writes a SavedModel with some of its functions, by the names of the signatures."""
        archive = ExportArchive()
        archive.track(self.model)
        with self.traceable():
            for name, function in functions.items():
                specs = [self.images, self.class_index][: len(signature(function).parameters)]
                archive.add_endpoint(name, function, input_signature=specs)
            archive.write_out(str(path), verbose=False)

    def serve(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8 images (B, H, W, C) -> ``probabilities`` (B, classes), and ``labels``, the name
        of each image's most probable class, (B,)."""
        probabilities = self._probabilities(self._inputs(images), tf.constant([0]))
        return {
            "probabilities": probabilities,
            "labels": self._names(tf.argmax(probabilities, axis=1)),
        }

    def explain(self, images: tf.Tensor, class_index: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8 images (B, H, W, C) and a class for each, (B,) -> what ``serve`` returns, the
        names of the classes ``explained``, and maps (B, H, W) by attribution method, as
        ``xnas_tf.explain`` has them.

        A class of -1 is the predicted one. Another than -1 to classes - 1, or another number of
        classes than of images, is an InvalidArgumentError.
        """
        with tf.control_dependencies(self._checks(images, class_index)):
            images = tf.identity(images)
        answers = self.serve(images)
        predicted = tf.argmax(answers["probabilities"], axis=1, output_type=tf.int32)
        explained = tf.where(class_index == PREDICTED, predicted, class_index)
        inputs = self._inputs(images)
        maps = {name: method(inputs, explained) for name, method in self._maps.items()}
        return {**answers, "explained": self._names(explained), **maps}

    def probabilities(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The ``probabilities`` alone, for formats that have no texts."""
        return {"probabilities": self.serve(images)["probabilities"]}

    def _inputs(self, images: tf.Tensor) -> tf.Tensor:
        """As ``to_model_input``, to the last digit: where a graph is optimised a division by 255
        becomes a multiplication, and a digit of the image decides on which side of 0 a ReLU is."""
        return tf.gather(tf.constant(self._levels), tf.cast(images, tf.int32))

    def _names(self, classes: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.constant(self.class_names), classes)

    def _checks(self, images: tf.Tensor, class_index: tf.Tensor) -> list[tf.Operation]:
        """Operations that fail for what cannot be explained."""
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


def _unoptimized(function: Callable, *specs: tf.TensorSpec) -> Callable:
    """A function that runs as it was traced, if inside ``unoptimized_graphs``: wherever the
    graph that it is a part of is loaded, and however that is optimised.

    Gradients jump where a ReLU does. Of 16 images explained by a network of the quickstart, one
    had another side of 0 at one place after TensorFlow had rewritten the graph, and integrated
    gradients that differed by up to 0.001; so they are the same to the last digit.
    """
    kept_apart = {"_noinline": True}
    return tf.function(
        function, input_signature=specs, autograph=False, experimental_attributes=kept_apart
    )
