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
from weakref import WeakKeyDictionary

import keras

from xnas_tf.keras_tools.custom_code import custom_code
from xnas_tf.keras_tools.inspection import all_layers
from xnas_tf.keras_tools.model_hash import network_digest
from xnas_tf.spaces.options import SpaceOptions
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.utils.source_code import source_hashes

_KNOWN = ("keras", "keras_tuner", "xnas_tf")

_loaded: WeakKeyDictionary[Any, list[str]] = WeakKeyDictionary()
"""Hashes of the code as it was loaded, as files may be edited during a search. Weak, because a
function may refer to a candidate's model."""


def evaluation_digest(
    model: keras.Model, options: SpaceOptions, space: SearchSpace, values: Mapping[str, Any]
) -> str:
    """Return a hash of the network that an evaluation trains.

    Evaluations with the same digest, training settings and number of epochs train the same network.
    Their seeds, and therefore their results, may differ. The digest combines ``network_digest``
    with the HyperModel's identity, if defined, because it may distinguish networks with equal
    graphs, and with the options given to the HyperModel.

    Some things that may depend on a hyperparameter do not show in the graph: classes and functions
    in the model or its compilation that are not from Keras, weights that were loaded or set, and
    the HyperModel's own ``fit``. If a model has any of these, the HyperModel's identity replaces
    the graph; by default, the identity consists of all hyperparameters. The digest then combines
    the identity, the options of the search space, and the code with what it imports, which may have
    changed since an earlier run.
    """
    graph = None if space.has_fit or space.gives_weights(model) else _graph(model)
    if graph is None:
        section = options.model_dump(mode="json")
        owners, module = _owners(space, model), options.hypermodel_module
        code = sorted({*_source_of(module), *(each for o in owners for each in _source(o))})
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


def _owners(space: SearchSpace, model: keras.Model) -> set[Any]:
    """Return the classes and functions of the HyperModel and of the custom code in a model.

    Libraries are left out unless the HyperModel is part of them, as versions are not compared.
    """

    def is_of_library(each: Any) -> bool:
        file = getattr(sys.modules.get(_module(each)), "__file__", None) or ""
        return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)

    custom = (each for each in custom_code(model) if not is_of_library(each))
    return {
        each if hasattr(each, "__qualname__") else type(each) for each in (*space.code, *custom)
    }


@cache
def _source_of(module: str) -> list[str]:
    """Return hashes of the code of a module, and of what it imports."""
    return [*source_hashes((), [module]).values()]


def _source(owner: Any) -> list[str]:
    """Return hashes of the code of a class or function, and of what it imports.

    If its source is not available, a text unique to this process is returned.
    """
    try:
        if owner not in _loaded:
            _loaded[owner] = _source_now(owner)
        return _loaded[owner]
    except TypeError:  # a function of another language, to which no weak reference is possible
        return _source_now(owner)


def _source_now(owner: Any) -> list[str]:
    hashes = [*source_hashes([owner]).values()]
    is_known = _module(owner).partition(".")[0] in {*_KNOWN, *sys.stdlib_module_names}
    return hashes if hashes or is_known else [uuid.uuid4().hex]


def _module(owner: Any) -> str:
    return getattr(owner, "__module__", None) or "builtins"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
