"""Builds models of a HyperModel, each independent of the models built before it."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import keras
import keras_tuner

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.compat import reset_layer_names
from xnas_tf.keras_tools.given_weights import recorded_build


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
    with recorded_build() as record:
        model = hypermodel.build(hp)
        if not isinstance(model, keras.Model):
            raise TypeError(f"build() returned {_what(model)}, not a keras.Model")
        if not model.built:
            model.build(input_shape)
    if (layer := record.older_layer(model)) is not None:
        raise InputError(
            f"layer {layer.name!r} was not made by build(), and its weights are trained: each "
            "candidate would continue from the weights of earlier ones. Make it in build(), copy "
            "it there (keras.models.clone_model, then set_weights), or set trainable = False"
        )
    return model, record.gives_weights(model)


def _what(model: Any) -> str:
    """Describe what ``build`` returned instead of a model, with a likely cause."""
    if model is None:
        return "nothing (is there a return statement?)"
    name = f"a {type(model).__name__}"
    if isinstance(model, keras_tuner.HyperModel):
        return f"{name} (give the arguments of the function as space.options)"
    return name
