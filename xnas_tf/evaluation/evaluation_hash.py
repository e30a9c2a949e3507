"""Hashes of evaluations; evaluations of the same network have the same hash."""

from __future__ import annotations

import hashlib
import json
import sys
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import keras

from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.model_hash import network_digest
from xnas_tf.spaces.options import SpaceOptions
from xnas_tf.spaces.search_space import SearchSpace


def evaluation_digest(
    model: keras.Model, options: SpaceOptions, space: SearchSpace, values: Mapping[str, Any]
) -> str:
    """Return a hash of the network that an evaluation trains.

    Evaluations with the same digest, training settings and number of epochs train the same
    network. Their seeds, and therefore their results, may differ.

    The digest combines ``network_digest`` with

    - the HyperModel's identity, if defined, because it may distinguish networks with equal graphs;
    - the options given to the HyperModel.

    Some things that may depend on a hyperparameter do not show in the graph: classes and functions
    in the model or its compilation that are not from Keras, weights that were loaded or set, and
    the HyperModel's own ``fit``. If a model has any of these, the HyperModel's identity replaces
    the graph; by default, the identity consists of all hyperparameters. The digest then combines
    the identity, the options of the search space, and the code, which may have changed since an
    earlier run.

    Args:
        model: The model, built by the search space and not trained.
        options: The ``space`` section of the configuration.
        space: The search space.
        values: The active hyperparameters from which the model was built.
    """
    graph = None if space.has_fit or space.gives_weights(model) else _graph(model)
    if graph is None:
        section = options.model_dump(mode="json")
        code = [_source(name) for name in _modules(space, model)]
        return "genotype:" + _hash([section, space.identity(values), _outline(model), code])
    own: Any = space.own_identity(values)
    if hypermodel_options := getattr(options, "options", None):
        own = [own, hypermodel_options]
    return graph if own is None else "identity:" + _hash([graph, own])


def _graph(model: keras.Model) -> str | None:
    try:
        return network_digest(model)
    except Exception:  # noqa: BLE001 - a user's layers may raise anything
        return None


def _outline(model: keras.Model) -> list[Any]:
    """Return the classes of the layers and the shapes of their weights."""
    layers = all_layers(model)
    return [[type(layer).__qualname__, [list(w.shape) for w in layer.weights]] for layer in layers]


def _modules(space: SearchSpace, model: keras.Model) -> list[str]:
    """Return the modules of the HyperModel and of the custom code in a model."""
    owners = [*space.code, *custom_code(model)]
    modules = {getattr(owner, "__module__", None) or "builtins" for owner in owners}
    return sorted(modules - set(sys.builtin_module_names))


@cache
def _source(module: str) -> str:
    """Return a hash of a module's file or, if there is none, a text unique to this process."""
    try:
        content = Path(sys.modules[module].__file__ or "").read_bytes()
    except (KeyError, AttributeError, OSError):
        return uuid.uuid4().hex
    return hashlib.sha256(content).hexdigest()


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
