"""A frozen network with channel masks; each function is traced once per network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.interpretation.classifier import examine
from xnas_tf.interpretation.feature_taps import Tap, find_taps, tapped
from xnas_tf.keras_tools.input_range import DEFAULT_RANGE, scaled
from xnas_tf.keras_tools.inspection import inlined_calls, linear_output
from xnas_tf.keras_tools.tracing import freed_custom_gradients
from xnas_tf.utils.heartbeat import report_progress

BATCH = 256
"""Batch size outside the training; bounds the memory."""
Masks = list[np.ndarray]
"""For each layer the masks of all units, (units, channels)."""


class MaskedNetwork:
    """A network in which each image of a batch passes through the masks of its own unit.

    A unit is anything with masks of its own, here a class. The masks of all units are learned
    and evaluated in the same pass. Layers are masked in place while a function is traced, so
    functional, sequential, nested and subclassed models are all supported.

    Args:
        model: A Keras image classifier with one input and at least two classes.
        images: Sample images (N, H, W, C), uint8, at least one.
        layers: The layers to mask; see ``find_taps``.
        input_range: The values that the model expects: ``0-1``, ``0-255`` or ``-1-1``.

    Raises:
        InputError: If the model cannot be masked, or does not accept these images.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray | DiskImages,
        layers: Sequence[str] | None = None,
        input_range: str = DEFAULT_RANGE,
    ) -> None:
        self._model = model
        self._input_range = input_range
        self._shape = images.shape[1:]
        sample = self._inputs(tf.constant(images[:2]))
        self.classes, self._ending = examine(model, sample)
        self.taps: list[Tap] = find_taps(model, sample, layers)

    def predict(
        self,
        images: np.ndarray | DiskImages,
        units: np.ndarray | None = None,
        masks: Masks | None = None,
    ) -> np.ndarray:
        """Predict class probabilities.

        Args:
            images: (N, H, W, C), uint8.
            units: The unit of each image, (N,).
            masks: For each layer (units, channels); no masks if None.

        Returns:
            (N, classes).
        """
        found = [out for (out,) in self._batches(self._probabilities, images, units, masks)]
        return np.concatenate(found) if found else np.zeros((0, self.classes), np.float32)

    def maps(
        self, images: np.ndarray | DiskImages, units: np.ndarray, masks: Masks
    ) -> list[np.ndarray]:
        """Compute each layer's masked outputs, summed over the channels and resized to (N, H, W).

        See ``predict`` for the arguments.
        """
        return _concatenate(self._batches(self._maps, images, units, masks))

    def energies(self, images: np.ndarray | DiskImages) -> list[np.ndarray]:
        """Compute each channel's mean absolute value without masks, (N, channels) per layer."""
        return _concatenate(self._batches(self._energies, images))

    @cached_property
    def originals(self) -> tf.types.experimental.ConcreteFunction:
        """A function from uint8 images (M, H, W, C) to each layer's outputs without masks."""
        return self._traced(self._originals, self._spec)

    def _originals(self, images: tf.Tensor) -> list[tf.Tensor]:
        return self._run(self._inputs(images))[1]

    @cached_property
    def gradients(self) -> tf.types.experimental.ConcreteFunction:
        """A function that computes the gradients of the paper's loss, without its β term.

        Its arguments are ``(images, units, targets, loss_weights, error_weights, *originals,
        *logits)``: uint8 images (M, H, W, C); the unit and the target class of each, (M,); the
        weights of its cross-entropy and of its mean squared error, (M,); for each layer its
        ``originals``, and its masks' logits (units, channels). The gradients are those with
        respect to the logits.
        """
        one, many = tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.int32)
        logits = [tf.TensorSpec((None, tap.channels), tf.float32) for tap in self.taps]
        originals = self.originals.structured_outputs
        return self._traced(self._gradients, self._spec, many, many, one, one, *originals, *logits)

    def _gradients(
        self,
        images: tf.Tensor,
        units: tf.Tensor,
        targets: tf.Tensor,
        loss_weights: tf.Tensor,
        error_weights: tf.Tensor,
        *layers: tf.Tensor,
    ) -> list[tf.Tensor]:
        originals, logits = layers[: len(self.taps)], layers[len(self.taps) :]
        inputs = self._inputs(images)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(logits)
            outputs, masked = self._run(inputs, units, [tf.sigmoid(each) for each in logits])
            losses = loss_weights * self._cross_entropy(targets, outputs)
            loss = tf.reduce_sum(losses) / len(self.taps)
        # The gradients of the squared errors are written out, as the tape would need twice as
        # many passes over the feature maps for them, and a quarter more time for tracing.
        slopes = []
        for ours, original in zip(masked, originals, strict=True):
            values = tf.cast(tf.size(ours[0]) * len(self.taps), tf.float32)
            slopes.append((2 * error_weights / values)[:, None, None, None] * (ours - original))
        return tape.gradient([loss, *masked], logits, [tf.ones(()), *slopes])

    def _cross_entropy(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        if not self._ending.can_be_linear:  # probabilities, of a softmax that cannot be removed
            outputs = tf.math.log(tf.clip_by_value(outputs, 1e-7, 1.0))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)

    @cached_property
    def _probabilities(self) -> tf.types.experimental.ConcreteFunction:
        def probabilities(
            images: tf.Tensor, units: tf.Tensor, *masks: tf.Tensor
        ) -> list[tf.Tensor]:
            outputs, _ = self._run(self._inputs(images), units, masks)
            return [tf.nn.softmax(outputs) if self._ending.can_be_linear else outputs]

        return self._traced_with_masks(probabilities)

    @cached_property
    def _maps(self) -> tf.types.experimental.ConcreteFunction:
        def maps(images: tf.Tensor, units: tf.Tensor, *masks: tf.Tensor) -> list[tf.Tensor]:
            _, found = self._run(self._inputs(images), units, masks)
            sums = [tf.reduce_sum(out, axis=-1, keepdims=True) for out in found]
            return [tf.image.resize(out, self._shape[:2])[..., 0] for out in sums]

        return self._traced_with_masks(maps)

    @cached_property
    def _energies(self) -> tf.types.experimental.ConcreteFunction:
        # All functions with masks have one signature.
        def energies(
            images: tf.Tensor,
            units: tf.Tensor,  # noqa: ARG001
            *masks: tf.Tensor,  # noqa: ARG001
        ) -> list[tf.Tensor]:
            _, found = self._run(self._inputs(images))
            return [tf.reduce_mean(tf.abs(out), axis=(1, 2)) for out in found]

        return self._traced_with_masks(energies)

    @property
    def _spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, *self._shape), tf.uint8)

    def _traced_with_masks(
        self, function: Callable[..., list[tf.Tensor]]
    ) -> tf.types.experimental.ConcreteFunction:
        masks = [tf.TensorSpec((None, tap.channels), tf.float32) for tap in self.taps]
        return self._traced(function, self._spec, tf.TensorSpec((None,), tf.int32), *masks)

    def _traced(
        self, function: Callable[..., list[tf.Tensor]], *specs: tf.TensorSpec
    ) -> tf.types.experimental.ConcreteFunction:
        with freed_custom_gradients(), inlined_calls(self._model):
            return tf.function(function, autograph=False).get_concrete_function(*specs)

    def _batches(
        self,
        traced: tf.types.experimental.ConcreteFunction,
        images: np.ndarray | DiskImages,
        units: np.ndarray | None = None,
        masks: Masks | None = None,
    ) -> Iterator[list[np.ndarray]]:
        """Run a traced function on batches; without units or masks, with masks of 1."""
        if units is None or masks is None:
            units = np.zeros(len(images), np.int32)
            masks = [np.ones((1, tap.channels), np.float32) for tap in self.taps]
        constants = [tf.constant(each, tf.float32) for each in masks]
        for start in range(0, len(images), BATCH):
            rows = slice(start, start + BATCH)
            batch = tf.constant(images[rows])
            found = traced(batch, tf.constant(units[rows], tf.int32), *constants)
            yield [each.numpy() for each in found]
            report_progress()

    def _inputs(self, images: tf.Tensor) -> tf.Tensor:
        return scaled(images, self._input_range)

    def _run(
        self, inputs: tf.Tensor, units: tf.Tensor | None = None, masks: Sequence[tf.Tensor] = ()
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute the logits, and the masked outputs of each tap."""
        found: dict[int, tf.Tensor] = {}

        def edit(index: int, outputs: tf.Tensor) -> tf.Tensor:
            if masks:
                # A product with a one-hot matrix, as the gradient of a gather is a slow scatter.
                mask = tf.one_hot(units, tf.shape(masks[index])[0]) @ masks[index]
                outputs *= tf.cast(mask[:, None, None, :], outputs.dtype)
            found[index] = tf.cast(outputs, tf.float32)
            return outputs

        with linear_output(self._ending), tapped(self._model, self.taps, edit):
            outputs = self._model(inputs, training=False)
        logits = tf.cast(tf.nest.flatten(outputs)[0], tf.float32)
        return logits, [found[index] for index in range(len(self.taps))]


def _concatenate(batches: Iterator[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(each) for each in zip(*batches, strict=True)]
