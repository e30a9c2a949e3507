"""The base class of attribution methods."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from xnas_tf.attribution.targets import Output, Targets
from xnas_tf.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    import numpy as np
    import tensorflow as tf

    from xnas_tf.attribution.score import TargetScore

PIXELS = 64 * 32 * 32
"""Default number of pixels in a batch, which contains at least 64 images."""


class AttributionMethod(BaseModel):
    """A method that explains a model's output on images by computing one map per image.

    A method's options are its fields. Plug-ins subclass this class and implement ``attribute``. The
    graphs that are traced for a model are cached on the model and freed with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    name: ClassVar[str]
    """The name under which the method is registered."""
    title: ClassVar[str]
    """The method's name in plots."""
    signed: ClassVar[bool] = True
    """Whether negative values of a map are evidence against the class."""
    why_empty: ClassVar[str] = "the output for the class does not depend on the image"
    """The meaning of a map that is 0 everywhere."""

    output: Output = Field(
        "logits", description="output to explain: before (`logits`) or after the softmax"
    )
    batch: int | None = Field(
        None,
        ge=1,
        description="images per forward pass, which limits memory use; by default 64, or more if "
        "they are smaller than 32x32 pixels",
    )
    input: int | str | None = Field(
        None,
        description="the input to explain, by position or key; by default the first image input",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        """Name a subclass after its class if it has no ``name`` or no ``title``."""
        for attribute in ("name", "title"):
            if not hasattr(cls, attribute):
                setattr(cls, attribute, cls.__name__)

    @property
    def points(self) -> int | None:
        """Number of points per image that pass through the network; None if unknown.

        The value is also None if ``attribute`` must be traced, for example because it calls
        ``tf.gradients``. A subclass that overrides ``attribute`` must also override this property.
        """
        return None

    def batch_size_for(self, shape: Sequence[int]) -> int:
        """Return the number of images of shape (B, H, W[, C]) per forward pass; B is ignored."""
        return self.batch or max(64, PIXELS // (shape[1] * shape[2]))

    def __call__(
        self, model: keras.Model, images: Any, targets: Targets = "predicted"
    ) -> np.ndarray:
        """Explain a model's output on images.

        Args:
            model: A Keras classifier of any kind, used with its current weights.
            images: Images, (N, H, W) or (N, H, W, C), in the range that the model expects; a list,
                tuple or dictionary of images for a model with several inputs.
            targets: See ``Targets``.

        Returns:
            Maps (N, H, W), float32, or (N, classes, H, W) if ``targets`` is ``"all"``.

        Raises:
            InputError: If the method cannot be applied to this model or these images, or returns
                no maps.
        """
        from xnas_tf.attribution.explainer import explainer_of  # noqa: PLC0415 - heavy

        maps = explainer_of(model, self)(images, targets)
        axes = 4 if isinstance(targets, str) and targets == "all" else 3
        size = getattr(images, "shape", (0, *maps.shape[-2:]))[1:3]
        if maps.ndim != axes or maps.shape[-2:] != tuple(size):
            raise InputError(
                f"{type(self).__name__}.attribute returns an array of shape {maps.shape} for all "
                "images; allowed: one map (height, width) for each image, without channels"
            )
        return maps

    def check_model(self, model: keras.Model) -> None:  # noqa: B027, optional
        """Check, before training, that the method can be applied to a model.

        Raises:
            NotApplicable: If the method cannot be applied.
        """

    @abstractmethod
    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """Compute maps (B, H, W), float32, of images (B, H, W[, C]).

        ``score`` is a function that maps images to the model's output for each image's target
        class. The method is traced once per model, unless a single forward pass is enough.
        """
