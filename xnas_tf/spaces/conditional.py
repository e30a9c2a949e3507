"""Hyperparameters that only some choices lead to, although no ``conditional_scope`` says so.

    if hp.Choice("head", ["average", "hidden"]) == "hidden":
        units = hp.Int("units", 16, 64)
    for i in range(hp.Int("blocks", 1, 3)):
        filters = hp.Int(f"filters_{i}", 8, 64)

keras-tuner meets ``units`` and ``filters_1`` in the course of its trials. A search must know them
at its start, and that they are active only where ``head`` is ``hidden``, and ``blocks`` 2 or 3:
so a model is built for each value of a choice, and of a number that leads to something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
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


def unknown(hp: keras_tuner.HyperParameters, declared: keras_tuner.HyperParameters) -> list[Any]:
    """What a model asked for that was not known. By name: one that is known with a condition is
    asked for without it where there is no scope."""
    known = {each.name for each in declared.space}
    return [each for each in hp.space if each.name not in known]


def add_new(declared: keras_tuner.HyperParameters, found: Iterable[Any]) -> None:
    """Adds hyperparameters to those that are known."""
    for each in found:
        declared._register(each)


def add_unscoped(declared: keras_tuner.HyperParameters, build: Build) -> None:
    """Adds the hyperparameters that single choices lead to, with a condition each.

    One that several choices lead to has none: it is then active everywhere.

    Args:
        declared: The hyperparameters that are known; changed.
        build: Builds a model of the space.
    """
    tried, budget = set(), MOST_BUILDS
    while budget > 0:
        new = [p for p in declared.space if _has_values(p) and p.name not in tried]
        if not new:
            return
        tried.update(p.name for p in new)
        found = _Found()
        for choice in new:
            *values, last = list(choice.values)[-budget:]
            budget -= 1
            asked = _asked(declared, build, choice, last)
            if isinstance(choice, kt_hp.Int) and not asked:
                continue  # the largest number leads to nothing
            budget -= len(values)
            for value in values:
                found.add(choice, value, _asked(declared, build, choice, value))
            found.add(choice, last, asked)
            if budget <= 0:
                break
        add_new(declared, found.conditioned())


def _has_values(hyperparameter: Any) -> bool:
    return isinstance(hyperparameter, kt_hp.Choice | kt_hp.Boolean | kt_hp.Int)


def _asked(
    declared: keras_tuner.HyperParameters, build: Build, choice: Any, value: Any
) -> list[Any]:
    """What a model asks for that is not known, where a choice has a value."""
    hp = declared.copy()
    parents = {condition.name: condition.values[0] for condition in choice.conditions}
    hp.values = active_values(declared, {**parents, choice.name: value})
    try:
        build(hp)
    except Exception:  # a combination that cannot be built is a matter of its candidate
        return []
    return unknown(hp, declared)


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
