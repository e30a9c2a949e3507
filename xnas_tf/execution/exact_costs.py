"""Costs of networks that are known without training them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xnas_tf.config import Config
from xnas_tf.distributed import SingleProcess
from xnas_tf.objectives.base import Subject
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.utils.randomness import own_generator


class ExactCosts:
    """Builds networks that a surrogate considers, for those objectives that are exact.

    A network that cannot be built has none: it is refused once it is somebody's turn to train
    it. Measured costs, such as latency, have their own place and quiet for that.

    Args:
        config: The configuration.
        space: The search space.
        class_names: Names of the classes.
    """

    def __init__(self, config: Config, space: SearchSpace, class_names: tuple[str, ...]) -> None:
        self._objectives = {
            place: objective
            for place, objective in enumerate(config.objectives)
            if not objective.needs_training and not objective.is_measured
        }
        self._space = space
        self._class_names = class_names
        self._found: dict[str, dict[int, float]] = {}

    def __call__(self, values: Mapping[str, Any]) -> dict[int, float]:
        """The costs of a network, by the objective's place; turned so that less is better."""
        if not self._objectives:
            return {}
        genotype = self._space.genotype(values)
        if genotype not in self._found:
            self._found[genotype] = self._computed(values)
        return self._found[genotype]

    def _computed(self, values: Mapping[str, Any]) -> dict[int, float]:
        try:
            with own_generator(seed=0):  # initial values are of no account
                model = self._space.build(values)
        except Exception:  # a user's code may raise anything at all
            return {}
        subject = Subject(model, SingleProcess(), self._class_names)
        costs = {p: o.sign * o.score(subject).value for p, o in self._objectives.items()}
        return {place: cost for place, cost in costs.items() if np.isfinite(cost)}
