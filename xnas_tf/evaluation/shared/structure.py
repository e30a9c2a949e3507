"""Which candidates' models differ in nothing that is traced."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from xnas_tf.attribution.models import all_layers
from xnas_tf.spaces.space import SearchSpace

KNOWN = ("keras", "xnas_tf", "builtins")
"""Packages whose classes and functions have all that can change in variables that they list, and
all else in their configurations."""
UNTOLD = (keras.layers.Lambda, keras.layers.Normalization)
"""Of these, those of which a trace holds more: a function, and values that were adapted."""


def structure_of(
    model: keras.Model, space: SearchSpace, values: Mapping[str, Any], epochs: int
) -> str | None:
    """Hashes what is traced when a model is trained: models of the same structure differ in the
    values of their variables alone, of which an optimizer's constant learning rate is one, and
    their variables are in the same order.

    Names count. Layers, losses and optimizers of a user's own may have a state that no variable
    shows, such as TensorFlow's random numbers, whose seed is a part of the trace.

    Args:
        model: The model, built and not trained; compiled or not.
        space: The search space.
        values: The active hyperparameters that the model was built from.
        epochs: Of its training: the schedule of a learning rate may depend on them.

    Returns:
        None of a model of which more may be traced than it says.
    """
    if not all(map(_tells, _parts(model))):
        return None
    kinds = [[v.path, v.shape, v.dtype, v.trainable] for v in model.variables]
    told = [model.get_config(), _compilation(model), kinds, space.own_identity(values), epochs]
    text = json.dumps(keras.saving.serialize_keras_object(told), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _compilation(model: keras.Model) -> dict[str, Any]:
    if not model.compiled:
        return {}
    config = model.get_compile_config()
    options = config["optimizer"]["config"]
    if isinstance(options["learning_rate"], float):  # and not a schedule
        del options["learning_rate"]
    return config


def _parts(model: keras.Model) -> Iterator[Any]:
    """A model, and all that it is made of and compiled with."""
    yield from (model, *all_layers(model), *getattr(model, "operations", ()))
    if model.compiled:
        yield model.optimizer
        yield from keras.tree.flatten(model.loss)


def _tells(part: Any) -> bool:
    """Whether its configuration and its variables are all that there is to it."""
    functions = [each for each in getattr(part, "__dict__", {}).values() if callable(each)]
    is_known = all(map(_is_known, [part, *functions]))
    return is_known and not isinstance(part, UNTOLD) and not _excludes(part)


def _is_known(part: Any) -> bool:
    module = getattr(part, "__module__", type(part).__module__)
    return module.partition(".")[0] in KNOWN


def _excludes(part: Any) -> bool:
    """Whether an optimizer's weight decay leaves variables out, which its configuration hides."""
    names = "_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"
    return any(getattr(part, name, None) for name in names)
