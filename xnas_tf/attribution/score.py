"""What is explained: the output for a target class, as a function of the image."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Literal

import keras
import tensorflow as tf

from xnas_tf.attribution.folding import folded_batch_norm
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.inspection import Call, Ending, linear_output, recorded_calls


class TargetScore:
    """The output of each image's target class; exists while a method is traced, or runs.

    A single output, as of a sigmoid, counts as two classes: z and -z as logits, p and 1 - p
    as probabilities.

    Args:
        model: The model.
        inputs: All inputs of a batch, nested as the model takes them.
        position: Which of the flattened inputs is the image that is explained.
        targets: Class numbers, (B,); None for the predicted ones.
        ending: How the model ends.
        output: What is explained: ``logits`` or ``probabilities``.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: Any,
        position: int,
        targets: tf.Tensor | None,
        ending: Ending,
        output: Literal["logits", "probabilities"],
    ) -> None:
        self._model = model
        self.inputs = inputs
        self._position = position
        self._ending = ending
        self._is_linear = output == "logits"
        self._targets = targets

    @property
    def targets(self) -> tf.Tensor:
        """The target class of each image, (B,)."""
        if self._targets is None:
            self._targets = _highest(self.outputs(self.inputs))
        return self._targets

    def __call__(self, points: tf.Tensor) -> tf.Tensor:
        """Scores (B * k,) of k points for each image, (B * k, H, W[, C]), image by image."""
        inputs = tf.nest.flatten(self.inputs)
        count = tf.shape(points)[0] // tf.shape(inputs[self._position])[0]
        inputs = [tf.repeat(part, count, axis=0) for part in inputs]
        inputs[self._position] = points
        outputs = self.outputs(tf.nest.pack_sequence_as(self.inputs, inputs))
        return _chosen(outputs, tf.repeat(self.targets, count))

    def recorded(self) -> tuple[tf.Tensor, list[Call]]:
        """Scores (B,) of the images themselves, and what each layer returned."""
        with recorded_calls(self._model) as calls:
            outputs = self._all_outputs(self.inputs)
        if self._targets is None:
            self._targets = _highest(outputs)
        return _chosen(outputs, self._targets), calls

    def outputs(self, inputs: Any) -> tf.Tensor:
        """All outputs, (B, classes), for inputs nested as the model takes them."""
        with folded_batch_norm(self._model):
            return self._all_outputs(inputs)

    def probabilities(self, inputs: Any) -> tf.Tensor:
        """Class probabilities, (B, classes), whatever the model ends in."""
        with folded_batch_norm(self._model):
            outputs = self._only_output(inputs)
        single = outputs.shape[1] == 1
        if self._ending.activation is None:
            outputs = tf.sigmoid(outputs) if single else tf.nn.softmax(outputs)
        return tf.concat([1 - outputs, outputs], axis=1) if single else outputs

    def _all_outputs(self, inputs: Any) -> tf.Tensor:
        with linear_output(self._ending) if self._is_linear else nullcontext():
            only = self._only_output(inputs)
        if only.shape[1] != 1:
            return only
        other = -only if self._is_linear else 1 - only
        return tf.concat([other, only], axis=1)

    def _only_output(self, inputs: Any) -> tf.Tensor:
        outputs = tf.nest.flatten(self._model(inputs, training=False))
        if len(outputs) != 1 or outputs[0].shape.rank != 2:
            shapes = ", ".join(str(tuple(o.shape)) for o in outputs)
            raise InputError(
                f"the model's outputs have the shapes {shapes}; allowed: one output (N, classes)"
            )
        return tf.cast(outputs[0], tf.float32)  # of a model in mixed precision


def _highest(outputs: tf.Tensor) -> tf.Tensor:
    return tf.argmax(outputs, axis=1, output_type=tf.int32)


def _chosen(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    # Not tf.gather with batch_dims, whose gradient takes some forty operations, nor tf.gather_nd,
    # whose gradient a GPU leaves to the host where operations are deterministic.
    is_chosen = tf.one_hot(targets, tf.shape(outputs)[1], True, False, dtype=tf.bool)
    return tf.reduce_sum(tf.where(is_chosen, outputs, tf.zeros_like(outputs)), axis=1)
