"""Training options for an interpreter: the published settings for each kind of image.

The settings come from arXiv 2010.09345 and the authors' code. The losses are switched on one after
another, so that the attributes first learn to describe the image, then to agree with the predictor,
and finally to be sparse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, ValidationError

from xnas_tf.errors import InputError, suggest
from xnas_tf.utils.options import Section, problems

FASTER = 20.0
"""Maximum factor by which the initial learning rate is increased if there are few images. It is the
factor that mnist5k, with 3,000 training images instead of 60,000, needs for the same number of
epochs (docs/explanation/flint.md)."""
Ramp = tuple[tuple[int, NonNegativeFloat], ...]
"""Pairs, in any order, of an epoch, counted from 1, and the weight from that epoch on. Before the
first of these epochs, the weight is 0."""


class FlintOptions(Section):
    """Options for training an interpreter.

    The ramps are defined for ``epochs`` epochs, and stretched to the actual number.
    """

    attributes: int = Field(ge=1)  # J
    batch: int = Field(ge=1)
    epochs: int = Field(ge=1)
    input_fidelity: Ramp  # weight γ of the reconstruction error
    output_fidelity: Ramp  # weight β of the cross-entropy between f and g
    sparsity: Ramp  # weight of the attributes' mean absolute value
    entropy: Ramp  # weight of the entropy terms
    distance: Literal["squared", "absolute"] = "squared"  # the reconstruction error
    rate: float = Field(1e-4, gt=0)  # Adam's learning rate
    images: int = Field(60_000, ge=1)  # training images for which the settings were published

    def weights(self, epoch: int, epochs: int) -> tuple[float, ...]:
        """Return the weights of output fidelity, input fidelity, entropy and sparsity.

        ``epoch`` counts from 0 to ``epochs`` - 1.
        """
        # Round up, so that the last epoch has the published final weights even if epochs are few.
        published = -(-(epoch + 1) * self.epochs // epochs)
        ramps = (self.output_fidelity, self.input_fidelity, self.entropy, self.sparsity)
        return tuple(_weight(ramp, published) for ramp in ramps)

    def fitted(self, images: int, epochs: int | None, rate: float | None) -> tuple[int, float]:
        """Return the epochs and learning rate; if not given, they depend on the number of images.

        With fewer images than in the paper, the learning rate starts up to twenty times higher, and
        decays. With even fewer images, the number of epochs increases.
        """
        ratio = max(1.0, self.images / images)
        stretched = round(self.epochs * max(1.0, ratio / FASTER))
        return epochs or stretched, rate or self.rate * min(FASTER, ratio)

    @property
    def final(self) -> tuple[float, ...]:
        """The weights in the last epoch."""
        return self.weights(self.epochs - 1, self.epochs)

    def changed(self, **values: Any) -> FlintOptions:
        """Return a validated copy with some values replaced; None leaves a value unchanged.

        Raises:
            InputError: If an option does not exist, or its value is not allowed.
        """
        replaced = {name: value for name, value in values.items() if value is not None}
        try:
            return FlintOptions(**{**self.model_dump(), **replaced})
        except ValidationError as error:
            raise InputError("\n".join(problems(error, FlintOptions, "settings: "))) from error


def _weight(ramp: Ramp, epoch: int) -> float:
    started = [pair for pair in ramp if pair[0] <= epoch]
    return max(started, default=(0, 0.0))[1]


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
"""The published settings for MNIST and FashionMNIST, QuickDraw, and CIFAR-10."""


def settings_for(
    given: str | FlintOptions | Mapping[str, Any] | None,
    channels: int,
    attributes: int | None = None,
) -> FlintOptions:
    """Return settings given by name or by value; defaults differ for grey and colour images.

    A mapping replaces individual defaults, and ``attributes`` replaces the number of attributes.

    Raises:
        InputError: If the name is unknown, or a value is not allowed.
    """
    if not isinstance(given, FlintOptions):
        values = given if isinstance(given, Mapping) else {}
        if given is None or isinstance(given, Mapping):
            given = "grey" if channels == 1 else "colour"
        if str(given) not in SETTINGS:
            raise InputError(f"settings: no settings are called {suggest(given, SETTINGS)}")
        given = SETTINGS[given].changed(**values)
    return given.changed(attributes=attributes)
