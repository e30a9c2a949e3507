"""Network costs that are known without training, for the surrogate."""

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
    """Exact objectives, computed by building the networks that a surrogate considers.

    A network that cannot be built or measured has no costs, and fails in its evaluation. Measured
    costs, such as latency, are left to the evaluation, where nothing else affects them.
    """

    def __init__(self, config: Config, space: SearchSpace, class_names: tuple[str, ...]) -> None:
        self._objectives = {
            index: objective
            for index, objective in enumerate(config.objectives)
            if not objective.needs_training and not objective.is_measured
        }
        self._space = space
        self._class_names = class_names
        self._known: dict[str, dict[int, float]] = {}

    def __call__(self, values: Mapping[str, Any]) -> dict[int, float]:
        """Return a network's costs by objective index; lower is better."""
        if not self._objectives:
            return {}
        genotype = self._space.genotype(values)
        if genotype not in self._known:
            self._known[genotype] = self._compute(values)
        return self._known[genotype]

    def _compute(self, values: Mapping[str, Any]) -> dict[int, float]:
        try:
            with own_generator(seed=0):  # the initial values do not matter
                model = self._space.build(values)
            subject = Subject(model, SingleProcess(), self._class_names)
            costs = {i: o.sign * o.score(subject).value for i, o in self._objectives.items()}
        except (Exception, SystemExit):  # noqa: BLE001 - a user's code may raise anything
            return {}
        return {index: cost for index, cost in costs.items() if np.isfinite(cost)}
