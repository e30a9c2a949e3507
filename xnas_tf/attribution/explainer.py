"""Applies an attribution method to a model batch by batch, and traces it if that saves time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.score import TargetScore
from xnas_tf.attribution.targets import Output, Targets, checked_targets
from xnas_tf.errors import InputError, NotApplicable
from xnas_tf.keras_tools.inspection import (
    Ending,
    all_layers,
    ending_of,
    inlined_calls,
    is_functional,
    observed_ending,
)
from xnas_tf.keras_tools.tracing import FEW_PASSES, freed_custom_gradients, unoptimized_graphs
from xnas_tf.utils.heartbeat import report_progress

_ALWAYS_TRACE = "_xnas_tf_always_trace"


class _Method(Protocol):
    """The part of the ``AttributionMethod`` interface that an explainer uses."""

    @property
    def output(self) -> Output: ...
    @property
    def input(self) -> int | str | None: ...
    @property
    def points(self) -> int | None: ...
    def batch_size_for(self, shape: Sequence[int]) -> int: ...
    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor: ...


def explainer_of(model: keras.Model, method: _Method) -> Explainer:
    """Return the explainer for a model and a method, creating it on the first call.

    It is stored in the model's ``__dict__``, where Keras does not track it; a cache elsewhere would
    keep every model alive.
    """
    explainers = vars(model).setdefault("_xnas_tf_explainers", {})
    if method not in explainers:
        explainers[method] = Explainer(model, method)
    return explainers[method]


def always_trace(model: keras.Model) -> None:
    """Trace every attribution of a model on its first call, because many calls will follow."""
    object.__setattr__(model, _ALWAYS_TRACE, True)


class Explainer:
    """One attribution method applied to one model; see ``AttributionMethod.__call__``."""

    def __init__(self, model: keras.Model, method: _Method) -> None:
        self._model = model
        self._method = method
        self._traced: dict[tuple, Callable] = {}
        self._parts: list[keras.layers.Layer | keras.Variable] = []
        self._passes = math.inf if _ALWAYS_TRACE in vars(model) else 0.0
        """Forward passes requested so far."""

    def __call__(self, images: Any, targets: Targets = "predicted") -> np.ndarray:
        """Return maps (N, H, W), or (N, classes, H, W) for all classes."""
        inputs = tf.nest.map_structure(lambda a: np.asarray(a, np.float32), images)
        count = len(tf.nest.flatten(inputs)[self._position(inputs)])
        if isinstance(targets, str) and targets == "predicted":
            return self._run(inputs, None)
        classes = self._number_of_classes(inputs)
        if isinstance(targets, str) and targets == "all":
            self._passes += FEW_PASSES  # so that all classes are explained in the same way
            maps = [self._run(inputs, np.full(count, c)) for c in range(classes)]
            return np.stack(maps, axis=1)
        return self._run(inputs, checked_targets(targets, count, classes))

    def _run(self, inputs: Any, targets: np.ndarray | None) -> np.ndarray:
        """Explain the given targets, or the predicted classes if None, batch by batch."""
        arrays = tf.nest.flatten(inputs)
        count, shape = len(arrays[0]), arrays[self._position(inputs)].shape
        indices = np.zeros(count, np.int32) if targets is None else targets.astype(np.int32)
        size = self._method.batch_size_for(shape)
        run_batch = self._batch_function(inputs, targets is None, count / size)
        maps = []
        with unoptimized_graphs():
            for i in range(0, count, size):
                batch = [tf.constant(array[i : i + size]) for array in arrays]
                maps.append(run_batch(batch, tf.constant(indices[i : i + size])).numpy())
                report_progress()
        return np.concatenate(maps) if maps else np.zeros(shape[:3], np.float32)

    def _batch_function(self, inputs: Any, predicted: bool, batches: float) -> Callable:
        """Return a function that computes maps from flattened inputs and targets.

        It is traced once many passes have been requested: by number, as timing is not reproducible.
        """
        points = self._method.points
        self._passes += math.inf if points is None else math.ceil(batches * points)
        self._update_parts()
        if self._passes > FEW_PASSES:
            return self._trace(inputs, predicted)
        return inlined_calls(self._model)(self._map_function(inputs, predicted))

    def _trace(self, inputs: Any, predicted: bool) -> Callable:
        """Return the method, traced for any number of images of these shapes."""
        specs = [tf.TensorSpec((None, *a.shape[1:]), tf.float32) for a in tf.nest.flatten(inputs)]
        key = predicted, repr(tf.nest.map_structure(lambda a: a.shape[1:], inputs))
        if key not in self._traced:
            maps = self._map_function(inputs, predicted)
            with freed_custom_gradients(), inlined_calls(self._model):
                self._traced[key] = tf.function(maps, autograph=False).get_concrete_function(
                    specs, tf.TensorSpec((None,), tf.int32)
                )
        return self._traced[key]

    def _map_function(self, inputs: Any, predicted: bool) -> Callable:
        """Return the untraced function for a batch, to be called inside ``inlined_calls``."""
        method, model = self._method, self._model
        structure = tf.nest.map_structure(lambda _: 0, inputs)
        position, ending = self._position(inputs), self._ending(inputs)

        def maps(arrays: list[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
            nested = tf.nest.pack_sequence_as(structure, arrays)
            given = None if predicted else targets
            score = TargetScore(model, nested, position, given, ending, method.output)
            return method.attribute(score, arrays[position])

        return maps

    def untraced(self, shape: Sequence[int]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """Return the method as a function for use in another graph, such as an exported one.

        The function maps float32 images (B, H, W, C) of the given shape (H, W, C) and int32 target
        classes (B,) to maps (B, H, W). Trace it inside ``inlined_calls`` and
        ``freed_custom_gradients``.

        Raises:
            InputError: If the method cannot be applied to this model or to images of this shape.
        """
        self._update_parts()
        maps = self._map_function(np.zeros((1, *shape), np.float32), predicted=False)
        return lambda images, targets: maps([images], targets)

    def _update_parts(self) -> None:
        """Discard the traces if a layer or weight was added, removed or replaced."""
        parts = [*all_layers(self._model), *self._model.weights]
        if [*map(id, parts)] != [*map(id, self._parts)]:
            self._traced.clear()
        self._parts = parts

    def _ending(self, inputs: Any) -> Ending:
        """Check on every rank that the model can be explained, and return its ``Ending``."""
        if any(getattr(each, "data_format", "") == "channels_first" for each in self._parts):
            raise NotApplicable("the model's images have their channels first; allowed: last")
        self._check_shapes(inputs)
        ending = ending_of(self._model)
        if ending.activation is None or len(getattr(ending.layer, "_inbound_nodes", ())) != 1:
            ending = observed_ending(self._model, _example_inputs(inputs))
            self._update_parts()  # the first call may have built some
        if self._method.output == "logits" and not ending.can_be_linear:
            raise InputError(
                f"the logits of {type(self._model).__name__} cannot be determined from its layers; "
                "give the model without its softmax, or explain its probabilities "
                "(output: probabilities)"
            )
        return ending

    def _check_shapes(self, inputs: Any) -> None:
        given = [a.shape for a in tf.nest.flatten(inputs)]
        tensors = list(getattr(self._model, "inputs", None) or ())
        if isinstance(inputs, dict) and inputs.keys() == {each.name for each in tensors}:
            tensors.sort(key=lambda each: each.name)  # in the order of the flattened inputs
        declared = [each.shape for each in tensors]
        fits = len(declared) == len(given) and all(
            tf.TensorShape(shape).is_compatible_with((None, *have[1:]))
            for shape, have in zip(declared, given, strict=True)
        )
        if declared and not fits:
            raise InputError(
                f"images of shape {', '.join(map(str, given))}; the model expects "
                f"{', '.join(map(str, declared))}"
            )

    def _position(self, inputs: Any) -> int:
        """Return the index of the flattened input to explain."""
        shapes = [a.shape for a in tf.nest.flatten(inputs)]
        images = [i for i, shape in enumerate(shapes) if len(shape) in (3, 4)]
        wanted = self._method.input
        if wanted is None and images:
            return images[0]
        names = sorted(inputs) if isinstance(inputs, dict) else list(range(len(shapes)))
        if wanted in names and (position := names.index(wanted)) in images:
            return position
        what = "images" if wanted is None else f"input {wanted!r}"
        raise InputError(
            f"attributions need {what} of shape (N, H, W) or (N, H, W, C); given inputs "
            f"{', '.join(map(str, names))} of the shapes {', '.join(map(str, shapes))}"
        )

    def _number_of_classes(self, inputs: Any) -> int:
        """Return the number of classes, calling the model if it is subclassed."""
        self._check_shapes(inputs)
        declared = self._model.outputs if is_functional(self._model) else None
        outputs = declared or self._model(_example_inputs(inputs), training=False)
        return max(2, int(tf.nest.flatten(outputs)[0].shape[-1]))


def _example_inputs(inputs: Any) -> Any:
    """Return two random images that are identical on every rank."""
    rng = np.random.default_rng(0)
    return tf.nest.map_structure(
        lambda a: tf.constant(rng.random((2, *a.shape[1:]), np.float32)), inputs
    )
