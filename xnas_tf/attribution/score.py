"""The function that attributions explain, which maps an image to the output for a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from xnas_tf.attribution.targets import Output
from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import class_probabilities
from xnas_tf.keras_tools.inspection import Call, Ending, linear_output, recorded_calls


@dataclass
class TargetScore:
    """Computes the output for each image's target class, while a method is being traced or run.

    A single output, such as that of a sigmoid, counts as two classes, with the logits -z and z, or
    the probabilities 1 - p and p.

    Attributes:
        model: The model.
        inputs: All inputs of a batch, nested as the model expects them.
        position: Position of the explained image among the flattened inputs.
        given: Target classes, (B,); None for the predicted classes.
        ending: The model's output layer and its activation; see ``Ending``.
        output: The output to explain.
    """

    model: keras.Model
    inputs: Any
    position: int
    given: tf.Tensor | None
    ending: Ending
    output: Output

    @property
    def targets(self) -> tf.Tensor:
        """The target class of each image, (B,)."""
        if self.given is None:
            self.given = _argmax(self.outputs(self.inputs))
        return self.given

    def __call__(self, points: tf.Tensor) -> tf.Tensor:
        """Return the scores (B * k,) of k points per image, (B * k, H, W[, C]), in image order."""
        inputs = tf.nest.flatten(self.inputs)
        count = tf.shape(points)[0] // tf.shape(inputs[self.position])[0]
        inputs = [tf.repeat(each, count, axis=0) for each in inputs]
        inputs[self.position] = points
        outputs = self.outputs(tf.nest.pack_sequence_as(self.inputs, inputs))
        return _target_outputs(outputs, tf.repeat(self.targets, count))

    def recorded(self) -> tuple[tf.Tensor, list[Call]]:
        """Return the scores (B,) of the images themselves and the output of each layer."""
        with recorded_calls(self.model) as calls:
            outputs = self.outputs(self.inputs)
        if self.given is None:
            self.given = _argmax(outputs)
        return _target_outputs(outputs, self.given), calls

    def outputs(self, inputs: Any) -> tf.Tensor:
        """Return all outputs, (B, classes), for inputs nested as the model expects them."""
        if self.output == "probabilities":
            return class_probabilities(self._single_output(inputs), self.ending.activation)
        with linear_output(self.ending):
            logits = self._single_output(inputs)
        return logits if logits.shape[1] != 1 else tf.concat([-logits, logits], axis=1)

    def _single_output(self, inputs: Any) -> tf.Tensor:
        outputs = tf.nest.flatten(self.model(inputs, training=False))
        if len(outputs) != 1 or outputs[0].shape.rank != 2:
            shapes = ", ".join(str(tuple(o.shape)) for o in outputs)
            raise InputError(
                f"the model's outputs have the shapes {shapes}; allowed: one output (N, classes)"
            )
        return tf.cast(outputs[0], tf.float32)  # needed with mixed precision


def _argmax(outputs: tf.Tensor) -> tf.Tensor:
    return tf.argmax(outputs, axis=1, output_type=tf.int32)


def _target_outputs(outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    # The gradient of tf.gather with batch_dims takes about forty operations, and that of
    # tf.gather_nd runs on the CPU where deterministic operations are enabled.
    is_target = tf.one_hot(targets, tf.shape(outputs)[1], True, False, dtype=tf.bool)
    return tf.reduce_sum(tf.where(is_target, outputs, tf.zeros_like(outputs)), axis=1)
