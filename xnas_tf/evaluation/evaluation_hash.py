"""The hash that is the same for evaluations of the same network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras

from xnas_tf.keras_tools.model_hash import network_digest
from xnas_tf.spaces.options import SpaceOptions
from xnas_tf.spaces.search_space import SearchSpace


def evaluation_digest(
    model: keras.Model, options: SpaceOptions, space: SearchSpace, values: Mapping[str, Any]
) -> str:
    """Return a hash of the network that an evaluation trains.

    Evaluations with the same digest, training settings and number of epochs train the same
    network. Their seeds, and so their results, may differ.

    The digest is ``network_digest``, combined with

    - the HyperModel's identity if it has one, which may distinguish networks of the same graph;
    - all hyperparameters if the HyperModel trains its models itself;
    - the options given to the HyperModel, such as the weights to start from.

    If a network cannot be described, its digest is that of the genotype and the options of the
    search space.

    Args:
        model: The model, built and not trained.
        options: The ``space`` section of the configuration.
        space: The search space.
        values: The active hyperparameters that the model was built from.
    """
    try:
        graph = network_digest(model)
    except Exception:  # noqa: BLE001 - it cannot be described, or a user's layers raise anything
        return "genotype:" + _hash([options.model_dump(mode="json"), space.genotype(values)])
    own: Any = space.own_identity(values)
    if space.trains(model):  # which may depend on any hyperparameter
        own = [own, type(model).__qualname__, space.genotype(values)]
    if hypermodel_options := getattr(options, "options", None):
        own = [own, hypermodel_options]
    return graph if own is None else "identity:" + _hash([graph, own])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
