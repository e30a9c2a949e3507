"""Checks that a HyperModel's model is suitable for a search."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.head import check_head
from xnas_tf.keras_tools.inspection import check_single_output, ending_of, sums_to_one

Shape = tuple[int | None, ...]


def check_model(model: keras.Model, images: Shape, classes: int) -> None:
    """Check that a model classifies images (None, H, W, C) into the given number of classes.

    Raises:
        InputError: If the model's head or input does not fit the data.
        TypeError: If the model is not a functional or sequential model with one input and one
            output.
    """
    if not getattr(model, "inputs", None):
        raise TypeError("the model is neither functional nor sequential, as attributions require")
    check_single_output(model)
    inputs = tuple(model.input_shape)
    if not _fits(inputs, images):
        hint = f": write keras.Input({images[1:]})" if len(inputs) == 3 else ""
        raise TypeError(f"the model takes {inputs}, but the images are {images}{hint}")
    _check_dtype(model)
    check_head(model, classes)


def check_outputs(model: keras.Model, images: np.ndarray) -> None:
    """Check that a model's probabilities come from a softmax layer, so that logits can be computed.

    Any images (N, H, W, C) will do.

    Raises:
        TypeError: If the probabilities come from another kind of layer.
    """
    # ``check_head`` has checked the form of a single output.
    if has_single_output(model) or ending_of(model).activation == "softmax":
        return
    if sums_to_one(model(images, training=False)):
        raise TypeError(
            "the model's outputs are probabilities, but its last layer is not a softmax; end "
            "it with Dense(…, activation='softmax'), Activation('softmax'), Softmax() or logits"
        )


def check_predict_step(model: keras.Model, images: np.ndarray) -> None:
    """Check that a model's own ``predict_step``, if it has one, returns what the model returns.

    Any images (N, H, W, C) will do. Objectives, explanations and exports call the model itself, so
    they would lack whatever ``predict_step`` adds, such as another range of values.

    Raises:
        TypeError: If it returns anything else.
    """
    if type(model).predict_step is keras.Model.predict_step:
        return
    found = model.predict_step(keras.ops.convert_to_tensor(images))
    wanted = model(images, training=False)
    has_shape = np.shape(found) == wanted.shape
    if not has_shape or not np.allclose(found, wanted, rtol=1e-2, atol=1e-4, equal_nan=True):
        raise TypeError(
            f"{type(model).__name__}.predict_step returns other values than the model itself, "
            "which is what explanations and exports use; leave it out, and put what it does, such "
            "as scaling the images, into layers of the model"
        )


def _check_dtype(model: keras.Model) -> None:
    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    if "float" not in dtype:
        raise InputError(
            f"the model's input is of type {dtype}, but images are floats from 0 to 1, which "
            f"{dtype} would round to 0 and 1: write keras.Input(shape) without this dtype, and "
            "remove the layer that scales bytes, such as Rescaling(1 / 255)"
        )


def _fits(declared: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(declared) == len(wanted) and all(
        have is None or have == want for have, want in zip(declared[1:], wanted[1:], strict=True)
    )
