"""Explains a model's predictions on images with attribution methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from xnas_tf.attribution import attribution_method
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.outputs import probabilities_of
from xnas_tf.attribution.targets import Targets
from xnas_tf.data.class_names import check_order, class_number, class_numbers
from xnas_tf.data.dataset import Split, sample
from xnas_tf.errors import InputError, NotApplicable
from xnas_tf.explanation.explanation import Explanation
from xnas_tf.explanation.image_values import check_values, model_images
from xnas_tf.explanation.model_loading import AnyModel, named_model
from xnas_tf.explanation.quality import quality_of, random_quality
from xnas_tf.interpretation.model_data import expected_shape
from xnas_tf.keras_tools.input_range import InputRange, from_unit_model, range_of, scaled
from xnas_tf.keras_tools.range_names import AUTO, DEFAULT_RANGE, RANGES, limits_of
from xnas_tf.training.chance_level import WARNING
from xnas_tf.training.class_predictions import (
    OtherRange,
    better_range_text,
    predictions,
    try_ranges,
)
from xnas_tf.utils.argument_types import LIST, check_types
from xnas_tf.utils.progress import log_message

DEFAULT_METHODS = ("grad_cam", "integrated_gradients")
IMAGES = 8
"""Number of a run's test images to explain if no images are given."""


@check_types(methods=LIST, class_names=LIST)
def explain(  # noqa: PLR0913 - options with defaults
    model: AnyModel,
    images: np.ndarray | None = None,
    methods: Sequence[str | AttributionMethod] = DEFAULT_METHODS,
    targets: Targets = "predicted",
    labels: np.ndarray | None = None,
    class_names: Sequence[str] | None = None,
    measured: bool = False,
    log: Callable[[str], None] = lambda _: None,
    *,
    mistakes: bool = False,
    input_range: str = AUTO,
    safe: bool = True,
    shared_models: Mapping[AttributionMethod, keras.Model] = MappingProxyType({}),
) -> Explanation:
    """Explain a model's output on images, with each given method that applies to the model.

    Args:
        model: A Keras image classifier; a run, which stands for its recommended candidate; a
            candidate, such as ``run[4]``; or the path of a run, an exported candidate or a
            ``.keras`` file.
        images: Images, (N, H, W) or (N, H, W, C). Images of type uint8 are scaled to the model's
            input range; other images are passed unchanged. If a run trained ``model``, images on
            the value scale of the run's arrays are converted first, as in ``Run.prepare``. For
            the methods, black is the lowest value of the model's input range. If None, some images
            of the run's test split are used, with their labels.
        methods: Names of methods, or methods with options.
        targets: ``"predicted"``, a class by name or number, or one class per image, (N,).
        labels: The true class of each image by name or number, (N,); None if unknown.
        class_names: Names of the classes. If None, those of the run or of the exported model's
            card are used, or numbers if there is neither.
        measured: Whether to measure the quality of the maps, which takes longer.
        log: Called with the title of each method before it runs.
        mistakes: If no images are given, whether to choose only images that the model
            misclassifies.
        input_range: The range of values that the model expects, as ``LOW-HIGH``, such as ``0-255``
            or ``-1-1``; or ``auto`` (see ``keras_tools.input_range.range_of``).
        safe: Whether to reject a model that contains Python code, for example in a Lambda layer.
        shared_models: Models that are already traced and give the same maps, by method.

    Raises:
        InputError: If the model does not exist, a name is unknown, there are no images, no method
            applies, the values of the images do not fit the model's input range, or the run's data
            have changed since the search.
    """
    if images is None and labels is not None:
        raise InputError("`labels`: given without `images`, whose true classes they are")
    if images is not None and mistakes:
        raise InputError("`mistakes`: given with `images`; allowed: only without, to choose them")
    subject = named_model(model, safe)
    check_order(() if class_names is None else class_names, subject.class_names, "`class_names`")
    model = subject.model
    chosen = [_method(each) for each in methods]
    files: Sequence[str] = ()
    if images is None:
        missing = "`images`: none are given, and the model does not come from a run"
        data = subject.load_dataset(None, missing=missing)
        shown = sample_of(model, data.test, IMAGES, input_range, mistakes)
        images, labels, files = _checked_images(shown.images, model), shown.labels, shown.names
        class_names = class_names or data.class_names
    else:
        images = model_images(_checked_images(images, model), subject)
        class_names = (subject.class_names or None) if class_names is None else class_names
    if expected := expected_shape(model, images.shape[1:]):
        raise InputError(f"`images` are of shape {images.shape[1:]}; the model expects {expected}")
    resolved = range_of(model, images.shape[1:], input_range)
    explained, inputs = _scaled_inputs(model, images, resolved)
    probabilities = probabilities_of(explained, inputs)
    if count := int((~np.isfinite(probabilities)).any(axis=1).sum()):
        raise InputError(
            f"the model returns values that are not finite for {count} of {len(images)} images, "
            "which cannot be explained"
        )
    predicted, names = probabilities.argmax(1), _checked_names(class_names, probabilities.shape[1])
    if labels is not None:
        if np.shape(labels) != predicted.shape:
            raise InputError(
                f"`labels` are of shape {np.shape(labels)}; allowed: one for each of the "
                f"{len(images)} images"
            )
        labels = class_numbers(labels, names, "`labels`")
    classes = _target_classes(targets, names, predicted)
    is_scaled = images.dtype == np.uint8
    found = Explanation(
        images,
        probabilities,
        classes,
        names,
        labels,
        input_range=resolved.name if is_scaled else "",
        range_origin=resolved.origin if is_scaled else None,
        other_ranges=_check_assumed(resolved, model, images, labels, predicted),
        files=files,
        only_mistakes=mistakes,
        random_quality=random_quality(explained, inputs, classes) if measured else {},
    )
    for method in chosen:
        log(method.title)
        try:
            maps = method(shared_models.get(method, explained), inputs, classes)
        except NotApplicable as error:
            found.failures[method.title] = str(error)
            continue
        found.maps[method] = maps
        if measured:
            found.quality[method] = quality_of(explained, inputs, method, maps, classes)
    if not found.maps:
        raise InputError("; ".join(f"{name}: {why}" for name, why in found.failures.items()))
    return found


