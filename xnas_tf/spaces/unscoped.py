"""Hyperparameters that only some choices lead to, although no ``conditional_scope`` says so.

    if hp.Choice("head", ["average", "hidden"]) == "hidden":
        units = hp.Int("units", 16, 64)

keras-tuner meets ``units`` in the course of its trials. A search must know it at its start, and
that it is active only where ``head`` is ``hidden``: so a model is built for each value of a choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kt_hp
from keras_tuner.src.engine.conditions import Parent

Build = Callable[[keras_tuner.HyperParameters], Any]
MOST_BUILDS = 100
"""Models that are built for that, at most; a space that needs more should have scopes."""


def active_values(
    declared: keras_tuner.HyperParameters, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Values of the active hyperparameters: those wanted, the others at their defaults."""
    hp = declared.copy()
    hp.values = {}
    for each in hp.space:  # parents come first
        if hp.is_active(each):
            hp.values[each.name] = wanted.get(each.name, each.default)
    return hp.values


def add_unscoped(declared: keras_tuner.HyperParameters, build: Build) -> None:
    """Adds the hyperparameters that single choices lead to, with a condition each.

    One that several choices lead to has none: it is then active everywhere.

    Args:
        declared: The hyperparameters that are known; changed.
        build: Builds a model of the space.
    """
    tried, budget = set(), MOST_BUILDS
    while budget > 0:
        new = [p for p in declared.space if _is_choice(p) and p.name not in tried]
        if not new:
            return
        tried.update(p.name for p in new)
        found = _Found()
        for choice in new:
            for value in list(choice.values)[:budget]:
                budget -= 1
                found.add(choice, value, _asked(declared, build, choice, value))
        for hyperparameter in found.conditioned():
            declared._register(hyperparameter)


def _is_choice(hyperparameter: Any) -> bool:
    return isinstance(hyperparameter, kt_hp.Choice | kt_hp.Boolean)


def _asked(
    declared: keras_tuner.HyperParameters, build: Build, choice: Any, value: Any
) -> list[Any]:
    """What a model asks for that is not known, where a choice has a value."""
    hp = declared.copy()
    parents = {condition.name: condition.values[0] for condition in choice.conditions}
    hp.values = active_values(declared, {**parents, choice.name: value})
    known = {each.name for each in hp.space}
    try:
        build(hp)
    except Exception:  # a combination that cannot be built is a matter of its candidate
        return []
    return [each for each in hp.space if each.name not in known]


class _Found:
    """What choices lead to."""

    def __init__(self) -> None:
        self._by_name: dict[str, Any] = {}
        self._values: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
        self._choices: dict[str, Any] = {}

    def add(self, choice: Any, value: Any, asked: list[Any]) -> None:
        """Notes what a value of a choice leads to."""
        self._choices[choice.name] = choice
        for each in asked:
            self._by_name.setdefault(each.name, each)
            self._values[each.name][choice.name].append(value)

    def conditioned(self) -> Iterator[Any]:
        """The hyperparameters, with the choice that leads to them as a condition."""
        for name, each in self._by_name.items():
            if len(parents := self._values[name]) == 1:
                ((parent, values),) = parents.items()
                own = [*self._choices[parent].conditions, Parent(parent, values)]
                each.conditions = own + [c for c in each.conditions if c not in own]
            yield each
