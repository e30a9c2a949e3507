"""The text of ``xnas.yaml`` and ``mine.py``, a configuration and a search space for a data set."""

from __future__ import annotations

import importlib.resources
import math
from pathlib import Path
from string import Template

import yaml

from xnas_tf.keras_tools.weights_errors import stored_weights
from xnas_tf.registry import installed_folder
from xnas_tf.reporting.dataset import DataReport
from xnas_tf.utils.image_size import size_text

_STEPS = 20
"""Minimum number of training steps per epoch; small data sets get smaller batches to reach it."""
_TRAINING = 600
"""Number of training steps per candidate, which determines the number of epochs."""
_BATCHES = (4, 64)
"""Smallest and largest batch, a power of two."""
_EPOCHS = (5, 40)
"""Smallest and largest number of epochs."""
_PHOTOGRAPH = 64
"""Minimum size of images in pixels for a network that was pretrained on photographs."""
_FEW = 5000
"""Maximum number of training images for which it is better to start from a pretrained network."""
_WEIGHTS = "mobilenet_2_5_128_tf_no_top.h5"
"""File that Keras downloads for examples/transfer_learning.py."""
_DOWNLOAD = (
    'python -c "import keras; '
    'keras.applications.MobileNet((128, 128, 3), alpha=0.25, include_top=False)"'
)
"""Command that downloads the file."""


def config_text(report: DataReport, dataset: str) -> str:
    """Return the text of ``xnas.yaml``; a path in ``dataset`` is relative to the file's folder."""
    data = report.dataset
    height, width, _ = data.image_shape
    size = str(height) if height == width else f"[{height}, {width}]"
    findings, count = data.findings, len(data.train)
    batch = min(max(2 ** int(math.log2(max(1.0, count / _STEPS))), _BATCHES[0]), _BATCHES[1])
    epochs = math.ceil(_TRAINING / math.ceil(count / batch))
    return _filled(
        "xnas.yaml.txt",
        dataset=_scalar(dataset),
        images=f"{sum(map(len, data.parts.values())):,}",
        train=f"{count:,}",
        classes=data.classes,
        shape=_shape(report),
        size=f"size: {size}" if findings.sizes else f"# size: {size}",
        channels="channels: 1" if findings.is_all_grey else f"# channels: {data.image_shape[2]}",
        options=", options: {weights: imagenet}" if _is_transfer(report) else "",
        model="TransferLearning" if _is_transfer(report) else "MyModel",
        batch=batch,
        epochs=min(max(epochs, _EPOCHS[0]), _EPOCHS[1]),
        flip="" if data.mirrored else "# ",
    )


def model_text(report: DataReport) -> str:
    """Return the text of ``mine.py`` for a data set."""
    if _is_transfer(report):
        return (installed_folder("examples") / "transfer_learning.py").read_text(encoding="utf-8")
    height, width, _ = report.dataset.image_shape
    # Each block halves the images; at least four pixels are left for the attributions.
    most = max(1, int(math.log2(max(1, min(height, width) / 4))) + 1)
    return _filled(
        "mine.py.txt",
        classes=report.dataset.classes,
        shape=_shape(report),
        fewest=max(1, most - 2),
        most=most,
    )


def pretraining_note(report: DataReport) -> str:
    """Explain how to start from a pretrained network, if only its weights are missing."""
    if not _suits_transfer(report) or _weights_file().is_file():
        return ""
    return (
        f"mine.py trains networks from scratch, because {_weights_file()} does not exist. For so "
        f"few images of at least {_PHOTOGRAPH} pixels, a network that was trained on ImageNet is "
        "usually better. To start from one, download its weights (1 MB) with\n"
        f"  {_DOWNLOAD}\n(or copy the file from a machine where you ran it), and run init again, "
        "in another folder"
    )


def _is_transfer(report: DataReport) -> bool:
    """Return whether to start from a pretrained network; its weights must be available locally."""
    return _suits_transfer(report) and _weights_file().is_file()


def _suits_transfer(report: DataReport) -> bool:
    height, width, _ = report.dataset.image_shape
    return min(height, width) >= _PHOTOGRAPH and len(report.dataset.train) <= _FEW


def _weights_file() -> Path:
    return stored_weights(_WEIGHTS)


def _shape(report: DataReport) -> str:
    height, width, channels = report.dataset.image_shape
    colour = {1: "grey", 3: "in colour"}.get(channels, f"of {channels} channels")
    return f"{size_text(height, width)} pixels, {colour}"


def _scalar(text: str) -> str:
    """Return a string as YAML, in quotes if needed."""
    dumped = yaml.safe_dump(text, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _filled(name: str, **values: object) -> str:
    template = importlib.resources.files(__package__) / "templates" / name
    return Template(template.read_text(encoding="utf-8")).substitute(values)
