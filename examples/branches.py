"""A keras-tuner HyperModel with branches: hyperparameters that exist only under a choice.

    xnas-tf search --set "space={hypermodel: 'examples.branches:Branches'}" --set dataset=digits

A hyperparameter inside an ``hp.conditional_scope`` is active only if its parent has one of the
given values. The search varies only active hyperparameters, and two candidates that differ only
in inactive ones count as the same candidate. Put a scope around each ``hp.…`` call that not every
model makes, because a search must know all hyperparameters before it builds its first candidate.
"""

import keras
import keras_tuner
from keras import layers


class Branches(keras_tuner.HyperModel):
    """Plain, separable or residual convolutions, each with its own choices."""

    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.image_shape = input_shape
        self.classes = classes

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build one model. It is not compiled, so the configuration's training settings apply."""
        inputs = keras.Input(self.image_shape)
        x = layers.Conv2D(hp.Int("stem", 8, 16, step=4), 3, padding="same")(inputs)
        kind = hp.Choice("kind", ["plain", "separable", "residual"])
        with hp.conditional_scope("kind", ["plain"]):
            # Two branches ask for "filters", each with different values.
            filters, kernel = hp.Int("filters", 8, 32, step=8), hp.Choice("kernel", [3, 5])
            if kind == "plain":
                x = layers.Conv2D(filters, kernel, padding="same", activation="relu")(x)
        with hp.conditional_scope("kind", ["separable"]):
            filters, depth = hp.Int("filters", 16, 64, step=16), hp.Int("multiplier", 1, 3)
            if kind == "separable":
                x = layers.SeparableConv2D(filters, 3, padding="same", depth_multiplier=depth)(x)
                x = layers.Activation("relu")(x)
        with hp.conditional_scope("kind", ["residual"]):
            x = self._residual(hp, x, is_wanted=kind == "residual")
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(self.classes, activation="softmax")(x))

    def _residual(self, hp: keras_tuner.HyperParameters, x, is_wanted: bool):
        """Add residual blocks. A scope inside a scope gives group normalisation its own choice."""
        blocks, norm = hp.Int("blocks", 1, 3), hp.Choice("norm", ["batch", "group"])
        with hp.conditional_scope("norm", ["group"]):
            groups = hp.Choice("groups", [1, 2, 4])
        for _ in range(blocks if is_wanted else 0):
            y = layers.Conv2D(x.shape[-1], 3, padding="same", use_bias=False)(x)
            if norm == "batch":
                y = layers.BatchNormalization(momentum=0.9)(y)
            else:
                y = layers.GroupNormalization(groups)(y)
            x = layers.Add()([x, layers.Activation("relu")(y)])
        return x
