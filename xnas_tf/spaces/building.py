"""Builds models of a HyperModel, each independent of earlier ones, and checks that they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import keras
import keras_tuner
import numpy as np

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import has_single_output
from xnas_tf.keras_tools.compat import reset_layer_names
from xnas_tf.keras_tools.inspection import all_layers, check_single_output, ending_of, sums_to_one
from xnas_tf.keras_tools.targets import check_head
from xnas_tf.utils.randomness import uninterrupted

Shape = tuple[int | None, ...]


def name_of(hypermodel: keras_tuner.HyperModel) -> str:
    """Return the name of a HyperModel, or of its ``build`` function, for use in messages."""
    function = getattr(hypermodel.build, "func", None)
    return f"HyperModel {getattr(function, '__name__', type(hypermodel).__name__)}"


def code_of(hypermodel: keras_tuner.HyperModel) -> list[Any]:
    """Return the classes of a HyperModel, and the function or the classes of ``build(hp)``."""
    build = getattr(hypermodel.build, "func", hypermodel.build)
    if isinstance(build, FunctionType):
        return [*type(hypermodel).__mro__, build]
    owner = getattr(build, "__self__", build)  # of a method, or any object that can be called
    return [*dict.fromkeys([*type(hypermodel).__mro__, *type(owner).__mro__])]


def build_model(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    input_shape: tuple[int | None, ...],
) -> tuple[keras.Model, bool]:
    """Build the model for the given hyperparameters.

    Automatically named layers get the same names each time, because hyperparameters may be named
    after layers. ``input_shape`` is used by models that do not define one.

    Returns:
        The model, and whether it has weights that do not come from initializers, such as pretrained
        ones.

    Raises:
        InputError: If the model would continue from weights that were trained in an earlier model.
        TypeError: If ``build`` does not return a model.
    """
    reset_layer_names()
    created: list[keras.Variable] = []
    assigned: list[keras.Variable] = []
    with (
        uninterrupted(),
        _followed("__init__", created.append),
        _followed("assign", assigned.append),
    ):
        model = hypermodel.build(hp)
        if not isinstance(model, keras.Model):
            raise TypeError(f"build() returned {_what(model)}, not a keras.Model")
        if not model.built:
            model.build(input_shape)
    own = _ids(created)  # their values come from initializers, unless something was assigned
    for layer in all_layers(model):
        if not _ids(_trained(layer)) <= own:
            raise InputError(
                f"layer {layer.name!r} was not made by build(), and its weights are trained: each "
                "candidate would continue from the weights of earlier ones. Make it in build(), "
                "copy it there (keras.models.clone_model, then set_weights), or set trainable = "
                "False"
            )
    return model, not _ids(model.weights) <= own - _ids(assigned)


def _what(model: Any) -> str:
    """Describe what ``build`` returned instead of a model, with a likely cause."""
    if model is None:
        return "nothing (is there a return statement?)"
    name = f"a {type(model).__name__}"
    if isinstance(model, keras_tuner.HyperModel):
        return f"{name} (give the arguments of the function as space.options)"
    return name


def _trained(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Return a layer's weights that change during training, through gradients or otherwise."""
    has_statistics = isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    return layer.weights if has_statistics else layer.trainable_variables


def _ids(variables: list[keras.Variable]) -> set[int]:
    return {id(variable) for variable in variables}


@contextmanager
def _followed(name: str, function: Callable[[keras.Variable], None]) -> Iterator[None]:
    """Inside the context, call ``function`` after each call of a variable's ``name`` method."""
    original, is_own = getattr(keras.Variable, name), name in vars(keras.Variable)

    def method(variable: keras.Variable, *args: Any, **kwargs: Any) -> Any:
        result = original(variable, *args, **kwargs)
        function(variable)
        return result

    setattr(keras.Variable, name, method)
    try:
        yield
    finally:
        if is_own:
            setattr(keras.Variable, name, original)
        else:
            delattr(keras.Variable, name)


def check_model(model: keras.Model, images: Shape, classes: int) -> None:
    """Check that a model classifies images (None, H, W, C) into the given number of classes.

    Raises:
        InputError: If the model's head or input does not fit the data.
        TypeError: If the model is not functional or sequential with one input and one output.
    """
    if not getattr(model, "inputs", None):
        raise TypeError("the model is neither functional nor sequential, as attributions require")
    check_single_output(model)
    inputs = tuple(model.input_shape)
    if not _fits(inputs, images):
        hint = f": write keras.Input({images[1:]})" if len(inputs) == 3 else ""
        raise TypeError(f"the model takes {inputs}, but the images are {images}{hint}")
    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    if "float" not in dtype:
        raise InputError(
            f"the model's input is of type {dtype}, but images are floats from 0 to 1, which "
            f"{dtype} would round to 0 and 1: write keras.Input(shape) without this dtype, and "
            "remove the layer that scales bytes, such as Rescaling(1 / 255)"
        )
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


def _fits(declared: tuple[int | None, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(declared) == len(wanted) and all(
        have is None or have == want for have, want in zip(declared[1:], wanted[1:], strict=True)
    )
