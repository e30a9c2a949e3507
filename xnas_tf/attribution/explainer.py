"""A method bound to a model: traced once unless it is hardly used, then run batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.score import TargetScore
from xnas_tf.attribution.targets import Targets, checked_targets
from xnas_tf.errors import InputError, NotApplicable
from xnas_tf.keras_tools.inspection import (
    Ending,
    all_layers,
    ending_of,
    inlined_calls,
    is_functional,
    observed_ending,
)
from xnas_tf.keras_tools.tracing import FEW_PASSES, forgotten_custom_gradients, unoptimized_graphs
from xnas_tf.utils.heartbeat import beat


class Method(Protocol):
    """What an explainer needs of an ``AttributionMethod``."""

    output: Literal["logits", "probabilities"]
    input: int | str | None

    @property
    def points(self) -> int | None:
        """See ``AttributionMethod``."""

    def at_a_time(self, shape: Sequence[int | None]) -> int:
        """See ``AttributionMethod``."""

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod``."""


def explainer_of(model: keras.Model, method: Method) -> Explainer:
    """The explainer of a model and a method, made at the first call.

    It is kept in the model's own dictionary, past Keras' tracking: whatever was traced lives
    as long as the model, and a table elsewhere would keep every model alive.
    """
    explainers = vars(model).setdefault("_xnas_tf_explainers", {})
    if method not in explainers:
        explainers[method] = Explainer(model, method)
    return explainers[method]


_STAYS = "_xnas_tf_stays"


def always_trace(model: keras.Model) -> None:
    """Lets all attributions of a model be traced from the first on: it will be asked often."""
    object.__setattr__(model, _STAYS, True)


