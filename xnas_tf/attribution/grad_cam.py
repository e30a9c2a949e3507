"""Grad-CAM and Grad-CAM++."""

from __future__ import annotations

from typing import ClassVar

import keras
import tensorflow as tf
from pydantic import Field
from tf_explain.core.grad_cam import GradCAM as _TfExplainGradCAM

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.score import TargetScore
from xnas_tf.errors import InputError, NotApplicable, suggest
from xnas_tf.keras_tools.inspection import Call, has_feature_map, is_map, layers_in_attention

LayerKey = int | str
"""A layer's name, or its index among the feature maps."""
_NO_MAP = "Grad-CAM needs a layer with outputs (height, width, channels); there is none"


class GradCAM(AttributionMethod):
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1 and 2), resized to the image.

    tf-explain 0.3.1 weights the feature maps. This class adds the ReLU of equation 2, plain instead
    of guided gradients, layers of nested models, and several target classes in a batch. The maps of
    several layers are scaled to a maximum of 1 and averaged.
    """

    name: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    signed: ClassVar[bool] = False
    why_empty: ClassVar[str] = "no region of the image supports the class"
    points: ClassVar[int] = 1
    layer: LayerKey | tuple[LayerKey, ...] | None = Field(
        None, description="layer name or index, or several; by default the last feature map"
    )

    def check_model(self, model: keras.Model) -> None:
        """See ``AttributionMethod.check_model``."""
        if not has_feature_map(model):
            raise NotApplicable(_NO_MAP)

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        features, gradients = self._features_and_gradients(score)
        if any(gradient is None for gradient in gradients):
            raise NotApplicable(
                f"{self.title}: no gradient reaches layer {self.layer!r} from the model's output"
            )
        maps = []
        for pair in zip(features, gradients, strict=True):
            layer_map = self._weighted(*(tf.cast(each, tf.float32) for each in pair))
            maps.append(tf.image.resize(layer_map[..., None], images.shape[1:3])[..., 0])
        if len(maps) == 1:
            return maps[0]
        scaled = [
            tf.math.divide_no_nan(each, tf.reduce_max(each, axis=(1, 2), keepdims=True))
            for each in maps
        ]
        return tf.add_n(scaled) / len(scaled)

    def _features_and_gradients(
        self, score: TargetScore
    ) -> tuple[list[tf.Tensor], list[tf.Tensor | None]]:
        """Return the feature maps and the score's gradients with respect to them."""
        if not tf.executing_eagerly():
            # A tape would needlessly trace the gradients back to the first layer.
            values, calls = score.recorded()
            features = _select(score.model, calls, self.layer)
            return features, tf.gradients(values, features)
        with tf.GradientTape() as tape:
            tape.watch(tf.nest.flatten(score.inputs))
            values, calls = score.recorded()
        features = _select(score.model, calls, self.layer)
        return features, tape.gradient(values, features)

    def _weighted(self, features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
        """Return maps (B, h, w) for features and gradients (B, h, w, K)."""
        # tf-explain expects one image, (h, w, K), and broadcasts over a batch in the third axis.
        batch_third = [tf.transpose(each, (1, 2, 0, 3)) for each in (features, gradients)]
        maps = _TfExplainGradCAM.ponderate_output(*batch_third)
        return tf.nn.relu(tf.transpose(maps, (2, 0, 1)))


class GradCAMPlusPlus(GradCAM):
    """Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063, eq. 5 and 19).

    Each pixel has its own weight, so that all instances of a class are highlighted. The higher
    derivatives of the exponential of the score, which the paper uses, are powers of the first
    derivative; the common factor exp(score) is left out. tf-explain lacks this method.
    """

    name: ClassVar[str] = "grad_cam_plus_plus"
    title: ClassVar[str] = "Grad-CAM++"

    def _weighted(self, features: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
        total = tf.reduce_sum(features, axis=(1, 2), keepdims=True)
        alpha = tf.math.divide_no_nan(gradients**2, 2 * gradients**2 + total * gradients**3)
        weights = tf.reduce_sum(alpha * tf.nn.relu(gradients), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))


def _select(
    model: keras.Model, calls: list[Call], wanted: LayerKey | tuple[LayerKey, ...] | None
) -> list[tf.Tensor]:
    """Return the requested layers' outputs, or the last feature map if no layers are given."""
    inner = layers_in_attention(model)
    maps = [(each.name, out) for each, out in calls if out.shape.rank == 4 and each not in inner]
    if wanted is None:
        spatial = [out for _, out in maps if is_map(out)]
        if not spatial:
            raise NotApplicable(_NO_MAP)
        return spatial[-1:]
    return [_output_of(maps, each) for each in (wanted if isinstance(wanted, tuple) else (wanted,))]


def _output_of(maps: list[tuple[str, tf.Tensor]], wanted: LayerKey) -> tf.Tensor:
    """Return the last output of a layer, given by name or by index among the feature maps."""
    if isinstance(wanted, int) and -len(maps) <= wanted < len(maps):
        return maps[wanted][1]
    outputs = [out for name, out in maps if name == wanted]
    if not outputs:
        names = {name for name, _ in maps}
        raise InputError(f"no layer with a feature map is called {suggest(str(wanted), names)}")
    return outputs[-1]
