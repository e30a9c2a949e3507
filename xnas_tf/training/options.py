"""The configuration of a training."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

from pydantic import Field, model_validator

from xnas_tf.data.options import AugmentationOptions
from xnas_tf.utils.options import Section

RATES = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""Learning rates by default: NAS-Bench-201's for SGD, Keras' for the others."""


class TrainingOptions(Section):
    """How one candidate is trained. A HyperModel that returns a compiled model keeps its
    own optimizer and loss."""

    epochs: int = Field(3, ge=1)
    batch_size: int = Field(48, ge=1, description="global: shared by all ranks of a candidate")
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd", description="not given: `sgd`, and for your own HyperModel `adam`"
    )
    learning_rate: float = Field(
        RATES["sgd"], gt=0, description="not given: 0.1 of `sgd`, 0.001 of the others"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(True, description="of sgd")
    weight_decay: float = Field(
        0.0, ge=0, description="L2 penalty's gradient, added to that of the loss"
    )
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the learning rate")
    augmentation: AugmentationOptions = AugmentationOptions()
    deterministic: bool = Field(
        True,
        description="same seed, same result, bit for bit, on one process, unless `auto` below lets "
        "a trial choose; slower on GPUs",
    )
    mixed_precision: Literal["auto"] | bool = Field(
        False,
        description="training steps compute in bfloat16: for GPUs, of compute capability 8.0 or "
        "more; CPUs were slower; weights, scores and saved models stay float32; `auto`: if a short "
        "trial before the search finds a whole training faster so",
    )
    jit_compile: Literal["auto"] | bool = Field(
        False,
        description="XLA compiles training steps: for GPUs; the first takes longer, CPUs were "
        "slower; Dropout draws other random numbers; `auto` as above",
    )
    checkpoint_minutes: float = Field(
        15, gt=0, description="minutes between checkpoints of a candidate in training"
    )

    @model_validator(mode="before")
    @classmethod
    def _rate_of_the_optimizer(cls, data: Any) -> Any:
        with suppress(AttributeError, KeyError, TypeError):  # whatever was given
            return {"learning_rate": RATES[data["optimizer"]], **data}
        return data
