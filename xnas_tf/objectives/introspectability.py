"""Introspectability: how differently a network represents different classes.

Carmichael, Moon & Jacobs, arXiv 2112.08645: with the mean representation of each predicted
class, the mean over class pairs of one minus the cosine of their angle. By default their formula
is estimated without its bias for few images, and classes that are never predicted count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from xnas_tf.attribution import ATTRIBUTIONS, attribution_method
from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives.base import Objective, ObjectiveValue, Subject
from xnas_tf.objectives.class_distance import ClassPairs, MissingClasses, what_is_degenerate
from xnas_tf.objectives.class_gram import ClassSums, Estimator, Normalize, mean_gram
from xnas_tf.objectives.class_resampling import (
    resampled_grams,
    resampling_weights,
    standard_error,
)
from xnas_tf.objectives.image_choice import balanced_choice, groups_of_all
from xnas_tf.objectives.similarity import class_weights

ACTIVATIONS = "activations"
LEAST_IMAGES, IMAGES_A_CLASS = 128, 10
"""Images looked at unless told otherwise, at least: in all, and a class; or twice what a class
needs, as a network doesn't predict all classes equally often."""


@dataclass(frozen=True)
class Layer:
    """A part of a representation: all of an attribution map, or one layer's activations.

    Attributes:
        name: The source's or layer's name.
        sums: Sums over this rank's images of each class, (classes, D).
        squares: Sums of their square lengths, (classes,).
        rows: This rank's images, (N, d): all of them, or samples.
    """

    name: str
    sums: np.ndarray
    squares: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class ChosenSource:
    """The images looked at, and how their classes are compared.

    Attributes:
        images: This rank's, (N, H, W, C).
        groups: The class that each counts for, (N,).
        members: 1 where an image is of a class that counts, (N, classes).
        resamples: Each resample's weights of the images, (resamples, N).
        pairs: The pairs of classes, with the images of each over all ranks.
    """

    images: np.ndarray
    groups: np.ndarray
    members: np.ndarray
    resamples: np.ndarray
    pairs: ClassPairs


@dataclass(frozen=True)
class ClassMeans:
    """What one source says of the classes, over all ranks.

    Attributes:
        source: The source.
        layers: This rank's parts of the representation.
        sums: Sums over the images of each class, (classes, D) a layer.
        chosen: This rank's images, and the pairs of classes.
        grams: Inner products of each layer's class means alone, (classes, classes).
        gram: Those of the whole, (classes, classes); see ``mean_gram``.
    """

    source: str
    layers: list[Layer]
    sums: list[np.ndarray]
    chosen: ChosenSource
    grams: list[np.ndarray]
    gram: np.ndarray

    @property
    def distances(self) -> np.ndarray:
        """Distances of the class means, (classes, classes); 0 for missing classes."""
        return self.chosen.pairs.distances(self.gram)

    @property
    def value(self) -> float:
        """Their mean, which is the source's value."""
        return float(self.chosen.pairs.mean_distance(self.gram))


