"""Grad-CAM and Grad-CAM++."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf
from pydantic import Field
from tf_explain.core.grad_cam import GradCAM as _TfExplainGradCAM

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.score import TargetScore
from xnas_tf.errors import InputError, NotApplicable, suggest
from xnas_tf.keras_tools.inspection import Call

Layer = int | str


class GradCAM(AttributionMethod):
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1 and 2), scaled up to the image.

    tf-explain 0.3.1 weighs the feature maps. Corrected here: the ReLU of equation 2 is
    applied, gradients are plain and not guided, the layer is found under Keras 3 and inside
    nested models, a batch may mix target classes. Of several layers, each map is scaled to a
    largest value of 1 and the mean is taken.
    """

    name: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    signed: ClassVar[bool] = False
    layer: Layer | tuple[Layer, ...] | None = Field(
        None, description="name or index, or several; the last feature map if not given"
    )

    @property
    def points(self) -> int:
        """See ``AttributionMethod.points``."""
        return 1

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        features, gradients = self._differentiated(score)
        if any(gradient is None for gradient in gradients):
            raise NotApplicable(
                f"{self.title}: no gradient reaches layer {self.layer!r} from the model's output"
            )
        maps = [
            tf.image.resize(self._weigh(*_as_float(pair))[..., None], images.shape[1:3])[..., 0]
            for pair in zip(features, gradients, strict=True)
        ]
        if len(maps) == 1:
            return maps[0]
        tops = (tf.reduce_max(each, axis=(1, 2), keepdims=True) for each in maps)
        scaled = [tf.math.divide_no_nan(m, top) for m, top in zip(maps, tops, strict=True)]
        return tf.add_n(scaled) / len(scaled)

    def _differentiated(self, score: TargetScore) -> tuple[list[tf.Tensor], list[tf.Tensor | None]]:
        """Features and the score's gradients."""
        if not tf.executing_eagerly():
            # Not a tape: it would trace the way back to the first layer, to no use.
            values, calls = score.recorded()
            features = _chosen(calls, self.layer)
            return features, tf.gradients(values, features)
        with tf.GradientTape() as tape:
            tape.watch(tf.nest.flatten(score.inputs))
            values, calls = score.recorded()
        features = _chosen(calls, self.layer)
        return features, tape.gradient(values, features)

    def _weigh(self, features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
        """Map (B, h, w) of features and gradients (B, h, w, K)."""
        # tf-explain takes one image, (h, w, K): with the images third, it takes them all.
        images_third = [tf.transpose(each, (1, 2, 0, 3)) for each in (features, gradients)]
        maps = _TfExplainGradCAM.ponderate_output(*images_third)
        return tf.nn.relu(tf.transpose(maps, (2, 0, 1)))


class GradCAMPlusPlus(GradCAM):
    """Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063, eq. 5 and 19): pixels weigh
    differently, so that several instances of a class all show.

    The score is passed through an exponential there, so powers of the first gradient serve
    as its higher derivatives; the common factor exp(score) is left out. tf-explain has none.
    """

    name: ClassVar[str] = "grad_cam_plus_plus"
    title: ClassVar[str] = "Grad-CAM++"

    def _weigh(self, features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
        total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
        alpha = tf.math.divide_no_nan(gradients**2, 2 * gradients**2 + total * gradients**3)
        weights = tf.reduce_sum(alpha * tf.nn.relu(gradients), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))


def _as_float(pair: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """In single precision, whatever the layer computes in."""
    return tf.cast(pair[0], tf.float32), tf.cast(pair[1], tf.float32)


def _chosen(calls: list[Call], wanted: Layer | tuple[Layer, ...] | None) -> list[tf.Tensor]:
    """The outputs of the layers asked for; the last feature map if none is named."""
    maps = [(layer.name, out) for layer, out in calls if out.shape.rank == 4]
    if wanted is None:
        large = [out for _, out in maps if tuple(out.shape[1:3]) != (1, 1)]
        if not large:
            raise NotApplicable(
                "Grad-CAM needs a layer with outputs (height, width, channels); there is none"
            )
        return large[-1:]
    return [_find(maps, each) for each in (wanted if isinstance(wanted, tuple) else (wanted,))]


def _find(maps: list[tuple[str, tf.Tensor]], wanted: Layer) -> tf.Tensor:
    """The last output of a layer: by name, or by index among the feature maps."""
    names = list(dict.fromkeys(name for name, _ in maps))
    if isinstance(wanted, int) and -len(maps) <= wanted < len(maps):
        return maps[wanted][1]
    found = [out for name, out in maps if name == wanted]
    if not found:
        raise InputError(f"no layer with a feature map is called {suggest(str(wanted), names)}")
    return found[-1]
