"""Small image classifiers of every kind, of three classes."""

import keras

CLASSES = 3
layers = keras.layers


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.body = keras.Sequential([layers.Conv2D(4, 3, name="inner"), layers.ReLU(name="end")])
        self.head = layers.Dense(CLASSES)

    def call(self, x):
        return self.head(keras.ops.mean(self.body(x), axis=(1, 2)))


def nested_model(shape):
    """A model with its convolution in another model."""
    block = [keras.Input(shape), layers.Conv2D(4, 3, name="inner"), layers.ReLU(name="end")]
    inputs = keras.Input(shape)
    x = layers.GlobalAveragePooling2D()(keras.Sequential(block)(inputs))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def dense_model(shape):
    """A model without convolutions."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(inputs)))
