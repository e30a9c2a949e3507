"""A keras-tuner HyperModel that starts from a trained network: MobileNet from keras.applications.

    # transfer.yaml
    dataset: folder:pets
    space:
      hypermodel: examples.transfer_learning:TransferLearning
      options: {size: 128, weights: imagenet}
    objectives: [error, introspectability]

``weights: imagenet`` lets Keras download ImageNet's weights once, into ``~/.keras/models``. Without
a network connection, copy the file there from another machine: ``mobilenet_2_5_128_tf_no_top.h5``
for ``size: 128``, and likewise for 160, 192 and 224; for any other size, Keras uses that for 224.
Or pass the path of a file that ``save_weights`` wrote for a MobileNet with the same ``alpha`` and
without its top. With ``null``, the whole network is trained from random weights.
"""

import os
import re

import keras
import keras_tuner
from keras import layers

BLOCKS = 13
"""Depthwise separable blocks of MobileNet (Howard et al. 2017, arXiv 1704.04861)."""


class TransferLearning(keras_tuner.HyperModel):
    """A pretrained base whose last blocks may be trained, with a new head.

    Layers of the model resize the images and convert them to the channels and the range that the
    base expects, so these steps also apply when the model is explained or served.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        weights: str | None = "imagenet",
        size: int = 128,
        alpha: float = 0.25,
    ) -> None:
        super().__init__()
        self.image_shape = input_shape
        self.classes = classes
        self.weights = weights and os.path.expanduser(weights)
        self.size = size
        self.alpha = alpha

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile one model of the space."""
        base = keras.applications.MobileNet(
            (self.size, self.size, 3), alpha=self.alpha, include_top=False, weights=self.weights
        )
        learning = hp.Int("learning_blocks", 0, 4)
        for layer in base.layers:
            layer.trainable = self.weights is None or block_of(layer.name) > BLOCKS - learning
        x = inputs = keras.Input(self.image_shape)
        if self.image_shape[2] == 1:
            x = layers.Concatenate(name="colour")([x, x, x])
        x = layers.Resizing(self.size, self.size)(x)
        x = layers.Rescaling(2, offset=-1)(x)  # images are in [0, 1]; MobileNet expects [-1, 1]
        # With trained weights, the statistics of batch normalisation do not change.
        x = base(x) if self.weights is None else base(x, training=False)
        x = layers.GlobalAveragePooling2D()(x)
        if hp.Boolean("hidden"):
            x = layers.Dense(64, activation="relu")(x)
        x = layers.Dropout(hp.Choice("dropout", [0.0, 0.2, 0.4]))(x)
        model = keras.Model(inputs, layers.Dense(self.classes, activation="softmax")(x))
        rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3)
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        return model


def block_of(name: str) -> int:
    """Return the block that a layer of MobileNet belongs to, or 0 before the first block."""
    found = re.fullmatch(r"conv_(?:dw|pw|pad)_(\d+).*", name)
    return int(found[1]) if found else 0
