"""What ``xnas-tf explain`` does: from names and files to a saved explanation."""

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
from xnas_tf.data import Split, load_dataset
from xnas_tf.data.class_names import class_number
from xnas_tf.data.dataset import sample_images
from xnas_tf.errors import InputError, suggest
from xnas_tf.explanation.explanation import DEFAULT_METHODS, Explanation, explain
from xnas_tf.explanation.model_loading import ModelSubject, load_subject, read_images
from xnas_tf.keras_tools.input_range import AUTO, check_range, range_of
from xnas_tf.training.accuracy import accuracy_of, tell_accuracy
from xnas_tf.utils.options import problems


@dataclass(frozen=True)
class ExplainRequest:
    """What is to be explained, and how.

    Attributes:
        path: A run, an exported candidate or a Keras model file.
        candidate: An id, ``recommended`` or ``best``, of a run; the recommended one if None.
        images: Image files; images of the data set if empty.
        dataset: A data set's name; the run's own if None.
        count: Images taken from the data set.
        methods: Names; ``all`` for every registered one.
        options: ``METHOD.OPTION=VALUE``.
        target: ``predicted``, ``true``, or a class by name or number.
        out: The folder written; a default beside the run if None.
        safe: Whether to refuse models that bring code of their own.
        input_range: The values that the model takes: ``0-1``, ``0-255``, ``-1-1``, or ``auto``.
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
class Shown:
    """Images to explain.

    Attributes:
        images: (N, H, W, C), uint8.
        class_names: The classes.
        labels: The true class of each image, (N,), where it is known.
        test: The whole part that they come from, where it has labels.
    """

    images: np.ndarray
    class_names: Sequence[str]
    labels: np.ndarray | None = None
    test: Split | None = None


def explain_request(
    request: ExplainRequest, tell: Callable[[str], None] = lambda _: None
) -> tuple[Explanation, Path]:
    """Explain and saves; returns the explanation and the folder it was written to.

    Raises:
        InputError: If anything named is missing or wrong, or the folder is there already.
    """
    check_range(request.input_range)
    methods = chosen_methods(request.methods, request.options)
    subject = load_subject(request.path, request.candidate, request.safe)
    out = request.out or subject.home
    if out.exists():
        raise InputError(f"{out} is there already and was not touched; name another with --out")
    shown = _images(request, subject)
    target = _target(request.target, shown)
    taken = range_of(subject.model, shown.images.shape[1:], request.input_range)
    tell(taken.text)
    accuracy = None
    if shown.test is not None:
        accuracy = accuracy_of(subject.model, shown.test, taken.name)
        tell_accuracy(accuracy, taken, tell, subject.model, shown.test)
    found = explain(
        subject.model,
        shown.images,
        methods,
        target,
        shown.labels,
        shown.class_names,
        True,
        tell,
        input_range=taken.name,
    )
    found = replace(found, accuracy=accuracy)
    return found, found.save(out, subject.name)


def _target(text: str, shown: Shown) -> Any:
    """What is to be explained, as ``explain`` takes it."""
    if text == "true":
        if shown.labels is None:
            raise InputError("--target true: the classes of image files are not known")
        return shown.labels
    return text if text == "predicted" else class_number(text, shown.class_names)


def chosen_methods(names: Sequence[str], options: Sequence[str]) -> list[AttributionMethod]:
    """Methods by name, with ``METHOD.OPTION=VALUE`` applied.

    Raises:
        InputError: If a name, an option or a value is wrong.
    """
    wanted = list(dict.fromkeys(ATTRIBUTIONS.names() if "all" in names else names))
    given: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for text in options:
        key, equals, value = text.partition("=")
        name, dot, option = key.partition(".")
        if not (equals and dot and option):
            raise InputError(f"--set {text!r} is not of the form METHOD.OPTION=VALUE")
        if name not in given:
            raise InputError(f"--set {text!r}: no method chosen is called {suggest(name, wanted)}")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"--set {text!r}: the value is not valid YAML: {error}") from error
        given[name][option] = tuple(parsed) if isinstance(parsed, list) else parsed
    return [_create(name, chosen) for name, chosen in given.items()]


def _create(name: str, options: dict[str, Any]) -> AttributionMethod:
    method = ATTRIBUTIONS.get(name)
    try:
        return method(**options)
    except ValidationError as error:
        raise InputError("\n".join(problems(error, method, f"{name}."))) from error


def _images(request: ExplainRequest, subject: ModelSubject) -> Shown:
    """The images to explain."""
    if request.images and request.dataset:
        raise InputError("--images and --dataset exclude each other")
    known = {"name": request.dataset} if request.dataset else subject.dataset
    if request.images:
        names = load_dataset(**known).class_names if known else None
        images = read_images(request.images, subject.model)
        return Shown(images, names or tuple(map(str, range(subject.model.output_shape[-1]))))
    if known is None:
        raise InputError(f"{request.path}: give --images FILE… or --dataset NAME to explain")
    data = load_dataset(**known)
    part = sample_images(data.test, request.count)
    wanted = tuple(subject.model.input_shape[1:])
    if any(w not in (None, have) for w, have in zip(wanted, part.images.shape[1:], strict=False)):
        raise InputError(
            f"data set {known['name']}: images of shape {part.images.shape[1:]}; the model takes "
            f"{wanted}"
        )
    return Shown(part.images, data.class_names, part.labels, data.test)