class Introspectability(Objective):
    """Mean distance of the class-mean representations, from 0 to 2; more is better.

    The representation is an attribution map over the input (``grad_cam``,
    ``integrated_gradients`` or any other method) or the concatenated outputs of all
    convolution and activation layers (``activations``, the XNAS paper's). Of several sources
    the weighted mean is taken, and each is recorded as ``introspectability/SOURCE``. A
    standard error, by resampling the images, is recorded for all of them, and each
    layer's own value for the activations. It says how much other images would change the value,
    not how much another training would.

    The estimate is free of the bias that few images give, so a value of 0 is estimated as 0 on
    average, sometimes a little below. ``estimator: plain``, ``missing_classes: ignore`` and
    ``min_images: 1`` are the paper's formula.
    """

    name: Literal["introspectability"] = "introspectability"
    direction: Literal["minimize", "maximize"] = "maximize"
    sources: dict[str, float] = Field(
        {"grad_cam": 1.0, "integrated_gradients": 1.0},
        min_length=1,
        description="a list of sources, or each source's weight; `activations` and attributions "
        "rank networks in opposite ways: docs/introspectability.md",
    )
    images: int | None = Field(
        None,
        ge=2,
        description="validation images looked at, at most, as many of each class as there are; "
        "not given: 10 a class, or twice min_images if that is more, at least 128",
    )
    estimator: Estimator = Field(
        "unbiased",
        description="`unbiased`: as on average with any number of images; `plain`: the paper's, "
        "higher the fewer there are",
    )
    missing_classes: MissingClasses = Field(
        "zero",
        description="a pair with a class that is not predicted counts as distance 0, or as in "
        "the paper is left out (`ignore`)",
    )
    min_images: int = Field(
        5,
        ge=1,
        description="images that a class needs; with fewer it is missing. Of a validation part "
        "smaller than `images`, half of an equal share if that is less",
    )
    steps: int = Field(8, ge=1, description="of integrated gradients")
    group_by: Literal["predicted", "true"] = Field("predicted", description="class of an image")
    normalize: Normalize = Field(
        "none", description="`layer`: every layer counts the same; `none`: as in the paper"
    )
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="layers of `activations`, names or patterns such as `stack3*`; else all",
    )
    similarity: str | None = Field(
        None, description="weights of class pairs: a CSV file with a matrix, or `wordnet`"
    )
    bootstrap: int = Field(100, ge=2, description="resamples for the standard error")

    @field_validator("sources", mode="before")
    @classmethod
    def _listed(cls, sources: Any) -> Any:
        """A list of names is a mapping with equal weights."""
        if not isinstance(sources, (list, tuple)):
            return sources
        if len(set(map(str, sources))) < len(sources):
            raise ValueError(f"the same source is given twice: {', '.join(map(str, sources))}")
        return dict.fromkeys(sources, 1.0)

    @field_validator("sources")
    @classmethod
    def _known(cls, sources: dict[str, float]) -> dict[str, float]:
        allowed = [ACTIVATIONS, *ATTRIBUTIONS.names()]
        for source, weight in sources.items():
            if source not in allowed and ":" not in source:
                raise ValueError(f"unknown source {suggest(source, allowed)}")
            if not 0 < weight < float("inf"):
                raise ValueError(f"the weight of {source} is {weight}; allowed: more than 0")
        return sources

    @model_validator(mode="after")
    def _used(self) -> Introspectability:
        if ACTIVATIONS not in self.sources and (self.layers or self.normalize != "none"):
            raise ValueError(f"layers and normalize are for the source {ACTIVATIONS} only")
        if self.estimator == "unbiased" and self.min_images < 2:
            raise ValueError(
                f"given min_images {self.min_images}; allowed: at least 2, because one image "
                "shows no variance within its class, or estimator: plain"
            )
        return self

    @property
    def parts(self) -> list[str]:
        """Each source's value where there are several: their mean may hide that they disagree."""
        return [f"{self.name}/{source}" for source in self.sources] if len(self.sources) > 1 else []

    def check(self, class_names: tuple[str, ...]) -> None:
        """See ``Objective.check``."""
        class_weights(self.similarity, class_names)
        needed = self.min_images * len(class_names)
        if self.missing_classes == "zero" and self.looked_at(len(class_names)) < needed:
            raise InputError(
                f"objectives: introspectability: images: given {self.images}; allowed: at least "
                f"{needed}, min_images ({self.min_images}) for each of {len(class_names)} classes, "
                "or a class is always missing and its pairs count as 0; or missing_classes: ignore"
            )
        for source in self.sources:
            if source != ACTIVATIONS:
                attribution_method(source)

    def looked_at(self, classes: int) -> int:
        """Validation images looked at, at most.

        Args:
            classes: Number of classes.
        """
        return self.images or max(LEAST_IMAGES, max(IMAGES_A_CLASS, 2 * self.min_images) * classes)

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; class sums are added up over the ranks, then compared."""
        names, chosen = subject.class_names, self._chosen(subject)
        pairs, reasons = chosen.pairs, chosen.pairs.what_is_missing(names)
        metrics, replicates = {}, []
        for source in self.sources:
            means = self._class_means(source, subject, chosen)
            metrics[f"{self.name}/{source}"] = means.value
            reasons += what_is_degenerate(source, means.gram, names, pairs.present)
            if source == ACTIVATIONS:
                for layer, own in zip(means.layers, means.grams, strict=True):
                    key = f"{self.name}/{source}/{layer.name}"
                    metrics[key] = float(pairs.mean_distance(own))
            grams = resampled_grams(
                [layer.rows for layer in means.layers],
                chosen.members,
                chosen.resamples,
                subject.communicator,
                self.normalize,
                self.estimator,
            )
            replicates.append(pairs.mean_distance(grams))
        metrics[f"{self.name}/groups"] = float(np.count_nonzero(pairs.present))
        return self._combined(metrics, replicates, reasons)

    def class_means(self, subject: Subject) -> Iterator[ClassMeans]:
        """What the score is made of, source by source."""
        chosen = self._chosen(subject)
        for source in self.sources:
            yield self._class_means(source, subject, chosen)

    def _chosen(self, subject: Subject) -> ChosenSource:
        """The images looked at: the same, and weighted the same, for any number of ranks."""
        ranks = subject.communicator
        own = subject.predicted if self.group_by == "predicted" else subject.labels
        groups = groups_of_all(own, ranks)
        rows = balanced_choice(groups, self.looked_at(subject.classes))
        weights = resampling_weights(groups[rows], self.bootstrap)
        counts = np.bincount(groups[rows], minlength=subject.classes).astype(float)
        pairs = ClassPairs(
            counts,
            self._needed(len(groups), subject.classes),
            self.missing_classes,
            class_weights(self.similarity, subject.class_names),
        )
        is_mine = rows % ranks.size == ranks.rank
        mine = rows[is_mine] // ranks.size
        members = (np.eye(subject.classes) * pairs.present)[own[mine]]
        return ChosenSource(subject.images[mine], own[mine], members, weights[:, is_mine], pairs)

    def _needed(self, available: int, classes: int) -> int:
        """Images that a class needs: fewer than ``min_images`` only if the validation part is so
        small that it would be without many classes whatever the network."""
        if available >= self.looked_at(classes):
            return self.min_images
        least = 2 if self.estimator == "unbiased" else 1
        return min(self.min_images, max(least, available // (2 * classes)))

    def _class_means(self, source: str, subject: Subject, chosen: ChosenSource) -> ClassMeans:
        layers = self._layers(source, subject, chosen)
        sums = subject.communicator.sum(*(layer.sums for layer in layers))
        squares = subject.communicator.sum(*(layer.squares for layer in layers))
        counts = chosen.pairs.counts * chosen.pairs.present
        totals = [
            ClassSums(_gram(each), lengths, counts, counts)
            for each, lengths in zip(sums, squares, strict=True)
        ]
        grams = [mean_gram([total], "none", self.estimator) for total in totals]
        gram = mean_gram(totals, self.normalize, self.estimator)
        return ClassMeans(source, layers, sums, chosen, grams, gram)

    def _combined(
        self,
        metrics: dict[str, float],
        replicates: list[np.ndarray],
        reasons: list[str],
    ) -> ObjectiveValue:
        """The weighted mean over the sources, with its standard error."""
        shares = np.array(list(self.sources.values())) / sum(self.sources.values())
        values = [metrics[f"{self.name}/{source}"] for source in self.sources]
        for source, spread in zip(self.sources, replicates, strict=True):
            metrics[f"{self.name}/{source}/standard_error"] = standard_error(spread)
        metrics[f"{self.name}/standard_error"] = standard_error(shares @ np.stack(replicates))
        return ObjectiveValue(float(shares @ values), metrics, "; ".join(dict.fromkeys(reasons)))

    def _layers(self, source: str, subject: Subject, chosen: ChosenSource) -> list[Layer]:
        """This rank's part of a representation."""
        images, groups = chosen.images, chosen.groups
        if source == ACTIVATIONS:
            from xnas_tf.attribution.activations import class_activations

            found = class_activations(subject.model, images, subject.classes, groups, self.layers)
            return [Layer(each.name, each.sums, each.squares, each.samples) for each in found]
        from xnas_tf.keras_tools.preprocessing import to_model_input

        method = self._method(source)
        model = subject.stand_ins.get(method, subject.model)
        maps = method(model, to_model_input(images), groups)
        rows = maps.reshape(len(maps), math.prod(maps.shape[1:])).astype(np.float64)
        members = np.eye(subject.classes)[groups].T
        return [Layer(source, members @ rows, members @ np.square(rows).sum(axis=1), rows)]

    def _method(self, source: str) -> AttributionMethod:
        method = attribution_method(source)
        return method(**({"steps": self.steps} if "steps" in method.model_fields else {}))


def compared_methods(measures: Sequence[Objective]) -> list[AttributionMethod]:
    """The attribution methods whose maps are compared by some of these, with their options."""
    return [
        each._method(source)
        for each in measures
        if isinstance(each, Introspectability)
        for source in each.sources
        if source != ACTIVATIONS
    ]


def _gram(sums: np.ndarray) -> np.ndarray:
    wide = sums.astype(np.float64)
    return wide @ wide.T
