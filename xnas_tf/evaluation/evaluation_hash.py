"""Which evaluations are of the same network."""

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
    """Hashes what is trained: evaluations of the same digest, of as many epochs with the same
    training settings, train the same network. Their seeds may differ, and so their results.

    It is ``network_digest``; with the HyperModel's identity where it has one, as this may tell
    networks apart that have the same graph; with all hyperparameters where it trains them; and
    with the options that it was given, such as which weights to begin from. A network that
    cannot say what it is has the same digest only where the options of the space and the
    genotype are the same.

    Args:
        model: The model, built and not trained.
        options: The space's section of the configuration.
        space: The search space.
        values: The active hyperparameters that the model was built from.
    """
    try:
        graph = network_digest(model)
    except Exception:  # it cannot say what it is, or a user's layers raise anything at all
        return "genotype:" + _hash([options.model_dump(mode="json"), space.genotype(values)])
    own: Any = space.own_identity(values)
    if space.trains(model):  # what happens there may depend on any hyperparameter
        own = [own, type(model).__qualname__, space.genotype(values)]
    if given := getattr(options, "options", None):
        own = [own, given]
    return graph if own is None else "identity:" + _hash([graph, own])


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
