"""What an attribution method is."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from xnas_tf.attribution.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    import numpy as np
    import tensorflow as tf

    from xnas_tf.attribution.score import TargetScore

PIXELS = 64 * 32 * 32
"""Pixels of images or points at a time, if nothing else is asked for; no fewer than 64 points."""


class AttributionMethod(BaseModel):
    """Model, images and target classes -> a map over each image.

    Options are fields; plug-ins subclass this and implement ``attribute``. What a method
    traces for a model is kept with the model and freed with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    """The name it is registered under."""
    title: ClassVar[str]
    """The method's name in pictures."""
    signed: ClassVar[bool] = True
    """Whether maps speak against a class where they are negative."""

    output: Literal["logits", "probabilities"] = Field(
        "logits", description="explained: what comes before a final softmax, or after it"
    )
    batch: int | None = Field(
        None,
        ge=1,
        description="images or points at a time; bounds the memory; 64, or more that are smaller "
        "than 32x32 pixels, if not given",
    )
    input: int | str | None = Field(
        None, description="the input explained, by position or key; the first image if not given"
    )

    @property
    def points(self) -> int | None:
        """As how many points an image passes through the network; None if that isn't known, or
        if ``attribute`` must be traced: ``tf.gradients``, for one, needs a graph. A subclass
        whose ``attribute`` is another says so again."""
        return None

    def at_a_time(self, shape: Sequence[int | None]) -> int:
        """How many images or points, shaped (B, H, W[, C]), pass through the network at a time."""
        return self.batch or max(64, PIXELS // (shape[1] * shape[2]))

    def __call__(
        self, model: keras.Model, images: Any, targets: Targets = "predicted"
    ) -> np.ndarray:
        """Explains a model's output on images.

        Args:
            model: A Keras classifier of any kind; its present weights count.
            images: (N, H, W) or (N, H, W, C) as the model takes them, or a list, tuple or
                dictionary of the inputs of a model that has several.
            targets: See ``Targets``.

        Returns:
            Maps (N, H, W), float32; (N, classes, H, W) for the targets ``"all"``.

        Raises:
            InputError: If the method cannot be applied to this model or these images.
        """
        from xnas_tf.attribution.explainer import explainer_of

        return explainer_of(model, self)(images, targets)

    @abstractmethod
    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """Computes maps (B, H, W); traced once a model, unless a single pass is all it takes.

        Args:
            score: The target's output of each image, as a function of the images.
            images: The images explained, (B, H, W[, C]), float32.
        """
