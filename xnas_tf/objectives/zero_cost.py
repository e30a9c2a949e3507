"""Zero-cost scores: they predict how well a network will be trained from its initial weights.

Record them before training (``record_at: {0: [synflow, jacobian_covariance]}``). As objectives they
are measured at the end of training, like all others. The model is called without changing its
variables.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError, NotApplicable
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from xnas_tf.data import Dataset

STABILITY = 1e-5
"""k of the published score, which keeps logarithms and quotients finite."""
SCALING = (
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization"),
    *("UnitNormalization", "Normalization", "Rescaling"),
)
"""Keras layers that synaptic flow leaves out."""
NOISE = ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise")
"""Keras layers, with their subclasses, that Jacobians leave out."""


class ZeroCostScore(Objective):
    """A score of a model's logits, for models with one image as input."""

    why_not: ClassVar[str]
    """Why a model has no finite value."""
    direction: Direction = "maximize"

    def check_model(self, model: keras.Model) -> None:
        """See ``Objective.check_model``."""
        shapes = [tuple(each.shape) for each in model.inputs or ()]
        if shapes and (len(shapes) != 1 or len(shapes[0]) != 4):
            found = ", ".join(map(str, shapes))
            raise NotApplicable(
                f"{self.name}: the model has inputs of the shapes {found}; allowed: one input "
                "(N, height, width, channels)"
            )

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``."""
        self.check_model(subject.model)
        value = self._value(subject)
        if np.isfinite(value):
            return ObjectiveValue(value)
        return ObjectiveValue(math.nan, {}, self.why_not)

    @abstractmethod
    def _value(self, subject: Subject) -> float:
        """Compute the value; not finite if the model has none."""


class Synflow(ZeroCostScore):
    """Synaptic flow of the network: how strongly its paths connect the input to the logits.

    The score is the sum, over the weights θ of all kernels, of θ ∂R/∂θ, where R is the sum of the
    logits for an image of ones and all weights are replaced by their absolute values (Tanaka et al.
    2020, arXiv 2006.05467; as a score of architectures Abdelfattah et al. 2021, arXiv 2101.08134).
    Its decimal logarithm is recorded, because the score grows exponentially with depth. As in the
    second paper, normalisation layers are left out (batch normalisation and all other kinds), and
    only kernels count. Layers that scale the input are also left out. Higher is better.
    """

    why_not: ClassVar[str] = "the sum of the logits is not a positive number"
    name: Literal["synflow"] = "synflow"

    def _value(self, subject: Subject) -> float:
        return log_synflow(subject.model, subject.images.shape[1:])


class JacobianCovariance(ZeroCostScore):
    """How differently the network responds to changes in different images, before training.

    Each image's Jacobian is the gradient of the sum of the logits with respect to its pixels. With
    the eigenvalues λ of the correlation matrix of the images' Jacobians, the score is −Σ(log(λ + k)
    + 1 / (λ + k)), k = 1e-5 (version 1 of Mellor et al. 2020, arXiv 2006.04647v1; the later
    versions define another score). It is at most −1 per image; higher is better, because
    correlated Jacobians show that the network hardly distinguishes images. As published, batch
    normalisation uses the statistics of the batch; dropout, noise and random changes of the images
    are left out. The images are from the validation split, so scores can only be compared for the
    same number of images.
    """

    why_not: ClassVar[str] = "the gradients of an image are not finite or the same for all pixels"
    name: Literal["jacobian_covariance"] = "jacobian_covariance"
    images: int = Field(
        64,
        ge=2,
        description="maximum number of validation images, less than the number of values of an "
        "image; otherwise, the correlation matrix is singular for any network",
    )

    def check_dataset(self, dataset: Dataset) -> None:
        """See ``Objective.check_dataset``; an image must have more values than there are images."""
        used, values = min(self.images, len(dataset.validation)), math.prod(dataset.image_shape)
        if used >= values:
            raise InputError(
                f"{self.name}: given images: {self.images}, but an image has only {values} values; "
                f"allowed: images: 2 to {values - 1}"
            )

    def _value(self, subject: Subject) -> float:
        from xnas_tf.keras_tools.preprocessing import to_model_input

        subject = subject.first(self.images)
        images = subject.gathered(subject.images).astype(np.uint8)
        return jacobian_score(input_jacobians(subject.model, to_model_input(images).numpy()))


def log_synflow(model: keras.Model, image_shape: tuple[int, ...]) -> float:
    """Compute the decimal logarithm of the synaptic flow for images (height, width, channels).

    Computes in float64, and differentiates the logarithm, because the score of a deep network is
    too large for float32. The result is not finite if the sum of the logits is not positive.

    Raises:
        NotApplicable: If the model has no kernels, or its logits are unknown.
    """
    import tensorflow as tf

    trainable, others = (
        [tf.abs(value) if value.dtype.is_floating else value for value in values]
        for values in _values(model)
    )
    kernels = [
        each for each in (*trainable, *others) if each.dtype.is_floating and each.shape.rank > 1
    ]
    if not kernels:
        raise NotApplicable("synflow: the model has no kernels")
    ones = tf.ones((1, *image_shape))
    with _logits(model, ones, SCALING), _float64(model), tf.GradientTape() as tape:
        tape.watch(kernels)
        logits = model.stateless_call(trainable, others, ones, training=False)[0]
        log_sum = tf.math.log(tf.reduce_sum(tf.cast(tf.nest.flatten(logits)[0], tf.float64)))
    gradients = tape.gradient(log_sum, kernels, unconnected_gradients="zero")
    pairs = zip(kernels, gradients, strict=True)
    share = sum(np.vdot(k.numpy().astype(np.float64), g.numpy()) for k, g in pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(log_sum.numpy() / np.log(10) + np.log10(share))


def input_jacobians(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Differentiate the sum of all logits of a batch with respect to the images (N, H, W, C).

    Batch normalisation uses the statistics of the batch.

    Returns:
        Gradients, (N, H * W * C), float64.

    Raises:
        NotApplicable: If no gradient reaches the images, or the model's logits are unknown.
    """
    import tensorflow as tf

    from xnas_tf.keras_tools.inspection import edited_calls

    trainable, others = _values(model)
    batch = tf.constant(images)
    with (
        _logits(model, batch[:1], NOISE),
        edited_calls(model, _without_augmentation),
        tf.GradientTape() as tape,
    ):
        tape.watch(batch)
        logits = model.stateless_call(trainable, others, batch, training=True)[0]
        total = tf.reduce_sum(tf.nest.flatten(logits)[0])
    gradients = tape.gradient(total, batch)
    if gradients is None:
        raise NotApplicable("no gradient of the model's output reaches its input")
    return gradients.numpy().reshape(len(images), -1).astype(np.float64)


