"""Views of a Keras model that attributions need."""

from __future__ import annotations

import keras

from xnas_tf.errors import RunError


def ends_in_softmax(model: keras.Model) -> bool:
    """Whether the model's outputs are probabilities made by a softmax of its last layer."""
    last = model.layers[-1]
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    return isinstance(last, keras.layers.Softmax) or softmax


def logits_model(model: keras.Model) -> keras.Model:
    """The model without its final softmax; itself where it ends in none.

    A layer with weights and a softmax is replaced by a linear copy with its present weights.
    """
    if not ends_in_softmax(model):
        return model
    last = model.layers[-1]
    if not last.weights:
        return keras.Model(model.inputs, last.input)
    linear = type(last).from_config(
        {**last.get_config(), "activation": "linear", "name": f"{last.name}_logits"}
    )
    outputs = linear(last.input)
    linear.set_weights(last.get_weights())
    return keras.Model(model.inputs, outputs)


def predicted_score(model: keras.Model) -> keras.Model:
    """The model with one output (B, 1): the logit of the class it predicts.

    Its gradient is that of the predicted class, image by image, so that one pass serves a
    batch of mixed classes. tf-explain takes it as a model with a single class, number 0.
    """
    logits = logits_model(model).output
    return keras.Model(model.inputs, keras.ops.max(logits, axis=-1, keepdims=True))


def last_feature_map(model: keras.Model) -> str:
    """Name of the last layer whose output is (B, H, W, C) with more than one pixel.

    Raises:
        RunError: If there is none, as in a model without convolutions.
    """
    for layer in reversed(model.layers):
        shape = getattr(getattr(layer, "output", None), "shape", ())
        if (
            len(shape) == 4
            and shape[1:3] != (1, 1)
            and not isinstance(layer, keras.layers.InputLayer)
        ):
            return layer.name
    raise RunError("Grad-CAM needs a layer with outputs (height, width, channels); there is none")
