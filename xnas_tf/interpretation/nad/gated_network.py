"""A frozen network with channel masks; each function is traced once per network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.data.disk_images import DiskImages
from xnas_tf.interpretation.classifier import examine
from xnas_tf.interpretation.feature_taps import Tap, concrete, find_taps, run_tapped
from xnas_tf.keras_tools.class_outputs import class_logits
from xnas_tf.keras_tools.input_range import scaled
from xnas_tf.keras_tools.inspection import linear_output
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.utils.heartbeat import report_progress

BATCH = 256
"""Batch size outside training, which limits memory use."""
MEMORY = 2 * 2**30
"""Maximum number of bytes of ``kept_originals``. It is enough for a C=16, N=1 cell network on 5,500
images of 28x28 pixels."""
LOSS_SCALE = 2.0**10
"""Factor on the loss during differentiation, so that the gradients of float16 layers do not vanish.
As it is a power of two, it does not change others."""
Masks = list[np.ndarray]
"""The masks of all units, (units, channels) for each layer."""
Summary = Callable[[tf.Tensor, list[tf.Tensor]], list[tf.Tensor]]
"""A function from a batch's logits and each layer's masked outputs to the requested values."""


class MaskedNetwork:
    """A network in which each image of a batch passes through the masks of its unit.

    A unit is anything with its own masks; here, each class is a unit. All units' masks are learned
    and evaluated in the same pass.

    Args:
        model: A Keras image classifier with one input.
        images: One or more sample images (N, H, W, C), uint8.
        layers: The layers to mask; see ``find_taps``.
        input_range: The range of values that the model expects, as ``LOW-HIGH``.

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
        sample = scaled(images[:2], input_range)
        self.classes, self._ending = examine(model, sample)
        self.taps: list[Tap] = find_taps(model, sample, layers)
        self._image_spec = tf.TensorSpec((None, *images.shape[1:]), tf.uint8)
        self._mask_specs = [tf.TensorSpec((None, tap.channels), tf.float32) for tap in self.taps]
        self._traces: dict[Summary, tf.types.experimental.ConcreteFunction] = {}

    def predict(
        self,
        images: np.ndarray | DiskImages,
        units: np.ndarray | None = None,
        masks: Masks | None = None,
    ) -> np.ndarray:
        """Predict class probabilities (N, classes) for uint8 images (N, H, W, C).

        ``units`` are the units of the images, (N,), and ``masks`` (units, channels) those of each
        layer. If there are no masks, all of them are 1.
        """
        found = self._compute(self._probabilities, images, units, masks)
        return found[0] if found else np.zeros((0, self.classes), np.float32)

    def maps(
        self, images: np.ndarray | DiskImages, units: np.ndarray, masks: Masks
    ) -> list[np.ndarray]:
        """Compute each layer's masked outputs, summed over channels and resized to (N, H, W)."""
        return self._compute(self._maps, images, units, masks)

    def energies(self, images: np.ndarray | DiskImages) -> list[np.ndarray]:
        """Compute each channel's mean absolute value without masks, (N, channels) per layer."""
        return self._compute(self._energies, images)

    def _probabilities(self, logits: tf.Tensor, _: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.nn.softmax(logits)]

    def _maps(self, _: tf.Tensor, layers: list[tf.Tensor]) -> list[tf.Tensor]:
        size = self._image_spec.shape[1:3]
        sums = [tf.reduce_sum(out, axis=-1, keepdims=True) for out in layers]
        return [tf.image.resize(out, size)[..., 0] for out in sums]

    def _energies(self, _: tf.Tensor, layers: list[tf.Tensor]) -> list[tf.Tensor]:
        return [tf.reduce_mean(tf.abs(out), axis=(1, 2)) for out in layers]

    def _compute(
        self,
        summary: Summary,
        images: np.ndarray | DiskImages,
        units: np.ndarray | None = None,
        masks: Masks | None = None,
    ) -> list[np.ndarray]:
        """Compute a summary of images in batches; if there are no masks, all of them are 1."""
        if units is None or masks is None:
            units = np.zeros(len(images), np.int32)
            masks = [np.ones((1, tap.channels), np.float32) for tap in self.taps]
        if summary not in self._traces:
            specs = self._image_spec, tf.TensorSpec((None,), tf.int32), *self._mask_specs

            def traced(images: tf.Tensor, units: tf.Tensor, *masks: tf.Tensor) -> list[tf.Tensor]:
                return summary(*self._run(images, units, masks))

            self._traces[summary] = concrete(self._model, traced, *specs)
        constants = [tf.constant(each, tf.float32) for each in masks]
        batches = []
        for start in range(0, len(images), BATCH):
            rows = slice(start, start + BATCH)
            batch = tf.constant(images[rows]), tf.constant(units[rows], tf.int32)
            batches.append([each.numpy() for each in self._traces[summary](*batch, *constants)])
            report_progress()
        return [np.concatenate(each) for each in zip(*batches, strict=True)]

    @cached_property
    def originals(self) -> tf.types.experimental.ConcreteFunction:
        """A function that maps uint8 images (M, H, W, C) to each layer's outputs without masks."""
        return concrete(self._model, lambda images: self._run(images)[1], self._image_spec)

    def kept_originals(self, images: np.ndarray | DiskImages, rows: np.ndarray) -> list[tf.Tensor]:
        """Compute ``originals``, which every epoch needs, for the images at ``rows``.

        There are none if they do not fit in ``MEMORY``. Computing them again would account for a
        third of each step's convolutions.
        """
        values = sum(math.prod(tap.shape) for tap in self.taps)
        if not len(rows) or 4 * values * len(rows) > MEMORY:
            return []
        batches: list[list[tf.Tensor]] = [[] for _ in self.taps]
        for start in range(0, len(rows), BATCH):
            batch = tf.constant(images[rows[start : start + BATCH]])
            for outputs, layer in zip(batches, self.originals(batch), strict=True):
                outputs.append(layer)
            report_progress()
        # Free each layer's batches once concatenated, so that only one layer is held twice.
        return [tf.concat(batches.pop(0), 0) for _ in self.taps]

    @cached_property
    def gradients(self) -> tf.types.experimental.ConcreteFunction:
        """A function that computes the gradients of the paper's loss without its β term.

        The arguments are ``(images, units, targets, loss_weights, error_weights, *originals,
        *logits)``: uint8 images (M, H, W, C); each image's unit and target class, (M,); the weights
        of its cross-entropy and mean squared error, (M,); and, for each layer, the ``originals``
        and the mask logits (units, channels). Gradients are taken with respect to the mask logits.
        """
        one, many = tf.TensorSpec((None,), tf.float32), tf.TensorSpec((None,), tf.int32)
        originals, logits = self.originals.structured_outputs, self._mask_specs
        specs = self._image_spec, many, many, one, one, *originals, *logits
        return concrete(self._model, self._gradients, *specs)

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
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(logits)
            outputs, masked = self._run(images, units, [tf.sigmoid(each) for each in logits])
            errors = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
            losses = loss_weights * errors
            loss = LOSS_SCALE * tf.reduce_sum(losses) / len(self.taps)
        # The gradients of the squared errors are implemented here, because the tape would need
        # twice as many passes over the feature maps, and a quarter more time for tracing.
        slopes = []
        for ours, original in zip(masked, originals, strict=True):
            values = tf.cast(tf.size(ours[0]) * len(self.taps), tf.float32)
            weights = (2 * LOSS_SCALE * error_weights / values)[:, None, None, None]
            slopes.append(weights * (ours - original))
        gradients = tape.gradient([loss, *masked], logits, [tf.ones(()), *slopes])
        return [each / LOSS_SCALE for each in gradients]

    def _run(
        self, images: tf.Tensor, units: tf.Tensor | None = None, masks: Sequence[tf.Tensor] = ()
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Compute the logits for uint8 images, and each tap's masked outputs."""

        def edit(index: int, outputs: tf.Tensor) -> tf.Tensor:
            if not masks:
                return outputs
            # Multiply by a one-hot matrix, because the gradient of a gather is a slow scatter.
            mask = tf.one_hot(units, tf.shape(masks[index])[0]) @ masks[index]
            return outputs * tf.cast(mask[:, None, None, :], outputs.dtype)

        inputs = scaled(images, self._input_range)
        with linear_output(self._ending):
            outputs, layers = run_tapped(self._model, self.taps, inputs, edit)
        return class_logits(outputs, self._ending), layers
