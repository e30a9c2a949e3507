"""How an interpreter is trained: the published settings, by the kind of images.

arXiv 2010.09345 and its code. Weights of the losses come in one after the other, so that the
attributes first learn to describe the image, then to agree with the predictor, then to be few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from xnas_tf.errors import InputError, suggest
from xnas_tf.utils.options import Section, problems

FASTER = 20.0
"""How much higher the learning rate may begin where there are few images: what mnist5k needs,
with 3,000 images to learn from instead of 60,000, in as many epochs (docs/flint.md)."""
Ramp = tuple[tuple[int, float], ...]
"""From which epoch on, counted from 1, which weight; 0 before the first."""


class FlintOptions(Section):
    """How an interpreter is trained.

    Attributes:
        attributes: J, the number of attributes.
        batch: Images of a step.
        epochs: Passes over the training images that the ramps are written for; a training of
            another length stretches them.
        input_fidelity: Weight γ of the reconstruction's error.
        output_fidelity: Weight β of the cross-entropy between f and g.
        sparsity: Weight of the attributes' mean absolute value.
        entropy: Weight of the entropies.
        distance: Of a reconstruction from the image: ``squared`` or ``absolute``.
        rate: Adam's learning rate.
        images: Training images that all this is published for.
    """

    attributes: int = Field(ge=1)
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)
    input_fidelity: Ramp
    output_fidelity: Ramp
    sparsity: Ramp
    entropy: Ramp
    distance: Literal["squared", "absolute"] = "squared"
    rate: float = Field(1e-4, gt=0)
    images: int = Field(60_000, ge=1)

    def weights(self, epoch: int, epochs: int) -> tuple[float, float, float, float]:
        """The weights of output fidelity, input fidelity, entropy and sparsity.

        Args:
            epoch: Which epoch, from 0.
            epochs: How many there are.
        """
        # The last one is the published last one, in however short a training.
        published = -(-(epoch + 1) * self.epochs // epochs)
        ramps = self.output_fidelity, self.input_fidelity, self.entropy, self.sparsity
        return tuple(_weight(ramp, published) for ramp in ramps)

    def fitted(self, images: int, epochs: int | None, rate: float | None) -> tuple[int, float]:
        """Epochs and learning rate for a number of training images, unless they are given.

        With fewer images than published the rate begins higher, up to twenty times (then it
        falls, see ``learning.learn``); with still fewer there are more epochs.
        """
        fewer = max(1.0, self.images / images)
        stretched = round(self.epochs * max(1.0, fewer / FASTER))
        return epochs or stretched, rate or self.rate * min(FASTER, fewer)

    @property
    def final(self) -> tuple[float, float, float, float]:
        """The weights at the end."""
        return self.weights(self.epochs - 1, self.epochs)

    def changed(self, **values: Any) -> FlintOptions:
        """Other values in place of some; None leaves one as it is.

        Raises:
            InputError: If there is no such value, or it is not allowed.
        """
        given = {name: value for name, value in values.items() if value is not None}
        try:
            return FlintOptions(**{**self.model_dump(), **given})
        except ValidationError as error:
            raise InputError("\n".join(problems(error, FlintOptions, "settings: "))) from error


def _weight(ramp: Ramp, epoch: int) -> float:
    return float(next((weight for first, weight in reversed(ramp) if epoch >= first), 0.0))


SETTINGS: dict[str, FlintOptions] = {
    "grey": FlintOptions(
        attributes=25,
        batch=16,
        epochs=12,
        input_fidelity=((1, 0.8),),
        output_fidelity=((3, 0.5),),
        sparsity=((3, 0.1),),
        entropy=((5, 0.2),),
    ),
    "drawings": FlintOptions(
        attributes=24,
        batch=64,
        epochs=12,
        input_fidelity=((1, 5.0),),
        output_fidelity=((3, 0.1),),
        sparsity=((2, 0.02), (3, 0.30)),
        entropy=((4, 0.1),),
        images=80_000,
    ),
    "colour": FlintOptions(
        attributes=36,
        batch=64,
        epochs=25,
        input_fidelity=((1, 2.0),),
        output_fidelity=((3, 0.6),),
        sparsity=((2, 0.001), (3, 0.15)),
        entropy=((4, 0.2),),
        distance="absolute",
        images=50_000,
    ),
}
"""The published ones: MNIST and FashionMNIST, QuickDraw, CIFAR-10."""


def settings_for(
    given: str | FlintOptions | Mapping[str, Any] | None,
    channels: int,
    attributes: int | None = None,
) -> FlintOptions:
    """The settings named or given; those of the kind of images if None.

    Args:
        given: A name in ``SETTINGS``, settings, or values in place of some of those of the kind.
        channels: Of the images.
        attributes: J, if another one is wanted.

    Raises:
        InputError: If there are none of that name, or a value is not allowed.
    """
    if isinstance(given, FlintOptions):
        return given.changed(attributes=attributes)
    if isinstance(given, str) and given not in SETTINGS:
        raise InputError(f"settings: no settings are called {suggest(given, SETTINGS)}")
    usual = "grey" if channels == 1 else "colour"
    found = SETTINGS[given if isinstance(given, str) else usual]
    values = dict(given) if isinstance(given, Mapping) else {}
    return found.changed(**values).changed(attributes=attributes)
