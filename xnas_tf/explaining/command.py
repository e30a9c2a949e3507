"""What ``xnas-tf explain`` does: from names and files to a saved explanation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from xnas_tf.attribution import ATTRIBUTIONS
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.config.loading import problems
from xnas_tf.errors import InputError, suggest
from xnas_tf.explaining.explanation import DEFAULT_METHODS, Explanation, explain
from xnas_tf.explaining.subjects import (
    ModelSubject,
    class_number,
    dataset_images,
    load_subject,
    read_images,
)


@dataclass(frozen=True)
class Request:
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
        raw: Whether the model takes values from 0 to 255 instead of 0 to 1.
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
    raw: bool = False


def explain_request(
    request: Request, tell: Callable[[str], None] = lambda _: None
) -> tuple[Explanation, Path]:
    """Explains and saves; returns the explanation and the folder it was written to.

    Raises:
        InputError: If anything named is missing or wrong, or the folder is there already.
    """
    methods = chosen_methods(request.methods, request.options)
    subject = load_subject(request.path, request.candidate, request.safe)
    out = request.out or subject.home
    if out.exists():
        raise InputError(f"{out} is there already and was not touched; name another with --out")
    images, labels, names = _images(request, subject)
    target: Any = request.target
    if target == "true":
        if labels is None:
            raise InputError("--target true: the classes of image files are not known")
        target = labels
    elif target != "predicted":
        target = class_number(target, names)
    shown = images.astype("float32") if request.raw else images
    found = explain(subject.model, shown, methods, target, labels, names, True, tell)
    return found, found.save(out, subject.name)


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


def _images(request: Request, subject: ModelSubject):
    """Images, their labels where they are known, and the class names."""
    if request.images and request.dataset:
        raise InputError("--images and --dataset exclude each other")
    known = {"name": request.dataset} if request.dataset else subject.dataset
    if request.images:
        names = dataset_images(known, 1)[1] if known else None
        images = read_images(request.images, subject.model)
        return images, None, names or tuple(map(str, range(subject.model.output_shape[-1])))
    if known is None:
        raise InputError(f"{request.path}: give --images FILE… or --dataset NAME to explain")
    part, names = dataset_images(known, request.count)
    wanted = tuple(subject.model.input_shape[1:])
    if any(w not in (None, have) for w, have in zip(wanted, part.images.shape[1:], strict=False)):
        raise InputError(
            f"data set {known['name']}: images of shape {part.images.shape[1:]}; the model takes "
            f"{wanted}"
        )
    return part.images, part.labels, names
