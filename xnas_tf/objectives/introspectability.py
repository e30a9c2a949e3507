"""Introspectability: how differently a network represents different classes.

Carmichael, Moon & Jacobs, arXiv 2112.08645: with the mean representation of each predicted
class, the mean over class pairs of one minus the cosine of their angle.
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
from xnas_tf.errors import suggest
from xnas_tf.objectives.base import Objective, Score, Subject
from xnas_tf.objectives.class_distance import (
    distance_of,
    mean_gram,
    resampled_distances,
    what_is_degenerate,
)
from xnas_tf.objectives.similarity import class_weights

ACTIVATIONS = "activations"


@dataclass(frozen=True)
class Layer:
    """A part of a representation: all of an attribution map, or one layer's activations.

    Attributes:
        name: The source's or layer's name.
        sums: Sums over this rank's images of each class, (classes, D).
        rows: This rank's images, (N, d): all of them, or samples.
    """

    name: str
    sums: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class ClassMeans:
    """What one source says of the classes, over all ranks.

    Attributes:
        source: The source.
        layers: This rank's parts of the representation.
        sums: Sums over the images of each class, (classes, D) a layer.
        counts: Images of each class, (classes,).
        grams: Inner products of the class sums, (classes, classes) a layer.
        gram: Inner products of the class means of the whole, (classes, classes).
    """

    source: str
    layers: list[Layer]
    sums: list[np.ndarray]
    counts: np.ndarray
    grams: list[np.ndarray]
    gram: np.ndarray


class Introspectability(Objective):
    """Mean distance of the class-mean representations, in [0, 2]; more is better.

    The representation is an attribution map over the input (``grad_cam``,
    ``integrated_gradients`` or any other method) or the concatenated outputs of all
    convolution and activation layers (``activations``, the XNAS paper's). Of several sources
    the weighted mean is taken, and each is recorded as ``introspectability/SOURCE``. A
    standard error, by bootstrap over the images, is recorded for all of them, and each
    layer's own value for the activations.
    """

    name: Literal["introspectability"] = "introspectability"
    direction: Literal["minimize", "maximize"] = "maximize"
    sources: dict[str, float] = Field(
        {"grad_cam": 1.0, "integrated_gradients": 1.0},
        min_length=1,
        description="a list of sources, or each source's weight",
    )
    images: int = Field(128, ge=2, description="validation images looked at, at most")
    steps: int = Field(8, ge=1, description="of integrated gradients")
    group_by: Literal["predicted", "true"] = Field("predicted", description="class of an image")
    normalize: Literal["none", "layer"] = Field(
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
        return self

    @property
    def parts(self) -> list[str]:
        """Each source's value where there are several: their mean may hide that they disagree."""
        return [f"{self.name}/{source}" for source in self.sources] if len(self.sources) > 1 else []

    def check(self, class_names: tuple[str, ...]) -> None:
        """See ``Objective.check``."""
        class_weights(self.similarity, class_names)
        for source in self.sources:
            if source != ACTIVATIONS:
                attribution_method(source)

    def score(self, subject: Subject) -> Score:
        """See ``Objective.score``; class sums are added up over the ranks, then compared."""
        communicator = subject.communicator
        images, groups = self._grouped(subject)
        members = np.eye(subject.classes)[groups]
        (counts,) = communicator.sum(members.sum(axis=0))
        weights = class_weights(self.similarity, subject.class_names)
        resamples = _own_share(self.bootstrap, int(counts.sum()), len(images), communicator)
        metrics, replicates, reasons = {}, [], []
        for source in self.sources:
            means = self._class_means(source, subject, images, groups, counts)
            metrics[f"{self.name}/{source}"] = distance_of(means.gram, counts, weights)
            reasons += what_is_degenerate(source, means.gram, counts, subject.class_names)
            if source == ACTIVATIONS:
                for layer, own in zip(means.layers, means.grams, strict=True):
                    key = f"{self.name}/{source}/{layer.name}"
                    metrics[key] = distance_of(own, counts, weights)
            rows = [layer.rows for layer in means.layers]
            replicates.append(
                resampled_distances(rows, members, resamples, communicator, self.normalize, weights)
            )
        return self._combined(metrics, replicates, reasons, counts)

    def class_means(self, subject: Subject) -> Iterator[ClassMeans]:
        """What the score is made of, source by source."""
        images, groups = self._grouped(subject)
        (counts,) = subject.communicator.sum(np.eye(subject.classes)[groups].sum(axis=0))
        for source in self.sources:
            yield self._class_means(source, subject, images, groups, counts)

    def _grouped(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """This rank's share of the images looked at, and the class that each counts for."""
        share = len(range(subject.communicator.rank, self.images, subject.communicator.size))
        groups = subject.predicted if self.group_by == "predicted" else subject.labels
        return subject.images[:share], groups[:share]

    def _class_means(
        self,
        source: str,
        subject: Subject,
        images: np.ndarray,
        groups: np.ndarray,
        counts: np.ndarray,
    ) -> ClassMeans:
        layers = self._layers(source, subject, images, groups)
        sums = subject.communicator.sum(*(layer.sums for layer in layers))
        grams = [_gram(each) for each in sums]
        gram = sum(mean_gram(each, counts, self.normalize) for each in grams)
        return ClassMeans(source, layers, sums, counts, grams, gram)

    def _combined(
        self,
        metrics: dict[str, float],
        replicates: list[np.ndarray],
        reasons: list[str],
        counts: np.ndarray,
    ) -> Score:
        """The weighted mean over the sources, with its standard error."""
        shares = np.array(list(self.sources.values())) / sum(self.sources.values())
        values = [metrics[f"{self.name}/{source}"] for source in self.sources]
        for source, spread in zip(self.sources, replicates, strict=True):
            metrics[f"{self.name}/{source}/standard_error"] = float(np.std(spread, ddof=1))
        together = np.std(shares @ np.stack(replicates), ddof=1)
        metrics[f"{self.name}/standard_error"] = float(together)
        metrics[f"{self.name}/groups"] = float(np.count_nonzero(counts))
        return Score(float(shares @ values), metrics, "; ".join(dict.fromkeys(reasons)))

    def _layers(
        self, source: str, subject: Subject, images: np.ndarray, groups: np.ndarray
    ) -> list[Layer]:
        """This rank's part of a representation."""
        if source == ACTIVATIONS:
            from xnas_tf.attribution.activations import class_activations

            found = class_activations(subject.model, images, subject.classes, groups, self.layers)
            return [Layer(each.name, each.sums, each.samples) for each in found]
        from xnas_tf.data.preprocessing import to_model_input

        method = self._method(source)
        model = subject.stand_ins.get(method, subject.model)
        maps = method(model, to_model_input(images), groups)
        rows = maps.reshape(len(maps), math.prod(maps.shape[1:])).astype(np.float64)
        return [Layer(source, np.eye(subject.classes)[groups].T @ rows, rows)]

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


def _own_share(count: int, total: int, share: int, communicator: Any) -> np.ndarray:
    """Poisson weights (count, share) of this rank's images: the bootstrap that needs no
    exchange of images, the same for any number of ranks (Chamandy et al. 2012)."""
    weights = np.random.default_rng(0).poisson(1.0, (count, total))
    return weights[:, communicator.rank :: communicator.size][:, :share].astype(np.float64)
