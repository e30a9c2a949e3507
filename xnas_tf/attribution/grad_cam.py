"""Grad-CAM."""

from __future__ import annotations

import warnings

import keras
import tensorflow as tf
from tf_explain.core.grad_cam import GradCAM as _TfExplainGradCAM

from xnas_tf.attribution.models import last_feature_map, predicted_score


class GradCAM:
    """Grad-CAM of the predicted class (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1-2).

    tf-explain 0.3.1 computes the feature maps and their gradients. Corrected here: the ReLU
    of equation 2 is applied, gradients are plain and not guided, the layer is found under
    Keras 3, and a batch may mix predicted classes; its weighted sum takes one image at a
    time, so that is done here too.

    Args:
        model: A functional or sequential Keras image classifier; its present weights count.
        layer: Name of the feature map; the last one where None.
    """

    def __init__(self, model: keras.Model, layer: str | None = None) -> None:
        self._model = predicted_score(model)
        self._layer = layer or last_feature_map(model)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Maps (B, h, w), non-negative, for images (B, H, W, C); h and w are the layer's."""
        with warnings.catch_warnings():
            # tf-explain nests the model's inputs in one more list than Keras 3 expects.
            warnings.filterwarnings("ignore", message="The structure of `inputs`")
            outputs, gradients = _TfExplainGradCAM.get_gradients_and_filters(
                self._model, images, self._layer, 0, use_guided_grads=False
            )
        weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * outputs, axis=-1))
