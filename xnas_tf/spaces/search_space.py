"""The search space of a keras-tuner HyperModel."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakSet

import keras
import keras_tuner
import numpy as np
from keras_tuner.engine import hyperparameters as kt_hp

from xnas_tf.errors import InputError, RunError, is_temporary
from xnas_tf.keras_tools.input_range import InputRange, range_of
from xnas_tf.keras_tools.inspection import normalization_momentum
from xnas_tf.keras_tools.layer_names import use_accepted_names
from xnas_tf.keras_tools.model_files import check_loading, describe_failure, layers_out_of_reach
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.keras_tools.settings import KerasSettings, check_data_format
from xnas_tf.keras_tools.strided_convolution import avoid_strided_1x1
from xnas_tf.keras_tools.targets import build_metrics, check_loss, losses_of
from xnas_tf.keras_tools.weights_errors import explain_weights
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.building import (
    build_model,
    check_model,
    check_outputs,
    check_predict_step,
    code_of,
    name_of,
)
from xnas_tf.spaces.discovery import (
    active_values,
    add_new,
    add_unscoped,
    discover_in_fit,
    integers,
    requested_while_inactive,
    unknown,
)
from xnas_tf.spaces.variables import Choice, Condition, Range, Variable
from xnas_tf.utils.randomness import kept_generators, uninterrupted

MOST_SHOWN = 5
"""Maximum number of values named in a warning that models cannot be built."""


class SearchSpace(Space):
    """Variables, genotypes and Keras models of a HyperModel, whose methods replace the defaults.

    Attributes:
        trains_default: Whether the HyperModel or the default model has its own training code.
        compiles_default: Whether the default model is compiled, with its own optimizer.
        metrics: Examples of the metrics with which the default model is compiled, by name.
        norm_momentum: See ``normalization_momentum``, of the default model.
        input_range: The range of values that the default model's first layers expect.
        loads_safely: Whether the saved default model can be loaded in Keras' safe mode.

    Raises:
        InputError: If the HyperModel cannot build its default model or begin its ``fit``, its
            models cannot be saved, or there are no hyperparameters to choose.
    """

    def __init__(
        self, hypermodel: keras_tuner.HyperModel, image_shape: tuple[int, int, int], classes: int
    ) -> None:
        check_data_format()
        self._settings = KerasSettings.current()
        self.hypermodel = hypermodel
        for name in ("genotype", "simplify", "infeasible", "features"):
            if callable(own := getattr(hypermodel, name, None)):
                setattr(self, name, own)
        self._given_weights: WeakSet[keras.Model] = WeakSet()
        self._failures: dict[str, str] = {}  # descriptions of values, each with the reason
        self._input = (None, *image_shape)
        self._classes = classes
        self._dropped_by_fit: frozenset[str] = frozenset()
        self.input_range = InputRange(DEFAULT_RANGE, "as in all spaces of this package", "given")
        with self._named_errors(f"{self.name} cannot build its default model"):
            self._declared = self._discover()
        self.loads_safely = True
        self._saving_notes = [] if self.is_built_in else [*self._check_saving()]
        if self.has_fit:
            self._dropped_by_fit = self._discover_in_fit()
        self.variables: tuple[Variable, ...] = tuple(map(_variable, self._declared.space))
        self.size = float(np.prod([float(variable.size) for variable in self.variables]))
        if not any(variable.size > 1 for variable in self.variables):
            raise InputError(
                f"{self.name} leaves nothing to choose: no hyperparameter has two or more values"
            )

    @property
    def name(self) -> str:
        """Name of the HyperModel, for messages."""
        return name_of(self.hypermodel)

    def genotype(self, values: Mapping[str, Any]) -> str:
        """Return the hyperparameters as JSON."""
        return json.dumps(dict(values), sort_keys=True)

    def identity(self, values: Mapping[str, Any]) -> str:
        """Return the identity of a network as the HyperModel defines it, or its genotype."""
        own = self.own_identity(values)
        return self.genotype(values) if own is None else own

    def own_identity(self, values: Mapping[str, Any]) -> str | None:
        """Return a network's identity if the HyperModel defines one, otherwise None."""
        identity = getattr(self.hypermodel, "identity", None)
        return identity(values) if callable(identity) else None

    def build(self, values: Mapping[str, Any]) -> keras.Model:
        """Build the Keras model for the given active hyperparameters.

        Raises:
            InputError: If the model's head or input does not fit the data.
            TypeError: If the HyperModel does not return a suitable model, or requests
                hyperparameters that were not discovered before.
        """
        with self._asked_for("build", values) as hp:
            return self._built(hp)

    def trains(self, model: keras.Model) -> bool:
        """Return whether the user's own code trains or evaluates a model."""
        own = ("train_step", "test_step", "compute_loss", "compute_metrics")
        return self.has_fit or any(
            getattr(type(model), name) is not getattr(keras.Model, name) for name in own
        )

    def gives_weights(self, model: keras.Model) -> bool:
        """See ``Space.gives_weights``."""
        return model in self._given_weights

    @property
    def default_values(self) -> dict[str, Any]:
        """The default values of the active hyperparameters."""
        return active_values(self._declared, {})

    @property
    def notes(self) -> list[str]:
        """Warnings about failing values, scaled images, names, and models that cannot be loaded."""
        found = [f"build() fails with {values}: {why}" for values, why in self._failures.items()]
        if more := len(found[MOST_SHOWN:]):
            found[MOST_SHOWN:] = [f"build() fails with {more} other values"]
        if self.range_problem:
            found.append(self.range_problem)
        return [f"{self.name}: {text}" for text in (*found, *self._saving_notes)]

    @property
    def range_problem(self) -> str:
        """Why the models do not suit floats from 0 to 1, and what to change; empty if they do."""
        if self.input_range.name == DEFAULT_RANGE:
            return ""
        undo = {"0-255": "Rescaling(255)", "-1-1": "Rescaling(2, offset=-1)"}
        return (
            f"a search gives its models floats from 0 to 1, but they expect a different range "
            f"({self.input_range.text}). Use float32 inputs, and remove the layer that scales "
            f"them or put keras.layers.{undo[self.input_range.name]} before it"
        )

    @property
    def is_built_in(self) -> bool:
        """Whether the HyperModel is part of this package."""
        return type(self.hypermodel).__module__.startswith("xnas_tf.spaces.")

    @property
    def code(self) -> list[Any]:
        """The classes and functions of the HyperModel; see ``code_of``."""
        return code_of(self.hypermodel)

    @property
    def has_fit(self) -> bool:
        """Whether the HyperModel has its own ``fit``."""
        own = vars(self.hypermodel).get("fit") or type(self.hypermodel).fit
        return own is not keras_tuner.HyperModel.fit

    def fit(self, values: Mapping[str, Any], model: keras.Model, *args: Any, **kwargs: Any) -> Any:
        """Train a model with the HyperModel's ``fit`` as keras-tuner does; return its result.

        The arguments are those of Keras' ``Model.fit``; those that the HyperModel sets are dropped.

        Raises:
            TypeError: If ``fit`` requests hyperparameters that were not discovered before.
        """
        kept = {name: value for name, value in kwargs.items() if name not in self._dropped_by_fit}
        with self._asked_for("fit", values) as hp:
            return self.hypermodel.fit(hp, model, *args, **kept)

    @contextmanager
    def _asked_for(
        self, function: str, values: Mapping[str, Any]
    ) -> Iterator[keras_tuner.HyperParameters]:
        """Yield hyperparameters with the given values; then check that no others were requested."""
        self._settings.apply()  # the user's code may have changed them for another candidate
        hp = self._declared.copy()
        hp.values = dict(values)
        yield hp
        new = unknown(hp, self._declared)
        new += requested_while_inactive(hp, self._declared, values)
        if names := dict.fromkeys(found.name for found in new):
            raise TypeError(
                f"{function}() asks for hyperparameters that were not discovered before: "
                f"{', '.join(names)}. Put them into an hp.conditional_scope, or ask for them in "
                "every model"
            )

    def _built(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the model for the given hyperparameters, and check that it is suitable."""
        model = self._new_model(hp)
        check_model(model, self._input, self._classes)
        check_outputs(model, self._images())
        check_predict_step(model, self._images())
        use_accepted_names(model)
        return avoid_strided_1x1(model)

    def _new_model(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        model, gives_weights = build_model(self.hypermodel, hp, self._input)
        if gives_weights:
            self._given_weights.add(model)
        return model

    @contextmanager
    def _named_errors(self, message: str) -> Iterator[None]:
        """Prefix errors in the user's code with a message, and discard the models it built."""
        try:
            yield
        except InputError as error:
            raise InputError(f"{message}: {error}") from error
        except Exception as error:  # a user's code may raise anything at all
            why = explain_weights(error) or describe_failure(error)
            kind = RunError if is_temporary(error) else InputError
            raise kind(f"{message}: {why}") from error
        finally:
            keras.backend.clear_session()
            self._settings.apply()

    def _discover(self) -> keras_tuner.HyperParameters:
        """Have keras-tuner build models until every conditional scope has been active once."""
        with tempfile.TemporaryDirectory() as folder:
            tuner = keras_tuner.RandomSearch(
                self._built, objective="val_loss", max_trials=1, directory=folder
            )
            declared = tuner.oracle.get_space()
        model = self._new_model(declared.copy())
        self.trains_default = self.trains(model)
        self.compiles_default = bool(model.compiled)
        self.norm_momentum = normalization_momentum(model)
        self.metrics = build_metrics(model, self._classes)
        if losses_of(model) and not self.trains_default:
            check_loss(model, self._classes)
        if not self.is_built_in:
            self.input_range = range_of(model, self._input[1:])
        if not getattr(self.hypermodel, "shows_all", False):
            failures = add_unscoped(declared, self._new_model)
            self._failures = {f"{name}={v!r}": why for (name, v), why in failures.items()}
        return self._widen(declared)

    def _check_saving(self) -> Iterator[str]:
        """Check that the default model can be saved; yield what may keep it from being loaded."""
        with self._named_errors(f"{self.name}: its models cannot be saved"):
            model = self._new_model(self._declared.copy())
            renamed = use_accepted_names(model)
            self.loads_safely, problem = check_loading(model, self._images())
            hidden_layers = layers_out_of_reach(model)
        if renamed:
            names = ", ".join(f"{old!r} ({new} here)" for old, new in renamed.items())
            yield (
                f"TensorFlow refuses these names of models or layers in a graph: {names}. Use "
                "letters, digits, '_', '-' and '.'"
            )
        if problem:
            yield f"later commands cannot use its models: {problem}"
        elif not self.loads_safely:
            yield (
                "its models contain Python code, as a Lambda layer does, so later commands "
                "load them only with --unsafe (in Python: safe=False). Write a layer of Keras "
                "instead, such as Rescaling, or a class with "
                "@keras.saving.register_keras_serializable() before it"
            )
        if hidden_layers:
            yield (
                f"other processes cannot find its layer {', '.join(hidden_layers)}, so "
                "later commands cannot load its models. Define it at the top level of the "
                "HyperModel's module, not in a function or script"
            )

    def _images(self, count: int = 2) -> np.ndarray:
        """Return images of noise."""
        return np.random.default_rng(0).random((count, *self._input[1:]), np.float32)

    def _discover_in_fit(self) -> frozenset[str]:
        """Add the hyperparameters that ``fit`` requests; see ``discover_in_fit``."""
        classes = self._classes
        data = self._images(classes), np.arange(classes, dtype=np.int32)
        message = (
            f"{self.name}: fit() fails on {classes} images of noise, one of each class, which "
            "are used to discover its hyperparameters"
        )
        with kept_generators(), self._named_errors(message):
            with uninterrupted():
                # With op determinism, TensorFlow does not allow shuffling without a seed, but Keras
                # shuffles without one.
                keras.utils.set_random_seed(0)
            return discover_in_fit(self.hypermodel, self._declared, self._built, data)

    def _widen(self, declared: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
        """Add hyperparameters that appear only with several large integers, as in nested loops."""
        while any(isinstance(p, kt_hp.Int) for p in declared.space):
            hp = declared.copy()
            largest = {p.name: self._largest(p) for p in hp.space if isinstance(p, kt_hp.Int)}
            hp.values = active_values(declared, largest)
            try:
                self._new_model(hp)
            except InputError:
                raise
            except Exception as error:  # noqa: BLE001 - such candidates fail in the search
                values = ", ".join(f"{name}={value!r}" for name, value in largest.items())
                self._failures[values] = explain_weights(error) or describe_failure(error)
                break
            if not (new := unknown(hp, declared)):
                break
            add_new(declared, new)
        return declared

    def _largest(self, number: kt_hp.Int) -> int:
        """Return the largest value of an integer hyperparameter with which a model can be built."""
        values = integers(number)
        named = ((f"{number.name}={value!r}", value) for value in reversed(values))
        return next((value for name, value in named if name not in self._failures), values[-1])


def _variable(hp: Any) -> Variable:
    conditions = tuple(Condition(c.name, tuple(c.values)) for c in hp.conditions)
    is_number = isinstance(hp, kt_hp.Int | kt_hp.Float)
    if is_number and hp.step is None:
        return Range(hp.name, partial(_at, hp), conditions)
    if isinstance(hp, kt_hp.Fixed):
        return Choice(hp.name, (hp.value,), conditions=conditions)
    values = integers(hp) if isinstance(hp, kt_hp.Int) else tuple(hp.values)
    ordered = is_number or bool(getattr(hp, "ordered", False))
    return Choice(hp.name, values, ordered, conditions)


def _at(hp: kt_hp.Int | kt_hp.Float, position: float) -> float:
    """Return the value at a position in [0, 1]; keras-tuner's integers exceed the limits there."""
    return min(max(hp.prob_to_value(position), hp.min_value), hp.max_value)