def jacobian_score(jacobians: np.ndarray) -> float:
    """Compute the score of the Jacobians of N images, (N, D); see ``JacobianCovariance``.

    The score is NaN if a row is constant or not finite.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        correlations = np.corrcoef(jacobians)
    if not np.isfinite(correlations).all():
        return math.nan
    values = np.maximum(np.linalg.eigvalsh(np.atleast_2d(correlations)), 0) + STABILITY
    return float(-np.sum(np.log(values) + 1 / values))


@contextmanager
def _logits(model: keras.Model, images: tf.Tensor, left_out: tuple[str, ...]) -> Iterator[None]:
    """Let a model return logits inside the context, without Keras layers of the given kinds."""
    import keras

    from xnas_tf.keras_tools.inspection import (
        edited_calls,
        inlined_calls,
        linear_output,
        observed_ending,
    )

    kinds = tuple(getattr(keras.layers, name) for name in left_out)

    def without(layer: Any, inputs: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
        return inputs[0] if isinstance(layer, kinds) else outputs

    ending = observed_ending(model, images)
    if not ending.can_be_linear:
        raise NotApplicable("the model's logits cannot be computed without its last activation")
    with inlined_calls(model), linear_output(ending), edited_calls(model, without):
        yield


def _without_augmentation(layer: Any, inputs: list[tf.Tensor], outputs: tf.Tensor) -> tf.Tensor:
    """Return what a random image layer, such as RandomFlip, returns in inference."""
    from keras import layers

    others = {"AugMix", "CutMix", "MixUp", "Solarization"}
    names = [name for name in dir(layers) if name.startswith("Rand") or name in others]
    if not isinstance(layer, tuple(getattr(layers, name) for name in names)):
        return outputs
    kind: Any = type(layer)
    return kind.call(layer, inputs[0], training=False)  # not the edited call


@contextmanager
def _float64(model: keras.Model) -> Iterator[None]:
    """Let a model's layers compute in float64 inside the context, except for quantized layers."""
    import keras
    import tensorflow as tf

    from xnas_tf.keras_tools.inspection import all_layers

    class Policy(keras.DTypePolicy):
        """Variables as before, which layers convert to float64 when they use them."""

        def __init__(self, variable_dtype: str) -> None:
            super().__init__("mixed_bfloat16")
            self._compute_dtype, self._variable_dtype = "float64", variable_dtype

    changed = [
        (layer, layer.dtype_policy)
        for layer in all_layers(model)
        if not isinstance(layer.dtype_policy, keras.dtype_policies.DTypePolicyMap)
        and tf.as_dtype(layer.compute_dtype).is_floating
        and layer.quantization_mode is None
    ]
    try:
        for layer, before in changed:
            layer.dtype_policy = Policy(before.variable_dtype)
        yield
    finally:
        for layer, before in changed:
            layer.dtype_policy = before


def _values(model: keras.Model) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Return the values of the trainable and of the other variables."""
    import tensorflow as tf

    trainable, others = (
        [tf.convert_to_tensor(variable.value) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return trainable, others
