"""Discovers the hyperparameters of ``fit``, and conditional ones without a ``conditional_scope``.

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

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine import hyperparameters as kt_hp
from keras_tuner.src.engine.conditions import Parent

from xnas_tf.errors import InputError
from xnas_tf.keras_tools.class_outputs import number_of_classes
from xnas_tf.keras_tools.targets import compile_head, targets_for
from xnas_tf.keras_tools.weights_errors import explain_weights
from xnas_tf.registry import describe

Build = Callable[[keras_tuner.HyperParameters], keras.Model]
Failures = dict[tuple[str, Any], str]
_WITH_VALUES = kt_hp.Choice | kt_hp.Boolean | kt_hp.Int
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
    hp: keras_tuner.HyperParameters, declared: keras_tuner.HyperParameters, given: Mapping[str, Any]
) -> list[Any]:
    """Return the declared hyperparameters that a build requested although they are inactive.

    Outside of their scope, keras-tuner gives them their default values. The build began with the
    ``given`` values.
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
    asked_with = partial(_asked, declared, build, failures)
    tried: set[int] = set()
    budget = MOST_BUILDS
    while budget > 0:
        # A name that is declared in several scopes is tried in one of them at a time.
        untried = (p for p in declared.space if id(p) not in tried)
        choices = {p.name: p for p in untried if isinstance(p, _WITH_VALUES)}
        if not choices:
            break
        tried.update(map(id, choices.values()))
        found: dict[str, Any] = {}
        parents: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for choice in choices.values():
            if budget <= 0:
                break
            is_integer = isinstance(choice, kt_hp.Int)
            *others, last = (integers(choice) if is_integer else choice.values)[-budget:]
            asked = {last: asked_with(choice, last)}
            # An integer whose largest value works and adds nothing is not tried any further.
            if not is_integer or asked[last] or (choice.name, last) in failures:
                asked = {value: asked_with(choice, value) for value in others} | asked
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


def _asked(
    declared: keras_tuner.HyperParameters, build: Build, failures: Failures, choice: Any, value: Any
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


class _TrainingBegins(BaseException):
    """Signal that ends the call to ``fit``; not an ``Exception``, which user code might catch."""


def _end_at_beginning(*_: Any, **__: Any) -> None:
    raise _TrainingBegins


def discover_in_fit(
    hypermodel: keras_tuner.HyperModel,
    declared: keras_tuner.HyperParameters,
    build: Build,
    data: tuple[np.ndarray, np.ndarray],
) -> frozenset[str]:
    """Call ``fit`` on a few noise images until training begins.

    The hyperparameters that ``fit`` requests are added to ``declared``. A custom training loop that
    does not call callbacks trains on a single batch for one epoch.

    Returns:
        The names of arguments that ``fit`` sets itself, as in ``model.fit(*args,
        batch_size=hp.Choice(…), **kwargs)``, or does not accept.
    """
    arguments = {"epochs": 1, "batch_size": len(data[0]), "verbose": 0}
    dropped: set[str] = set()
    while True:
        hp = declared.copy()
        model = build(hp)
        if not model.compiled:
            compile_head(model, "sgd")
        images, labels = data[0], targets_for(model, data[1], number_of_classes(model))
        callback = keras.callbacks.LambdaCallback(on_train_begin=_end_at_beginning)
        more = {"validation_data": (images, labels), "callbacks": [callback]}
        try:
            hypermodel.fit(hp, model, images, labels, **more, **arguments)
        except _TrainingBegins:
            pass
        except TypeError as error:
            pattern = r"(?:multiple values for|an unexpected) keyword argument '(\w+)'"
            refused = re.search(pattern, str(error))
            if not refused or refused[1] not in arguments:
                raise
            del arguments[refused[1]]
            dropped.add(refused[1])
            continue
        add_new(declared, unknown(hp, declared))
        return frozenset(dropped)
