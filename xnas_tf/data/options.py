"""Configuration of a data set and of the augmentation of its training images."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr, field_validator, model_validator

from xnas_tf.utils.options import Section

Pixels = Annotated[int, Field(ge=1, le=4096)]


class BugOptions(Section):
    """A bug that is planted in the training images, to measure whether explanations reveal it.

    The `planted_bug` and `repair` objectives measure the bug on validation images. Validation and
    test images stay unchanged.
    """

    kind: Literal["watermark", "wrong_labels"] = Field(
        "watermark",
        description="`watermark`: images of the target class carry a watermark. `wrong_labels`: "
        "images of the other classes carry it and are labelled as the target class",
    )
    target: StrictInt | StrictStr = Field(
        0,
        description="number, from 0, or name of the class that the watermark stands for. A name "
        "that looks like a number needs quotes, as in `target: '2'`",
    )
    share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of these images that carry the watermark; 0 plants nothing, to measure "
        "a control. By default 0.9, or 0.1 with `wrong_labels`",
    )
    visibility: float = Field(
        1.0,
        gt=0,
        le=1,
        description="opacity of the watermark; at 1 it hides the image below it, at 0.1 it is "
        "hardly visible",
    )
    side: int | None = Field(
        None,
        ge=1,
        description="side of the watermark in pixels; by default a seventh of the image's shorter "
        "side, at least 2",
    )
    seed: int = Field(0, ge=0, description="seed of the choice of images")

    @property
    def planted_share(self) -> float:
        """The value of ``share`` or, if it is None, the default for this kind of bug."""
        default = 0.9 if self.kind == "watermark" else 0.1
        return default if self.share is None else self.share


class DatasetOptions(Section):
    """Labelled images and how they are split (stratified by class)."""

    name: str = Field(
        "mnist5k",
        description="name of the data set: `mnist5k`, `digits`, `shapes`, `folder:PATH`, "
        "`csv:FILE`, `npz:FILE`, `idx:FOLDER`, `quickdraw:FOLDER`, `imagenet16_120:FOLDER`, "
        "`tfrecord:FILES`, `keras:NAME`, `tfds:NAME` or `package.module:function`; "
        "see docs/reference/data.md",
    )
    validation: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the images for the validation split, unless the data set has one",
    )
    test: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="share of the images for the test split, unless the data set has one",
    )
    seed: int = Field(0, ge=0, description="seed of the split")
    size: Pixels | list[Pixels] | None = Field(
        None,
        description="image size in pixels: one number, or height and width. By default, image "
        "files are resized to their median size, at most 128 pixels on the longer side, and "
        "other images keep their size",
    )
    channels: Literal[1, 3] | None = Field(
        None,
        description="number of colour channels. By default, image files get 3 if any of them has "
        "colour, and other images keep their channels",
    )
    group: str | None = Field(
        None,
        description="for image files: a regular expression with a group in parentheses that "
        "matches the subject, such as a patient, in a file's path. Images with the same match go "
        "into the same split",
    )
    max_corrupt: float = Field(
        0.1,
        ge=0,
        le=1,
        description="maximum share of image files that may be unreadable; these are listed and "
        "left out",
    )
    classes: int | None = Field(
        None,
        ge=2,
        description="number of classes to keep, beginning with the first; by default all",
    )
    bug: BugOptions | None = Field(
        None,
        description="a bug to plant in the training images, with the keys below; by default none",
    )

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: int | list[int] | None) -> int | list[int] | None:
        if isinstance(size, list) and len(size) != 2:
            raise ValueError(f"given {size}; allowed: one number, or height and width")
        return size

    @field_validator("group")
    @classmethod
    def _check_expression(cls, group: str | None) -> str | None:
        try:
            re.compile(group or "")
        except re.error as error:
            raise ValueError(f"{group!r} is not a regular expression: {error}") from error
        return group

    @model_validator(mode="after")
    def _check_shares(self) -> DatasetOptions:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation ({self.validation}) and test ({self.test}) leave no images to train on"
            )
        return self


class AugmentationOptions(Section):
    """Random changes to training images."""

    crop: int = Field(
        0, ge=0, le=64, description="pixels of padding before a random crop; 0 turns it off"
    )
    flip: Literal["auto"] | bool = Field(
        "auto",
        description="random horizontal flips; `auto` flips images only if a mirror image has the "
        "same class",
    )
    cutout: int = Field(
        0, ge=0, description="side in pixels of a random square that is blanked out; 0 turns it off"
    )

    def flips(self, mirrored: bool) -> bool:
        """Return whether images are flipped; ``mirrored`` is that of the data set."""
        return mirrored if self.flip == "auto" else bool(self.flip)
