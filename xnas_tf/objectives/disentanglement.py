"""Disentanglement: how much the classes' paths through a network differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from xnas_tf.errors import InputError
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject

if TYPE_CHECKING:
    from xnas_tf.interpretation.nad.mask_training import MaskTrainingOptions

BATCH = 4
"""Number of images of each class per step, which is small to allow many steps."""
STAGES = 2
"""Number of values of β per epoch. With only one, a cell network kept 99% of its channels instead
of 98%."""
TOLERANCE = 0.02
"""Allowed loss of accuracy on a class's own images, as in ``xnas-tf disentangle``."""


class DisentanglementObjective(Objective):
    """Diversity of class paths, which is one minus their mean similarity; higher is better.

    Paths are masks over channels (NAD, arXiv 2003.13268), which are learned from a few validation
    images while the network is frozen. The similarity is the chance-corrected Jaccard index,
    averaged over layers and class pairs. The value is 0 if all classes use the same channels, 1 if
    paths differ as much as random paths of the same sizes, and at most 2. A full or empty mask
    counts as equal to any other mask, because its overlap is meaningless. A class keeps all
    channels if all of its paths exceed the allowed rate of false alarms, and has no path if none of
    its images is classified correctly. Classes that keep all channels or have no path count as
    equal to any other class. This objective is a quick estimate, whereas `xnas-tf disentangle` uses
    the entire training split. Diversity as defined in the paper is also recorded; it is not
    corrected for
    chance and therefore favours small masks. False alarms (the share of other classes' images that
    a path assigns to its class), the share of kept channels, the number of classes that keep all
    channels, the number of classes with a correctly classified image, and the diversity of each
    layer are recorded as well.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 2.0
    name: Literal["disentanglement"] = "disentanglement"
    direction: Direction = "maximize"
    images: int = Field(128, ge=2, description="maximum number of validation images")
    epochs: int = Field(6, ge=1, description="number of passes over the images")
    beta: float = Field(
        2.0,
        ge=0,
        description="final weight of sparsity, which starts at a hundredth of this value; "
        "published values are 0.02 to 5",
    )
    false_alarms: float = Field(
        0.1,
        ge=0,
        le=1,
        description="largest share of other classes' images that a path may mistake for its class",
    )
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="names or patterns of the layers that get masks; by default the last layer of "
        "each block",
    )
    seed: int = Field(0, ge=0, description="seed for the order of the images")

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; gradients are summed over the ranks before each step."""
        from xnas_tf.interpretation.nad.gated_network import MaskedNetwork
        from xnas_tf.interpretation.nad.mask_training import Images, false_alarms, learn
        from xnas_tf.interpretation.nad.metrics import mean_of_pairs

        ranks = subject.communicator
        subject = subject.first(self.images)
        images, labels = subject.images, subject.gathered(subject.labels)
        is_right = subject.gathered(subject.predicted == subject.labels) > 0
        classes = np.unique(labels[is_right])
        count = {f"{self.name}/classes": float(len(classes))}
        if len(classes) < 2:
            problem = "fewer than two classes have correctly classified images"
            return ObjectiveValue(0.0, count, f"{self.name}: {problem}")
        if not len(images):  # on one of many ranks: add an image that is never used
            images = np.zeros((1, *images.shape[1:]), np.uint8)
        network = MaskedNetwork(subject.model, images, self.layers)
        labelled = Images(images, labels, is_right, ranks)
        try:
            paths = learn(network, labelled, classes, self.mask_options())
        except InputError as error:
            return ObjectiveValue(float("nan"), {}, f"{self.name}: {error}")
        metrics = {
            f"{self.name}/{layer}": 1 - mean_of_pairs(similarity)
            for layer, similarity in zip(paths.layers, paths.layer_similarity, strict=True)
        }
        alarms = false_alarms(network, labelled, classes, paths.hard)
        metrics |= {
            f"{self.name}/uncorrected": paths.uncorrected_diversity,
            f"{self.name}/false_alarms": float(alarms.mean()),
            f"{self.name}/kept": float(paths.share.mean()),
            f"{self.name}/all_kept": float((paths.share == 1).all(axis=0).sum()),
            **count,
        }
        return ObjectiveValue(paths.diversity * _share_of_pairs(classes, labels), metrics)

    def mask_options(self) -> MaskTrainingOptions:
        """Return options for training with increasing β, where classes keep the sparsest masks."""
        from xnas_tf.interpretation.nad.mask_training import MaskTrainingOptions

        stages = self.beta * np.geomspace(0.01, 1, STAGES * self.epochs)
        return MaskTrainingOptions(
            "auto",
            self.epochs,
            BATCH,
            tolerance=TOLERANCE,
            false_alarms=self.false_alarms,
            seed=self.seed,
            stages=tuple(stages),
        )


def _share_of_pairs(classes: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of class pairs in which both classes have a path."""
    present = len(np.unique(labels))
    return len(classes) * (len(classes) - 1) / (present * (present - 1))
