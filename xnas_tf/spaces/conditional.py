"""Discovers conditional hyperparameters that are not in a ``conditional_scope``.

```python
if hp.Choice("head", ["average", "hidden"]) == "hidden":
    units = hp.Int("units", 16, 64)
for i in range(hp.Int("blocks", 1, 3)):
    filters = hp.Int(f"filters_{i}", 8, 64)
```

A search needs to know from the start that such hyperparameters exist, and when they are active:
here, ``units`` if ``head`` is ``hidden``, and ``filters_1`` if ``blocks`` is 2 or 3. keras-tuner
discovers them only during its trials. A model is therefore built for each value of each choice, and
for each value of an integer whose largest value adds hyperparameters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kt_hp
from keras_tuner.src.engine.conditions import Parent

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.weights_errors import explain_weights
from xnas_tf.registry import describe

Build = Callable[[keras_tuner.HyperParameters], Any]
Failures = dict[tuple[str, Any], str]
MOST_BUILDS = 100
"""Maximum number of models built to discover hyperparameters; larger spaces need scopes."""


def active_values(
    declared: keras_tuner.HyperParameters, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the active hyperparameters' values: those in ``wanted``, otherwise the defaults."""
    hp = declared.copy()
    hp.values = {}
    for hyperparameter in hp.space:  # parents come first
        if hp.is_active(hyperparameter):
            default = hyperparameter.default
            hp.values[hyperparameter.name] = wanted.get(hyperparameter.name, default)
    return hp.values


def unknown(hp: keras_tuner.HyperParameters, declared: keras_tuner.HyperParameters) -> list[Any]:
    """Return the hyperparameters of ``hp`` whose names have not been declared yet."""
    known = {hyperparameter.name for hyperparameter in declared.space}
    return [hyperparameter for hyperparameter in hp.space if hyperparameter.name not in known]


def requested_while_inactive(
    hp: keras_tuner.HyperParameters,
    declared: keras_tuner.HyperParameters,
    given: Mapping[str, Any],
) -> list[Any]:
    """Return the declared hyperparameters that a build requested although they are inactive.

    Outside of their scope, keras-tuner gives them their default values. ``given`` are the values
    with which the build began.
    """
    known = {**active_values(declared, given), **given}
    return [p for p in declared.space if p.name in hp.values and p.name not in known]


def integers(number: kt_hp.Int) -> Sequence[int]:
    """Return the possible values of an integer hyperparameter, in increasing order.

    keras-tuner's own ``values`` are floats if ``step`` is a factor, and ten examples in no order if
    logarithmic sampling has no step.
    """
    if number.step is None or number.sampling == "linear":
        return range(number.min_value, number.max_value + 1, number.step or 1)
    return tuple(sorted(map(int, number.values)))


def add_new(declared: keras_tuner.HyperParameters, found: Iterable[Any]) -> None:
    """Add hyperparameters to the declared ones."""
    for hyperparameter in found:
        declared._register(hyperparameter)  # noqa: SLF001 - there is no public way


def add_unscoped(declared: keras_tuner.HyperParameters, build: Build) -> Failures:
    """Add the hyperparameters that depend on a single choice, each with its condition.

    A hyperparameter that depends on several choices gets no condition: it is always active. It
    loses its condition if some of these choices are found later.

    Returns:
        The values with which no model could be built, each with the reason for the failure.

    Raises:
        InputError: If ``build`` raises it.
    """
    failures: Failures = {}
    tried: set[int] = set()
    budget = MOST_BUILDS
    while budget > 0:
        # A name that is declared in several scopes is tried in one of them at a time.
        choices = {p.name: p for p in declared.space if _has_values(p) and id(p) not in tried}
        if not choices:
            break
        tried.update(map(id, choices.values()))
        found: dict[str, Any] = {}
        parents: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for choice in choices.values():
            if budget <= 0:
                break
            known = integers(choice) if isinstance(choice, kt_hp.Int) else choice.values
            values = list(known[-budget:])
            asked = _asked_by_value(declared, build, choice, values, failures)
            budget -= len(asked)
            for value, hyperparameters in asked.items():
                for hyperparameter in hyperparameters:
                    found.setdefault(hyperparameter.name, hyperparameter)
                    parents[hyperparameter.name][choice.name].append(value)
        for name, hyperparameter in found.items():
            if len(parents[name]) == 1:
                ((parent, values),) = parents[name].items()
                own = [*choices[parent].conditions, Parent(parent, values)]
                others = [c for c in hyperparameter.conditions if c not in own]
                hyperparameter.conditions = own + others
        add_new(declared, found.values())
    return failures


def _has_values(hyperparameter: Any) -> bool:
    return isinstance(hyperparameter, kt_hp.Choice | kt_hp.Boolean | kt_hp.Int)


def _asked_by_value(
    declared: keras_tuner.HyperParameters,
    build: Build,
    choice: Any,
    values: Sequence[Any],
    failures: Failures,
) -> dict[Any, list[Any]]:
    """Build a model with each value of a choice; return the hyperparameters that each value adds.

    If the largest value of an integer adds no hyperparameters and a model can be built with it, no
    other values are tried.
    """
    *others, last = values
    added = _asked(declared, build, choice, last, failures)
    has_failed = (choice.name, last) in failures
    if isinstance(choice, kt_hp.Int) and not added and not has_failed:
        return {last: added}
    asked = {value: _asked(declared, build, choice, value, failures) for value in others}
    return asked | {last: added}


def _asked(
    declared: keras_tuner.HyperParameters,
    build: Build,
    choice: Any,
    value: Any,
    failures: Failures,
) -> list[Any]:
    """Return the hyperparameters that a value adds; empty if no model can be built with it."""
    hp = declared.copy()
    parents = {condition.name: condition.values[0] for condition in choice.conditions}
    hp.values = active_values(declared, {**parents, choice.name: value})
    try:
        build(hp)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - such a candidate fails in the search
        failures[choice.name, value] = explain_weights(error) or describe(error)
        return []
    found = requested_while_inactive(hp, declared, {**parents, choice.name: value})
    names = [hyperparameter.name for hyperparameter in found]
    for hyperparameter in found:
        if names.count(hyperparameter.name) == 1:  # else each scope may have other limits
            hyperparameter.conditions = []
    return unknown(hp, declared)
