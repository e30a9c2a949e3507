"""The ``xnas-tf explain`` command, which turns names and files into a saved explanation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from pydantic import ValidationError

from xnas_tf.attribution import ATTRIBUTIONS, attribution_method
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.targets import Targets
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.class_names import check_order, class_number
from xnas_tf.data.given_images import read_files
from xnas_tf.errors import InputError, suggest
from xnas_tf.explanation.explaining import DEFAULT_METHODS, explain, sample_of
from xnas_tf.explanation.explanation import Explanation
from xnas_tf.explanation.model_loading import ModelSubject, load_data, load_source
from xnas_tf.interpretation.model_data import fixed_input, options_for
from xnas_tf.keras_tools.class_outputs import number_of_classes
from xnas_tf.keras_tools.input_range import range_of
from xnas_tf.keras_tools.range_names import check_range
from xnas_tf.storage.model_source import EXPLANATIONS, ModelSource
from xnas_tf.storage.new_images import check_files_fit
from xnas_tf.training.chance_level import report_accuracy
from xnas_tf.training.class_predictions import predictions
from xnas_tf.utils.options import problems


class _Inputs(NamedTuple):
    images: np.ndarray  # (N, H, W, C), uint8
    class_names: Sequence[str]
    labels: np.ndarray | None = None  # None for image files
    data: Dataset | None = None  # source of the images unless they are image files
    files: Sequence[str] = ()  # their names; unknown for images in arrays


def explain_request(  # noqa: PLR0913 - options of a command
    source: ModelSource,
    files: Sequence[Path],
    count: int,
    methods: Sequence[str],
    options: Sequence[str],
    target: str,
    class_names: Sequence[str] | None,
    mistakes: bool,
    input_range: str,
    log: Callable[[str], None],
) -> tuple[Explanation, Path]:
    """Explain images, and save the explanation to a folder, which is also returned.

    The arguments are the options of ``xnas-tf explain``, as text. If there are no ``files``,
    ``count`` images of the data set are explained. ``class_names`` are those of image files, and
    ``options`` those of the methods, as ``METHOD.OPTION=VALUE`` with values in YAML.

    Raises:
        InputError: If anything named is missing or invalid, or the folder exists.
    """
    check_range(input_range)
    chosen = _chosen_methods(methods or DEFAULT_METHODS, options)
    subject, out = load_source(source, EXPLANATIONS)
    if files:
        if mistakes:
            raise InputError("--mistakes: the true classes of image files are not known")
        inputs = _from_files(files, source, subject, class_names)
    else:
        if class_names:
            raise InputError("--classes: given without image files; a data set has its own classes")
        data = load_data(source, subject, EXPLANATIONS, log)
        shown = sample_of(subject.model, data.test, count, input_range, mistakes)
        images = np.asarray(shown.images)
        inputs = _Inputs(images, data.class_names, shown.labels, data, shown.names)
    targets = _targets(target, inputs)
    resolved = range_of(subject.model, inputs.images.shape[1:], input_range)
    log(resolved.text)
    accuracy = None
    if inputs.data is not None:
        test = inputs.data.test
        answers = predictions(subject.model, test, resolved.name)
        accuracy = report_accuracy(answers, resolved, log, subject.model, test, inputs.data.scaling)
    found = explain(
        subject.model,
        inputs.images,
        chosen,
        targets,
        inputs.labels,
        inputs.class_names,
        measured=True,
        log=log,
        input_range=resolved.name,
    )
    found = replace(
        found,
        accuracy=accuracy,
        range_origin=resolved.origin,
        only_mistakes=mistakes,
        files=inputs.files,
    )
    return found, found.save(out, subject.title)


def _targets(text: str, inputs: _Inputs) -> Targets:
    """Convert the text of ``--target`` to the ``targets`` argument of ``explain``."""
    if text == "true":
        if inputs.labels is None:
            raise InputError("--target true: the classes of image files are not known")
        return inputs.labels
    return text if text == "predicted" else class_number(text, inputs.class_names)


def _chosen_methods(names: Sequence[str], options: Sequence[str]) -> list[AttributionMethod]:
    wanted = list(dict.fromkeys(ATTRIBUTIONS.names() if "all" in names else names))
    by_method: dict[str, dict[str, Any]] = {name: {} for name in wanted}
    for text in options:
        key, equals, value = text.partition("=")
        name, dot, option = key.rpartition(".")
        if not (equals and dot and option):
            raise InputError(f"--set {text!r} is not of the form METHOD.OPTION=VALUE")
        if name not in by_method:
            raise InputError(f"--set {text!r}: no chosen method is called {suggest(name, wanted)}")
        try:
            parsed = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # such as a date with month 13
            raise InputError(f"--set {text!r}: the value is not valid YAML: {error}") from error
        by_method[name][option] = tuple(parsed) if isinstance(parsed, list) else parsed
    return [_create(name, values) for name, values in by_method.items()]


def _create(name: str, options: dict[str, Any]) -> AttributionMethod:
    method = attribution_method(name)
    try:
        return method(**options)
    except ValidationError as error:
        raise InputError("\n".join(problems(error, method, f"{name}."))) from error


def _from_files(
    files: Sequence[Path],
    source: ModelSource,
    subject: ModelSubject,
    class_names: Sequence[str] | None,
) -> _Inputs:
    """Read image files; take class names from the arguments, data set or card, or use numbers.

    The files are read as those of the run that trained the model, unless a data set is given or the
    run is unknown. Then images with more than 8 bits have the scale of the data set or card.
    """
    if source.dataset and class_names:
        raise InputError("--classes and --dataset cannot be combined: both name the classes")
    if source.dataset:
        # Only its classes and scales are used.
        data = load_dataset(**options_for(source.dataset, subject.searched))
        check_order(data.class_names, subject.class_names, f"data set {data.name}")
        class_names = data.class_names
        images = _read_images(files, subject, data.findings.full_scales)
    else:
        check_order(class_names or (), subject.class_names, "--classes")
        class_names = class_names or subject.class_names
        if subject.trained_by:
            images = subject.trained_by.stored_images(files)
        else:
            images = _read_images(files, subject, subject.full_scales)
    if subject.value_range:
        check_files_fit(images.shape[3], subject.value_range, f"the run of {source.path}")
    if not class_names:
        class_names = tuple(map(str, range(number_of_classes(subject.model))))
    return _Inputs(images, class_names, files=[str(file) for file in files])


def _read_images(
    files: Sequence[Path], subject: ModelSubject, scales: Mapping[str, int] | None
) -> np.ndarray:
    """Read image files as a data set with these ``Findings.full_scales`` would, to fit a model.

    Images have the size of the model's input or, if that is not fixed, of the images of its search.
    """
    fixed = fixed_input(subject.model)
    if not fixed:
        shape = getattr(subject.model, "input_shape", None)
        raise InputError(f"the model's input is {shape}; image files need (height, width, 1 or 3)")
    images = read_files(files, fixed.get("size", subject.image_size), fixed["channels"], scales)
    if len({image.shape for image in images}) > 1:
        raise InputError("the images differ in size, and the model has no fixed input size")
    return np.stack(images)
