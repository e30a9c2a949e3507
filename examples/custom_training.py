"""A keras-tuner HyperModel that trains its models itself and measures them with its own metric.

    # mixup.yaml
    dataset: digits
    space: {hypermodel: "examples.custom_training:Mixup"}
    objectives: [error, {name: "metric:top2", direction: maximize}]
    training: {epochs: 5}

``fit`` is called as keras-tuner calls it. Pass on the callbacks that it receives: they
report the metrics of each epoch, and tell the search that training is still running.
"""

from typing import Any

import keras
import keras_tuner
import numpy as np
from keras import layers


class Mixup(keras_tuner.HyperModel):
    """A small network, trained on mixtures of two images (Zhang et al. 2018, arXiv 1710.09412)."""

    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.image_shape = input_shape
        self.classes = classes

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile one model of the space."""
        x = inputs = keras.Input(self.image_shape)
        for filters in (hp.Int("filters", 8, 32, step=8), hp.Int("more_filters", 16, 64, step=16)):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D(padding="same")(x)
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(self.classes, activation="softmax")(x))
        model.compile(
            keras.optimizers.Adam(hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")),
            loss="categorical_crossentropy",  # so that fit gets one-hot vectors, which can be mixed
            metrics=[keras.metrics.TopKCategoricalAccuracy(2, name="top2")],
        )
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        x: Any,
        y: Any,
        batch_size: int = 32,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train on mixtures; ``kwargs`` contains validation_data, epochs, callbacks and verbose."""
        alpha = hp.Float("mixup", 0.05, 1.0, sampling="log")
        return model.fit(Mixtures(x, y, alpha, batch_size), **kwargs)


class Mixtures(keras.utils.PyDataset):
    """Batches in which each image and its target are mixed with those of another image."""

    def __init__(self, x: np.ndarray, y: np.ndarray, alpha: float, batch_size: int) -> None:
        super().__init__()
        self.x, self.y, self.alpha, self.batch_size = x, y, alpha, batch_size
        # The search sets Keras' seed for each candidate, which also seeds NumPy.
        self.rng = np.random.default_rng(np.random.randint(2**31))
        self.order = self.rng.permutation(len(x))

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        one = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        other = self.rng.permutation(one)
        share = np.float32(self.rng.beta(self.alpha, self.alpha))
        return tuple(share * a[one] + (1 - share) * a[other] for a in (self.x, self.y))

    def on_epoch_end(self) -> None:
        self.order = self.rng.permutation(len(self.x))