def _scaled_inputs(
    model: keras.Model, images: np.ndarray, resolved: InputRange
) -> tuple[keras.Model, np.ndarray]:
    """Return the model to explain and its inputs; uint8 images are scaled to the model's range.

    A model whose range does not begin at 0, which the methods regard as black, gets values from 0
    to 1, which a layer in front of it scales.
    """
    (low, high), is_scaled = limits_of(resolved.name), images.dtype == np.uint8
    if not is_scaled:
        check_values(images, resolved)
    if low == 0:
        return model, scaled(images, resolved.name).numpy() if is_scaled else images
    unit = scaled(images, DEFAULT_RANGE).numpy() if is_scaled else (images - low) / (high - low)
    return from_unit_model(model, images.shape[1:], resolved.name), unit.astype(np.float32)


def _target_classes(targets: Targets, names: Sequence[str], predicted: np.ndarray) -> np.ndarray:
    """Return the class to explain for each image, (N,), given the predicted classes."""
    if isinstance(targets, str):
        if targets == "predicted":
            return predicted
        targets = class_number(targets, names, "`targets`", ("predicted",))
    numbers = class_numbers(targets, names, "`targets`")
    if numbers.shape not in ((), predicted.shape):
        raise InputError(
            f"`targets` are of shape {numbers.shape}; allowed: one class, or one for each of the "
            f"{len(predicted)} images"
        )
    return np.broadcast_to(numbers, predicted.shape)


def _check_assumed(
    resolved: InputRange,
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray | None,
    predicted: np.ndarray,
) -> tuple[OtherRange, ...]:
    """Warn that a range is only assumed or, if labels are given, that another is better."""
    if images.dtype != np.uint8 or resolved.origin != "assumed":
        return ()
    if labels is None:
        log_message(f"{WARNING}{resolved.text}")
        return ()
    others = [name for name in RANGES if name != resolved.name]
    tried = try_ranges(model, Split(images, labels), predicted, others)
    if text := better_range_text(resolved.name, tried):
        log_message(f"{WARNING}{text}")
    return tried


def sample_of(
    model: keras.Model, test: Split, count: int, input_range: str, mistakes: bool
) -> Split:
    """Choose up to ``count`` test images; with ``mistakes``, only misclassified ones."""
    if not mistakes:
        return sample(test, count)
    resolved = range_of(model, test.images.shape[1:], input_range)
    wrong = predictions(model, test, resolved.name).classes != test.labels
    if not wrong.any():
        raise InputError(f"`mistakes`: the model classifies all {len(test)} test images correctly")
    return sample(test.select(np.flatnonzero(wrong)), count)


def _method(method: str | AttributionMethod) -> AttributionMethod:
    if isinstance(method, AttributionMethod):
        return method
    if isinstance(method, str):
        return attribution_method(method)()
    raise InputError(
        f"`methods`: one is of type {type(method).__name__}; allowed: a name, such as 'grad_cam', "
        "or an attribution method with options"
    )


def _checked_images(images: Any, model: keras.Model) -> np.ndarray:
    """Return images (N, H, W, C), or (N, H, W) if the model's inputs have no channels."""
    try:
        array = np.asarray(images)
    except ValueError as error:  # images of different sizes
        raise InputError(f"`images` do not form an array: {error}") from error
    if array.ndim not in (3, 4) or not len(array):
        what = f"of shape {array.shape}" if array.ndim else f"a {type(images).__name__}"
        raise InputError(f"`images` are {what}; allowed: (N, H, W) or (N, H, W, C), at least one")
    if array.dtype.kind not in "buif":
        raise InputError(f"`images` are of type {array.dtype}; allowed: NumPy's integers or floats")
    shape = getattr(model, "input_shape", None)
    has_channels = not (isinstance(shape, tuple) and len(shape) == array.ndim)
    return array[..., np.newaxis] if array.ndim == 3 and has_channels else array


def _checked_names(names: Sequence[str] | None, classes: int) -> list[str]:
    if names is not None and len(names) != classes:
        raise InputError(f"`class_names`: {len(names)} given, but the model has {classes} classes")
    return [str(name) for name in (range(classes) if names is None else names)]
