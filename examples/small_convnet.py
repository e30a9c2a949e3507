"""A keras-tuner HyperModel to search through: see configs/hypermodel.yaml.

It uses every kind of hyperparameter. xnas-tf passes it the shape of the images and the number of
classes; images are floats in [0, 1]. Because it returns a compiled model, the optimizer and loss
of that model are used, and the configuration sets only the epochs and the batch size.
"""

import keras
import keras_tuner


class SmallConvNet(keras_tuner.HyperModel):
    """A few convolutions, then average pooling or a hidden layer."""

    def __init__(self, input_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.image_shape = input_shape
        self.classes = classes

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build and compile one model of the space."""
        kernel = hp.Fixed("kernel", 3)
        activation = hp.Choice("activation", ["relu", "gelu", "swish"])
        x = inputs = keras.Input(self.image_shape)
        for block in range(hp.Int("blocks", 1, 3)):
            x = keras.layers.Conv2D(hp.Int("filters", 8, 32, step=8), kernel, padding="same")(x)
            if hp.Boolean("batch_norm", default=True):
                x = keras.layers.BatchNormalization(momentum=0.9)(x)
            x = keras.layers.Activation(activation)(x)
            if block < 2:
                x = keras.layers.MaxPooling2D(padding="same")(x)
        head = hp.Choice("head", ["average", "hidden"])
        with hp.conditional_scope("head", ["average"]):
            if head == "average":
                x = keras.layers.GlobalAveragePooling2D()(x)
        with hp.conditional_scope("head", ["hidden"]):
            if head == "hidden":
                x = keras.layers.Flatten()(x)
                x = keras.layers.Dense(hp.Int("units", 16, 64, step=16), activation=activation)(x)
                x = keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5))(x)
        outputs = keras.layers.Dense(self.classes, activation="softmax")(x)
        model = keras.Model(inputs, outputs)
        rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log", default=1e-2)
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        return model
