"""Plants a known bug in training images to test whether explanations reveal it.

A watermark is stamped on some training images of one class, so a network can recognise the class
without looking at the object, just as a network once recognised horses by a photographer's source
tag (Lapuschkin et al. 2019, arXiv 1902.10178). Alternatively, images of other classes are stamped
and labelled as that class, as in the backdoor attack of Gu et al. 2017 (BadNets, arXiv 1708.06733).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from xnas_tf.data.class_names import class_numbers
from xnas_tf.data.dataset import Dataset, Split
from xnas_tf.data.options import AugmentationOptions, BugOptions
from xnas_tf.data.watermark import Bug, Watermark, checkerboard
from xnas_tf.errors import InputError
from xnas_tf.utils.options import problems

MARGIN = 1
"""Distance in pixels of the watermark from the upper and the left edge."""
_SIDE = 7
"""Default share of the shorter side of an image: 4 pixels of 28 (2% of the area)."""


def with_bug(dataset: Dataset, given: BugOptions | Mapping[str, Any]) -> Dataset:
    """Load a data set's training images into memory, and plant a bug in them.

    Validation and test images are left unchanged. The data set no longer counts as mirrored, even
    if the share is 0. This keeps ``augmentation.flip: auto`` from moving the watermark, and a
    control without the bug is trained in the same way.
    """
    try:
        options = BugOptions.model_validate(given)
    except ValidationError as error:
        raise InputError("\n".join(problems(error, BugOptions, "dataset.bug."))) from error
    names, train = dataset.class_names, dataset.train
    target = class_numbers(options.target, names, "dataset.bug.target").item()
    watermark = _watermark(options, dataset.image_shape)
    is_target = train.labels == target
    able = np.flatnonzero(is_target if options.kind == "watermark" else ~is_target)
    rng = np.random.default_rng(options.seed)
    share = options.planted_share
    chosen = rng.permutation(able)[: max(round(share * len(able)), share > 0)]
    images, labels = np.array(train.images), train.labels.copy()
    images[chosen] = watermark.stamped(images[chosen])
    labels[chosen] = target
    bug = Bug(options.kind, target, watermark, len(chosen))
    train = Split(images, labels, train.masks)
    return replace(dataset, train=train, bug=bug, mirrored=False)  # a flip moves the watermark


def check_augmentation(dataset: Dataset, options: AugmentationOptions) -> None:
    """Check that augmentation leaves the watermark of a planted bug in place, even in a control."""
    if dataset.bug is None:
        return
    wrong = ["flip: given true; allowed: auto or false"] if options.flip is True else []
    numbers = {"crop": options.crop, "cutout": options.cutout}
    wrong += [f"{name}: given {number}; allowed: 0" for name, number in numbers.items() if number]
    if wrong:
        why = "with dataset.bug, whose watermark must stay in its place"
        raise InputError("\n".join(f"training.augmentation.{text} {why}" for text in wrong))


def _watermark(options: BugOptions, image_shape: tuple[int, int, int]) -> Watermark:
    shorter = min(image_shape[:2])
    side = options.side or max(2, round(shorter / _SIDE))
    if side > shorter - 2 * MARGIN:
        raise InputError(
            f"dataset.bug.side: given {side}; allowed for images of {image_shape[0]}x"
            f"{image_shape[1]} pixels: at most {shorter - 2 * MARGIN}"
        )
    return Watermark(checkerboard(side), MARGIN, MARGIN, options.visibility)
