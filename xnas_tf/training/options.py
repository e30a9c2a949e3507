"""Options for training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from xnas_tf.data.options import AugmentationOptions
from xnas_tf.utils.options import Section

RATES = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""Default learning rates: NAS-Bench-201's for SGD, Keras' for the other optimizers."""


class TrainingOptions(Section):
    """Training of one candidate.

    If a HyperModel compiles its model, the model keeps its loss and its optimizer, including the
    learning rate and schedule.
    """

    epochs: int = Field(
        3,
        ge=1,
        description="number of passes over the training split; images that do not fill the last "
        "batch are left out, different ones in each pass",
    )
    batch_size: int = Field(
        48,
        ge=1,
        description="number of images in a global batch, shared among all ranks of a candidate",
    )
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd", description="optimizer; by default, `sgd`, or `adam` for your own HyperModel"
    )
    learning_rate: float = Field(
        RATES["sgd"],
        gt=0,
        description="initial learning rate; by default, 0.1 for `sgd` and 0.001 for the others",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of `sgd`")
    nesterov: bool = Field(True, description="whether `sgd` uses Nesterov momentum")
    weight_decay: float = Field(
        0.0,
        ge=0,
        description="L2 regularization: this number times the weights is added to the gradient",
    )
    schedule: Literal["cosine", "constant"] = Field(
        "cosine", description="schedule of the learning rate"
    )
    warmup_epochs: float = Field(
        0.0,
        ge=0,
        description="number of epochs, possibly a fraction, over which the learning rate rises "
        "linearly from 0 before the schedule begins; less than `epochs`",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="epoch whose weights are scored and saved: the last one, or the one with the "
        "lowest validation error (in case of a tie, with the lowest validation loss)",
    )
    class_weight: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {},
        description="weight of each class in the loss, by class name, or by class number if no "
        "class has that name, as in `{cat: 5}`; by default, 1",
    )
    callbacks: list[str] = Field(
        [],
        description="Keras callbacks, each the `package.module:Name` of a class or function that "
        "is called without arguments, or of an object that is copied for each candidate; see "
        "docs/how-to/custom-training.md",
    )
    augmentation: AugmentationOptions = AugmentationOptions()
    deterministic: bool = Field(
        True,
        description="whether the same seed gives the same result, bit for bit, in one process; "
        "this is slower on GPUs",
    )
    mixed_precision: bool = Field(
        False,
        description="whether training steps are computed in bfloat16, for GPUs with compute "
        "capability 8.0 or higher (this was slower on CPUs); weights, scores and saved "
        "models remain float32",
    )
    jit_compile: bool = Field(
        False,
        description="whether training steps are compiled with XLA, for GPUs (this was slower on "
        "CPUs); the first step takes longer, and Dropout draws different random numbers",
    )
    checkpoint_minutes: float = Field(
        15, gt=0, description="minutes between two checkpoints during training"
    )

    @field_validator("warmup_epochs")
    @classmethod
    def _check_warmup(cls, warmup: float, info: ValidationInfo) -> float:
        if warmup >= info.data.get("epochs", math.inf):
            raise ValueError(
                f"given {warmup:g}; allowed: less than training.epochs ({info.data['epochs']})"
            )
        return warmup

    @field_validator("class_weight", mode="before")
    @classmethod
    def _name_classes(cls, weights: Any) -> Any:
        is_mapping = isinstance(weights, Mapping)
        return {str(name): weight for name, weight in weights.items()} if is_mapping else weights

    @field_validator("callbacks")
    @classmethod
    def _check_callbacks(cls, callbacks: list[str], info: ValidationInfo) -> list[str]:
        if callbacks and info.data.get("keep") == "best":
            raise ValueError(
                "keep: best already chooses an epoch; leave it out, and use "
                "keras.callbacks.EarlyStopping(restore_best_weights=True)"
            )
        return callbacks

    @model_validator(mode="before")
    @classmethod
    def _default_rate(cls, data: Any) -> Any:
        with suppress(AttributeError, KeyError, TypeError):  # invalid input, reported later
            return {"learning_rate": RATES[data["optimizer"]], **data}
        return data
