"""The command ``xnas-tf explain``: from names and files to a saved explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import ValidationError

from xnas_tf.attribution import ATTRIBUTIONS
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.targets import Targets
from xnas_tf.data import Split, load_dataset
from xnas_tf.data.class_names import class_number
from xnas_tf.data.dataset import sample_images
from xnas_tf.errors import InputError, suggest
from xnas_tf.explanation.explanation import DEFAULT_METHODS, Explanation, explain
from xnas_tf.explanation.model_loading import ModelSubject, load_subject, read_images
from xnas_tf.explanation.opening import check_new
from xnas_tf.keras_tools.input_range import AUTO, check_range, range_of
from xnas_tf.training.chance_level import accuracy_of, report_accuracy
from xnas_tf.utils.options import problems


@dataclass(frozen=True)
class ExplainRequest:
    """What to explain, and how.

    Attributes:
        path: A run, an exported candidate or a Keras model file.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        images: Image files; images of the data set if empty.
        dataset: A data set's name; that of the run if None.
        count: The number of images of the data set.
        methods: Names of attribution methods; ``all`` for every registered one.
        options: Options of the methods as ``METHOD.OPTION=VALUE``.
        target: ``predicted``, ``true``, or a class by name or number.
        out: The folder to write; a default inside the run or in ``explanations`` if None.
        safe: Whether to refuse models that contain their own code.
        input_range: The values that the model expects: ``0-1``, ``0-255``, ``-1-1``, or ``auto``.
    """

    path: Path
    candidate: int | str | None = None
    images: Sequence[Path] = ()
    dataset: str | None = None
    count: int = 8
    methods: Sequence[str] = DEFAULT_METHODS
    options: Sequence[str] = ()
    target: str = "predicted"
    out: Path | None = None
    safe: bool = True
    input_range: str = AUTO


@dataclass(frozen=True)
class _Inputs:
    """Images to explain.

    Attributes:
        images: (N, H, W, C), uint8.
        class_names: The classes.
        labels: The true class of each image, (N,); None if unknown.
        test: The test split that they were taken from; None for image files.
    """

    images: np.ndarray
    class_names: Sequence[str]
    labels: np.ndarray | None = None
    test: Split | None = None


def explain_request(
    request: ExplainRequest, tell: Callable[[str], None] = lambda _: None
) -> tuple[Explanation, Path]:
    """Explain and save.

    Args:
        request: What to explain, and how.
        tell: Called with progress messages.

    Returns:
        The explanation, and the folder that it was written to.

    Raises:
        InputError: If anything named is missing or wrong, or the folder exists.
    """
    check_range(request.input_range)
    methods = chosen_methods(request.methods, request.options)
    subject = load_subject(request.path, request.candidate, request.safe)
    out = check_new(request.out or subject.home)
    inputs = _inputs(request, subject)
    targets = _targets(request.target, inputs)
    resolved = range_of(subject.model, inputs.images.shape[1:], request.input_range)
    tell(resolved.text)
    accuracy = None
    if inputs.test is not None:
        accuracy = accuracy_of(subject.model, inputs.test, resolved.name)
        report_accuracy(accuracy, resolved, tell, subject.model, inputs.test)
    found = explain(
        subject.model,
        inputs.images,
        methods,
        targets,
        inputs.labels,
        inputs.class_names,
        True,
        tell,
        input_range=resolved.name,
    )
    found = replace(found, accuracy=accuracy)
    return found, found.save(out, subject.name)


def _targets(text: str, inputs: _Inputs) -> Targets:
    """Return the targets of ``explain`` from the text of ``--target``."""
    if text == "true":
        if inputs.labels is None:
            raise InputError("--target true: the classes of image files are not known")
        return inputs.labels
    return text if text == "predicted" else class_number(text, inputs.class_names)


def chosen_methods(names: Sequence[str], options: Sequence[str]) -> list[AttributionMethod]:
    """Create methods by name, with options from ``METHOD.OPTION=VALUE``.

    Args:
        names: Names of methods; ``all`` for every registered one.
        options: ``METHOD.OPTION=VALUE``, with a value in YAML.

    Raises:
        InputError: If a name, an option or a value is wrong.
    """
    wanted = list(dict.fromkeys(ATTRIBUTIONS.names() if "all" in names else names))
    by_method: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for text in options:
        key, equals, value = text.partition("=")
        name, dot, option = key.partition(".")
        if not (equals and dot and option):
            raise InputError(f"--set {text!r} is not of the form METHOD.OPTION=VALUE")
        if name not in by_method:
            raise InputError(f"--set {text!r}: no method chosen is called {suggest(name, wanted)}")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text!r}: the value is not valid YAML: {error}") from error
        by_method[name][option] = tuple(parsed) if isinstance(parsed, list) else parsed
    return [_create(name, values) for name, values in by_method.items()]


def _create(name: str, options: dict[str, Any]) -> AttributionMethod:
    method = ATTRIBUTIONS.get(name)
    try:
        return method(**options)
    except ValidationError as error:
        raise InputError("\n".join(problems(error, method, f"{name}."))) from error


def _inputs(request: ExplainRequest, subject: ModelSubject) -> _Inputs:
    """Read the images to explain."""
    if request.images and request.dataset:
        raise InputError("--images and --dataset exclude each other")
    source = {"name": request.dataset} if request.dataset else subject.dataset
    if request.images:
        names = load_dataset(**source).class_names if source else None
        images = read_images(request.images, subject.model)
        return _Inputs(images, names or tuple(map(str, range(subject.model.output_shape[-1]))))
    if source is None:
        raise InputError(f"{request.path}: give --images FILE… or --dataset NAME to explain")
    data = load_dataset(**source)
    sample = sample_images(data.test, request.count)
    shape, expected = sample.images.shape[1:], tuple(subject.model.input_shape[1:])
    if any(size not in (None, given) for size, given in zip(expected, shape, strict=False)):
        raise InputError(
            f"data set {source['name']}: images of shape {shape}; the model takes {expected}"
        )
    return _Inputs(np.asarray(sample.images), data.class_names, sample.labels, data.test)