class Explainer:
    """Runs one attribution method on one model; see ``AttributionMethod.__call__``."""

    def __init__(self, model: keras.Model, method: Method) -> None:
        self._model = model
        self._method = method
        self._traced: dict[Any, Any] = {}
        self._layers: list[keras.layers.Layer] = []
        self._passes = math.inf if _STAYS in vars(self._model) else 0.0
        """Through the network, of all that was asked for by now."""

    def __call__(self, images: Any, targets: Targets = "predicted") -> np.ndarray:
        """Maps (N, H, W), or (N, classes, H, W) for all classes."""
        inputs = tf.nest.map_structure(lambda a: np.asarray(a, np.float32), images)
        position = self._position(inputs)
        count = len(tf.nest.flatten(inputs)[position])
        if isinstance(targets, str) and targets == "predicted":
            return self._run(inputs, position, None)
        classes = self._classes(inputs)
        if isinstance(targets, str) and targets == "all":
            self._passes += FEW_PASSES  # all classes by the same way
            maps = [self._run(inputs, position, np.full(count, c)) for c in range(classes)]
            return np.stack(maps, axis=1)
        return self._run(inputs, position, checked_targets(targets, count, classes))

    def _run(self, inputs: Any, position: int, targets: np.ndarray | None) -> np.ndarray:
        flat = tf.nest.flatten(inputs)
        known = np.zeros(len(flat[0]), np.int32) if targets is None else targets.astype(np.int32)
        size = self._method.at_a_time(flat[position].shape)
        one_batch = self._one_batch(inputs, position, targets is None, len(known) / size)
        with unoptimized_graphs():
            parts = []
            for i in range(0, len(known), size):
                given = [tf.constant(part[i : i + size]) for part in flat]
                parts.append(one_batch(given, tf.constant(known[i : i + size])).numpy())
                beat()
        return np.concatenate(parts) if parts else np.zeros(flat[position].shape[:3], np.float32)

    def _one_batch(self, inputs: Any, position: int, predicted: bool, batches: float) -> Callable:
        """Flattened inputs and targets -> maps: traced, unless all that this explainer was asked
        for by now is few passes. That depends on the questions alone, never on a clock."""
        points = self._method.points
        self._passes += math.inf if points is None else math.ceil(batches * points)
        if self._passes > FEW_PASSES:
            return self._trace(inputs, position, predicted)
        self._forget_other_layers()
        return inlined_calls(self._model)(self._maps(inputs, position, predicted))

    def _trace(self, inputs: Any, position: int, predicted: bool) -> Any:
        """The traced method for any number of images of these shapes."""
        specs = [tf.TensorSpec((None, *a.shape[1:]), tf.float32) for a in tf.nest.flatten(inputs)]
        self._forget_other_layers()
        key = (predicted, position, *(tuple(spec.shape[1:]) for spec in specs))
        if key not in self._traced:
            self._traced[key] = self._new_trace(inputs, position, predicted, specs)
        return self._traced[key]

    def _new_trace(
        self, inputs: Any, position: int, predicted: bool, specs: list[tf.TensorSpec]
    ) -> Any:
        maps = self._maps(inputs, position, predicted)
        with forgotten_custom_gradients(), inlined_calls(self._model):
            return tf.function(maps, autograph=False).get_concrete_function(
                specs, tf.TensorSpec((None,), tf.int32)
            )

    def _maps(self, inputs: Any, position: int, predicted: bool) -> Callable:
        """Flattened inputs and targets -> maps; to be used inside ``inlined_calls``."""
        method, model = self._method, self._model
        structure = tf.nest.map_structure(lambda _: 0, inputs)
        ending = self._ending(inputs)

        def maps(flat: list[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
            nested = tf.nest.pack_sequence_as(structure, flat)
            known = None if predicted else targets
            score = TargetScore(model, nested, position, known, ending, method.output)
            return method.attribute(score, flat[position])

        return maps

    def untraced(self, shape: Sequence[int]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        """The method as a function for a graph of the caller's, such as one that is exported.

        Args:
            shape: Of an image, (H, W, C).

        Returns:
            Images (B, H, W, C), float32, and target classes (B,), int32 -> maps (B, H, W). It is
            to be traced inside ``inlined_calls`` and ``forgotten_custom_gradients``.

        Raises:
            InputError: If the method cannot be applied to this model or such images.
        """
        like = np.zeros((1, *shape), np.float32)
        self._forget_other_layers()
        maps = self._maps(like, self._position(like), predicted=False)
        return lambda images, targets: maps([images], targets)

    def _forget_other_layers(self) -> None:
        """Traces anew after a layer was added, removed or exchanged."""
        layers = all_layers(self._model)
        if [*map(id, layers)] != [*map(id, self._layers)]:
            self._traced.clear()
        self._layers = layers

    def _ending(self, inputs: Any) -> Ending:
        """How the model ends; checks that it can be explained, the same way on every rank."""
        if any(getattr(each, "data_format", "") == "channels_first" for each in self._layers):
            raise NotApplicable("the model's images have their channels first; allowed: last")
        self._check_shapes(inputs)
        ending = ending_of(self._model)
        if ending.activation is None or len(getattr(ending.layer, "_inbound_nodes", ())) != 1:
            ending = observed_ending(self._model, _few_like(inputs))
            self._layers = all_layers(self._model)  # a first call may have built some
        if self._method.output == "logits" and not ending.can_be_linear:
            raise InputError(
                f"the logits of {type(self._model).__name__} cannot be told from its layers; "
                "give the model without its softmax, or explain its probabilities "
                "(output: probabilities)"
            )
        return ending

    def _check_shapes(self, inputs: Any) -> None:
        declared = getattr(self._model, "inputs", None) or ()
        flat = tf.nest.flatten(inputs)
        shapes = [tuple(each.shape) for each in declared]
        fits = len(shapes) in (0, len(flat)) and all(
            len(shape) == a.ndim
            and all(w in (None, have) for w, have in zip(shape[1:], a.shape[1:], strict=True))
            for shape, a in zip(shapes, flat, strict=False)
        )
        if not fits:
            given = ", ".join(str(a.shape) for a in flat)
            raise InputError(
                f"images of shape {given}; the model takes {', '.join(map(str, shapes))}"
            )

    def _position(self, inputs: Any) -> int:
        """Which of the flattened inputs is explained."""
        flat = tf.nest.flatten(inputs)
        shapes = ", ".join(str(a.shape) for a in flat)
        images = [i for i, a in enumerate(flat) if a.ndim in (3, 4)]
        wanted = self._method.input
        if wanted is None and images:
            return images[0]
        names = sorted(inputs) if isinstance(inputs, dict) else list(range(len(flat)))
        if wanted in names and (position := names.index(wanted)) in images:
            return position
        what = "images" if wanted is None else f"input {wanted!r}"
        raise InputError(
            f"attributions need {what} of shape (N, H, W) or (N, H, W, C); given inputs "
            f"{', '.join(map(str, names))} of the shapes {shapes}"
        )

    def _classes(self, inputs: Any) -> int:
        """Number of classes; a subclassed model says only when it is called."""
        self._check_shapes(inputs)
        declared = self._model.outputs if is_functional(self._model) else None
        outputs = declared or self._model(_few_like(inputs), training=False)
        return max(2, int(tf.nest.flatten(outputs)[0].shape[-1]))


def _few_like(inputs: Any) -> Any:
    """Two images of noise, the same on every rank."""
    rng = np.random.default_rng(0)
    return tf.nest.map_structure(
        lambda a: tf.constant(rng.random((2, *a.shape[1:]), np.float32)), inputs
    )
