"""Localization: whether attributions lie on the pixels that show the class.

Localization needs a data set with masks, such as ``shapes``. In other data sets, it is unknown
which pixels an explanation should highlight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from xnas_tf.errors import InputError
from xnas_tf.objectives.attribution_quality import Explained, MapQuality, Values
from xnas_tf.objectives.base import Direction, Subject

if TYPE_CHECKING:
    from xnas_tf.data import Dataset


class Localization(MapQuality):
    """A metric that compares maps with masks; ``chance`` is an uninformative map's value."""

    metric: ClassVar[str]
    """Name of the metric in ``xnas_tf.attribution.metrics``."""
    direction: Direction = "maximize"

    def check_dataset(self, dataset: Dataset) -> None:
        """See ``Objective.check_dataset``."""
        if dataset.validation.masks is None:
            raise InputError(
                f"{self.name} needs masks, which data set {dataset.name!r} does not "
                "have; allowed: shapes, npz:FILE with an array masks, or a function that returns "
                "a Source with masks"
            )

    def _measure_maps(self, explained: Explained, subject: Subject) -> Values:
        from xnas_tf.attribution import metrics

        masks = subject.masks
        if masks is None:  # checked before a search, but not by others who score a model
            raise InputError(f"{self.name} needs masks, which the subject lacks")
        values = getattr(metrics, self.metric)(explained.maps, masks)
        return {"": values, "chance": masks.mean(axis=(1, 2))}


class MaskMass(Localization):
    """Share of the positive attribution that lies inside the object's mask.

    The value is in [0, 1]; higher is better. Chance is the mask's share of the image, which is
    recorded as `mask_mass/chance`. The value is the relevance mass accuracy of Arras et al. 2022
    (arXiv 2003.07258).
    """

    metric: ClassVar[str] = "attribution_mass"
    name: Literal["mask_mass"] = "mask_mass"


class PointingGame(Localization):
    """Share of images whose largest attribution lies inside the object's mask.

    The value is in [0, 1]; higher is better. Chance is the mask's share of the image, which is
    recorded as `pointing_game/chance` (Zhang et al. 2018, arXiv 1608.00507, but without their
    tolerance).
    """

    metric: ClassVar[str] = "pointing_game"
    name: Literal["pointing_game"] = "pointing_game"
