"""A frozen network with channel masks: what is traced, each function once a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.interpretation.classifier import examine
from xnas_tf.interpretation.feature_taps import Tap, find_taps, tapped
from xnas_tf.keras_tools.input_range import OURS, scaled
from xnas_tf.keras_tools.inspection import inlined_calls, linear_output
from xnas_tf.keras_tools.tracing import forgotten_custom_gradients
from xnas_tf.utils.heartbeat import beat

BATCH = 256
"""Images at a time where nothing is learned: bounds the memory."""
Masks = list[np.ndarray]
"""For each layer one mask a unit, (units, channels)."""


class MaskedNetwork:
    """A network in which each image of a batch passes through the masks of its own unit.

    A unit is whatever has masks of its own: here a class. So the masks of all units are
    learned and measured in the same pass. Layers are masked in place while a function is
    traced, so that functional, sequential, nested and subclassed models work alike.

    Args:
        model: A Keras image classifier with one input and at least two classes.
        images: uint8 images (N, H, W, C) as it will be shown, at least one.
        layers: Where masks go; see ``find_taps``.
        input_range: The values that the model takes: ``0-1``, ``0-255`` or ``-1-1``.

    Raises:
        InputError: If the model cannot be masked, or doesn't take these images.
    """

    def __init__(
        self,
        model: keras.Model,
        images: np.ndarray,
        layers: Sequence[str] | None = None,
        input_range: str = OURS,
    ) -> None:
        self._model = model
        self._input_range = input_range
        self._shape = images.shape[1:]
        sample = self._inputs(tf.constant(images[:2]))
        self.classes, self._ending = examine(model, sample)
        self.taps: list[Tap] = find_taps(model, sample, layers)

    def predict(
        self, images: np.ndarray, units: np.ndarray | None = None, masks: Masks | None = None
    ) -> np.ndarray:
        """Class probabilities (N, classes), each image with its unit's masks, if any."""
        found = [out for (out,) in self._batches(self._probabilities, images, units, masks)]
        return np.concatenate(found) if found else np.zeros((0, self.classes), np.float32)

    def maps(self, images: np.ndarray, units: np.ndarray, masks: Masks) -> list[np.ndarray]:
        """Each layer's masked outputs, summed over the channels, (N, H, W) in the images' size."""
        return _joined(self._batches(self._maps, images, units, masks))

    def energies(self, images: np.ndarray) -> list[np.ndarray]:
        """Mean absolute value of each channel without masks, (N, channels) for each layer."""
        return _joined(self._batches(self._energies, images))

    @cached_property
    def originals(self) -> Callable[[tf.Tensor], list[tf.Tensor]]:
        """What each layer returns without masks, of uint8 images (M, H, W, C)."""
        return self._traced(self._originals, self._spec)

    def _originals(self, images):
        return self._run(self._inputs(images))[1]

    @cached_property
    def gradients(self) -> Callable[..., list[tf.Tensor]]:
        """The gradient of the paper's loss, without its β term, to the masks' logits.

        ``(images, units, targets, loss_weights, error_weights, *originals, *logits)``: uint8
        images (M, H, W, C); the unit and the target class of each, (M,); what its cross-entropy
        and its mean squared error count, (M,); for each layer its ``originals`` and logits
        (units, channels).
        """
        one, many = tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.int32)
        logits = [tf.TensorSpec((None, tap.channels), tf.float32) for tap in self.taps]
        originals = self.originals.structured_outputs
        return self._traced(self._gradients, self._spec, many, many, one, one, *originals, *logits)

    def _gradients(self, images, units, targets, loss_weights, error_weights, *layers):
        originals, logits = layers[: len(self.taps)], layers[len(self.taps) :]
        inputs = self._inputs(images)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(logits)
            outputs, masked = self._run(inputs, units, [tf.sigmoid(each) for each in logits])
            losses = loss_weights * self._cross_entropy(targets, outputs)
            loss = tf.reduce_sum(losses) / len(self.taps)
        # The slopes of the squared errors are written down, as the tape's own way to them takes
        # twice as many passes over the feature maps, and a quarter more of tracing.
        slopes = []
        for ours, original in zip(masked, originals, strict=True):
            values = tf.cast(tf.size(ours[0]) * len(self.taps), tf.float32)
            slopes.append((2 * error_weights / values)[:, None, None, None] * (ours - original))
        return tape.gradient([loss, *masked], logits, [tf.ones(()), *slopes])

    def _cross_entropy(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        if not self._ending.can_be_linear:  # probabilities made where it cannot be seen
            outputs = tf.math.log(tf.clip_by_value(outputs, 1e-7, 1.0))
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)

    @cached_property
    def _probabilities(self) -> Callable:
        def each(images, units, *masks):
            outputs, _ = self._run(self._inputs(images), units, masks)
            return [tf.nn.softmax(outputs) if self._ending.can_be_linear else outputs]

        return self._traced_with_masks(each)

    @cached_property
    def _maps(self) -> Callable:
        def each(images, units, *masks):
            _, found = self._run(self._inputs(images), units, masks)
            sums = [tf.reduce_sum(out, axis=-1, keepdims=True) for out in found]
            return [tf.image.resize(out, self._shape[:2])[..., 0] for out in sums]

        return self._traced_with_masks(each)

    @cached_property
    def _energies(self) -> Callable:
        def each(images, units, *masks):
            _, found = self._run(self._inputs(images))
            return [tf.reduce_mean(tf.abs(out), axis=(1, 2)) for out in found]

        return self._traced_with_masks(each)

    @property
    def _spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, *self._shape), tf.uint8)

    def _traced_with_masks(self, function: Callable) -> Callable:
        masks = [tf.TensorSpec((None, tap.channels), tf.float32) for tap in self.taps]
        return self._traced(function, self._spec, tf.TensorSpec((None,), tf.int32), *masks)

    def _traced(self, function: Callable, *specs: tf.TensorSpec) -> Callable:
        with forgotten_custom_gradients(), inlined_calls(self._model):
            return tf.function(function, autograph=False).get_concrete_function(*specs)

    def _batches(
        self,
        traced: Callable,
        images: np.ndarray,
        units: np.ndarray | None = None,
        masks: Masks | None = None,
    ) -> Iterator[list[np.ndarray]]:
        """Run a traced function; without units and masks nothing is masked."""
        if masks is None:
            units = np.zeros(len(images), np.int32)
            masks = [np.ones((1, tap.channels), np.float32) for tap in self.taps]
        given = [tf.constant(each, tf.float32) for each in masks]
        for start in range(0, len(images), BATCH):
            rows = slice(start, start + BATCH)
            found = traced(tf.constant(images[rows]), tf.constant(units[rows], tf.int32), *given)
            yield [each.numpy() for each in found]
            beat()

    def _inputs(self, images: tf.Tensor) -> tf.Tensor:
        return scaled(images, self._input_range)

    def _run(
        self, inputs: tf.Tensor, units: tf.Tensor | None = None, masks: Sequence[tf.Tensor] = ()
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The logits, and what each place returns with its mask on."""
        found: dict[int, tf.Tensor] = {}

        def edit(place: int, outputs: tf.Tensor) -> tf.Tensor:
            if masks:
                # A product with a one-hot matrix, as the gradient of a gather is a slow scatter.
                chosen = tf.one_hot(units, tf.shape(masks[place])[0]) @ masks[place]
                outputs *= tf.cast(chosen[:, None, None, :], outputs.dtype)
            found[place] = tf.cast(outputs, tf.float32)
            return outputs

        with linear_output(self._ending), tapped(self._model, self.taps, edit):
            outputs = self._model(inputs, training=False)
        logits = tf.cast(tf.nest.flatten(outputs)[0], tf.float32)
        return logits, [found[place] for place in range(len(self.taps))]


def _joined(batches: Iterator[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]
