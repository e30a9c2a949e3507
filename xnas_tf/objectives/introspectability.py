"""Introspectability: how differently a network represents different classes.

Carmichael, Moon & Jacobs (arXiv 2112.08645) define introspectability as one minus the cosine
between two predicted classes' mean representations, averaged over class pairs. By default, the
estimate is corrected for its small-sample bias, and classes that are never predicted are included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from xnas_tf.attribution import ATTRIBUTIONS, method_with_steps
from xnas_tf.errors import InputError, NotApplicable, suggest
from xnas_tf.objectives.base import Direction, Objective, ObjectiveValue, Subject
from xnas_tf.objectives.class_distance import (
    ChosenImages,
    ClassMeans,
    ClassPairs,
    MissingClasses,
    Weighting,
)
from xnas_tf.objectives.class_gram import ClassSums, Estimator, Normalize, mean_gram
from xnas_tf.objectives.class_resampling import (
    balanced_choice,
    resampled_sums,
    resampling_weights,
    standard_error,
)
from xnas_tf.objectives.similarity import (
    WORDNET,
    class_weights,
    read_class_weights,
    similarity_notes,
)
from xnas_tf.utils.options import problems

if TYPE_CHECKING:
    import keras

    from xnas_tf.attribution.activations import LayerActivations
    from xnas_tf.attribution.base import AttributionMethod
    from xnas_tf.distributed import Communicator

Computed = dict[tuple[Any, ...], "list[LayerActivations]"]
"""Layers of representations that were computed for a candidate, by what they depend on."""
ACTIVATIONS = "activations"
FLOAT_BYTES = 2**30
"""Memory for the images that are explained together."""
LEAST_IMAGES, IMAGES_A_CLASS = 128, 10
"""Default minimum numbers of images, in total and per class. The number per class is at least twice
``min_images``, because a network doesn't predict all classes equally often."""


class Introspectability(Objective):
    """Mean distance between class-mean representations, from 0 to 2; higher is better.

    The representation is an attribution map over the input (``grad_cam``, ``integrated_gradients``
    or any other method) or the concatenated outputs of all convolution and activation layers
    (``activations``, as in the XNAS paper). The value is a weighted mean over the sources, each of
    which is recorded as ``introspectability/SOURCE``. For ``activations``, the value of each layer
    is also recorded. Standard errors, estimated by resampling the images, are recorded as well;
    they measure how much the value varies with the images, not how much it varies from one training
    run to the next.

    The default estimate corrects the bias of few images and may be slightly negative. Values that
    are within two standard errors of 0 cannot be told from 0. ``estimator: plain``,
    ``missing_classes: ignore`` and ``min_images: 1`` give the paper's formula; add ``weighting:
    paper`` to weight the pairs.
    """

    lowest: ClassVar[float] = 0.0
    highest: ClassVar[float] = 2.0
    name: Literal["introspectability"] = "introspectability"
    direction: Direction = "maximize"
    sources: dict[str, float] = Field(
        {"grad_cam": 1.0, "integrated_gradients": 1.0},
        min_length=1,
        description="list of sources, or a weight for each source. `activations` and attributions "
        "may rank networks in opposite ways; see docs/explanation/introspectability.md",
    )
    images: int | None = Field(
        None,
        ge=2,
        description="maximum number of validation images, balanced over the classes if possible; "
        "by default 10 per class, or twice `min_images` if that is more, and at least 128 in total",
    )
    estimator: Estimator = Field(
        "unbiased",
        description="`unbiased`, or `plain` as in the paper; the bias of `plain` increases as the "
        "number of images decreases",
    )
    missing_classes: MissingClasses = Field(
        "zero",
        description="`zero`: a pair with a missing class has the distance 0; `ignore`: the pair "
        "is excluded, as in the paper",
    )
    min_images: int = Field(
        5,
        ge=1,
        description="minimum number of images of a class; a class with fewer is missing. If the "
        "validation split is smaller than `images`, the minimum is at most half of an equal share",
    )
    steps: int = Field(8, ge=1, description="number of steps of integrated gradients")
    group_by: Literal["predicted", "true"] = Field(
        "predicted", description="whether images are grouped by their predicted or true class"
    )
    normalize: Normalize = Field(
        "none", description="`layer` gives all layers the same weight; `none` is as in the paper"
    )
    layers: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="names or patterns of the layers that `activations` uses, such as `stack3*`; "
        "by default, all of them",
    )
    similarity: str | None = Field(
        None,
        description="weights of class pairs: a CSV file with a matrix, or `wordnet` for the "
        "path similarity of the class names, which must be nouns or ImageNet ids",
    )
    weighting: Weighting = Field(
        "normalized",
        description="how `similarity` weights the distances: `normalized` computes their weighted "
        "mean; `paper` computes the plain mean of distance × similarity, which scales "
        "with the similarity",
    )
    bootstrap: int = Field(100, ge=2, description="number of resamples for the standard error")
    variants: dict[str, dict[str, Any]] = Field(
        {},
        description="further definitions to record, each with a name and the options in which it "
        "differs, such as `{plain: {estimator: plain}}`, recorded as `introspectability/plain`",
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _as_mapping(cls, sources: Any) -> Any:
        """Convert a list of names to a mapping that gives them equal weights."""
        if not isinstance(sources, (list, tuple)):
            return sources
        if len(set(map(str, sources))) < len(sources):
            raise ValueError(f"the same source is given twice: {', '.join(map(str, sources))}")
        return dict.fromkeys(sources, 1.0)

    @field_validator("sources")
    @classmethod
    def _validate_sources(cls, sources: dict[str, float]) -> dict[str, float]:
        allowed = [ACTIVATIONS, *ATTRIBUTIONS.names()]
        for source, weight in sources.items():
            if source not in allowed and ":" not in source:
                raise ValueError(f"unknown source {suggest(source, allowed)}")
            if weight <= 0:
                raise ValueError(f"the weight of {source} is {weight}; allowed: more than 0")
        return sources

    @model_validator(mode="after")
    def _validate_options(self) -> Introspectability:
        if ACTIVATIONS not in self.sources and (self.layers or self.normalize != "none"):
            raise ValueError(f"layers and normalize are for the source {ACTIVATIONS} only")
        if self.weighting != "normalized" and self.similarity is None:
            raise ValueError(
                f"given weighting {self.weighting}, which has no effect without similarity; "
                "allowed: similarity: wordnet or a CSV file, or no weighting"
            )
        if self.estimator == "unbiased" and self.min_images < 2:
            raise ValueError(
                f"given min_images {self.min_images}; allowed: at least 2, because a single image "
                "shows no variance within its class, or estimator: plain"
            )
        for name in self.variants:
            try:
                self._variant(name)
            except ValidationError as error:
                found = problems(error, Introspectability)
                texts = "; ".join(text.removeprefix(": ") for text in found)
                raise ValueError(f"variants.{name}: {texts}") from None
        return self

    @field_validator("variants")
    @classmethod
    def _validate_names(cls, variants: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        taken = [ACTIVATIONS, *ATTRIBUTIONS.names(), "groups", "standard_error"]
        for name, options in variants.items():
            if not name or name in taken or "/" in name:
                raise ValueError(f"given the name {name!r}; allowed: no source, and no '/'")
            if fixed := {"variants", "name", "direction"} & set(options):
                raise ValueError(f"{name} changes {min(fixed)}, which a variant cannot")
        return variants

    def _variant(self, name: str) -> Introspectability:
        options = {**self.model_dump(exclude={"variants"}), **self.variants[name]}
        return Introspectability.model_validate(options)

    @property
    def definitions(self) -> list[Introspectability]:
        """This objective's definition, followed by its variants."""
        return [self, *map(self._variant, self.variants)]

    @property
    def parts(self) -> list[str]:
        """Each source's value if there are several sources, because the mean may hide conflicts."""
        return [f"{self.name}/{source}" for source in self.sources] if len(self.sources) > 1 else []

    @property
    def input_files(self) -> list[str]:
        """See ``Objective.input_files``."""
        sources = dict.fromkeys(each.similarity for each in self.definitions)
        return [source for source in sources if source not in (None, WORDNET)]

    @property
    def used_methods(self) -> list[str]:
        """See ``Objective.used_methods``."""
        sources = (source for each in self.definitions for source in each.sources)
        return [source for source in dict.fromkeys(sources) if source != ACTIVATIONS]

    def check(self, class_names: tuple[str, ...]) -> None:
        """See ``Objective.check``."""
        super().check(class_names)
        for name in self.variants:
            self._variant(name).check(class_names)
        read_class_weights(self.similarity, class_names)
        needed = self.min_images * len(class_names)
        if self.missing_classes == "zero" and self.max_images(len(class_names)) < needed:
            raise InputError(
                f"objectives: introspectability: images: given {self.images}; allowed: at least "
                f"{needed}, min_images ({self.min_images}) for each of {len(class_names)} classes, "
                "or a class is always missing and its pairs count as 0; or missing_classes: ignore"
            )

    def notes(self, class_names: tuple[str, ...]) -> list[str]:
        """See ``Objective.notes``."""
        return similarity_notes(self.similarity, class_names)

    def check_model(self, model: keras.Model) -> None:
        """See ``Objective.check_model``."""
        for source in self.used_methods:
            method_with_steps(source, self.steps).check_model(model)

    def max_images(self, classes: int) -> int:
        """Return the maximum number of validation images to use."""
        return self.images or max(LEAST_IMAGES, max(IMAGES_A_CLASS, 2 * self.min_images) * classes)

    def score(self, subject: Subject) -> ObjectiveValue:
        """See ``Objective.score``; class sums are summed over the ranks."""
        return self.score_with({}, subject)

    def score_with(self, computed: Computed, subject: Subject) -> ObjectiveValue:
        """Score a candidate, reusing representations that were already computed."""
        names, chosen = subject.class_names, self._chosen(subject)
        pairs = chosen.pairs
        reasons = pairs.missing_reasons(names, self.group_by == "predicted")
        metrics: dict[str, float] = {}
        replicates = []
        for source in self.sources:
            means = self._class_means(source, subject, chosen, computed)
            metrics[f"{self.name}/{source}"] = means.value
            reasons += [f"{source}: {why}" for why in pairs.degenerate_reasons(means.gram, names)]
            if source == ACTIVATIONS:
                for layer, total in zip(means.layers, means.totals, strict=True):
                    gram = mean_gram([total], "none", self.estimator)
                    key = f"{self.name}/{source}/{layer.name}"
                    metrics[key] = float(pairs.mean_distance(gram))
            replicates.append(self._resampled_values(means, subject.communicator))
            metrics[f"{self.name}/{source}/standard_error"] = standard_error(replicates[-1])
        metrics[f"{self.name}/groups"] = float(np.count_nonzero(pairs.present))
        for name in self.variants:
            metrics |= self._variant_metrics(name, subject, computed)
        weights = np.array(list(self.sources.values())) / sum(self.sources.values())
        value = weights @ [metrics[f"{self.name}/{source}"] for source in self.sources]
        metrics[f"{self.name}/standard_error"] = standard_error(weights @ np.stack(replicates))
        return ObjectiveValue(float(value), metrics, "; ".join(dict.fromkeys(reasons)))

    def _variant_metrics(self, name: str, subject: Subject, computed: Computed) -> dict[str, float]:
        """Return a variant's values by name, excluding values of single layers."""
        prefix, variant = f"{self.name}/{name}", self._variant(name)
        score = variant.score_with(computed, subject)
        errors = [f"{source}/standard_error" for source in variant.sources]
        kept = [*variant.sources, *errors, "standard_error"]
        values = {f"{prefix}/{key}": score.metrics[f"{self.name}/{key}"] for key in kept}
        return {prefix: score.value, **values}

    def class_means(self, subject: Subject) -> Iterator[ClassMeans]:
        """Compute the class means behind the score for each source that applies to the model."""
        chosen = self._chosen(subject)
        for source in self.sources:
            with suppress(NotApplicable):
                yield self._class_means(source, subject, chosen, {})

    def _chosen(self, subject: Subject) -> ChosenImages:
        """Choose images and weights, independently of the number of ranks."""
        ranks = subject.communicator
        own = subject.predicted if self.group_by == "predicted" else subject.labels
        groups = subject.gathered(own)
        rows = balanced_choice(groups, self.max_images(subject.classes))
        weights = resampling_weights(groups[rows], self.bootstrap)
        pairs = ClassPairs(
            np.bincount(groups[rows], minlength=subject.classes).astype(float),
            self._required_images(len(groups), subject.classes),
            self.missing_classes,
            class_weights(self.similarity, subject.class_names),
            self.weighting,
        )
        is_mine = rows % ranks.size == ranks.rank
        mine = rows[is_mine] // ranks.size
        return ChosenImages(subject.images[mine], own[mine], weights[:, is_mine], pairs)

    def _required_images(self, available: int, classes: int) -> int:
        """Return the minimum number of images per class.

        The minimum is below ``min_images`` only if the validation split is so small that many
        classes would be missing for any network.
        """
        if available >= self.max_images(classes):
            return self.min_images
        least = 2 if self.estimator == "unbiased" else 1
        return min(self.min_images, max(least, available // (2 * classes)))

    def _class_means(
        self, source: str, subject: Subject, chosen: ChosenImages, computed: Computed
    ) -> ClassMeans:
        key = (source, self.group_by, self.images, self.min_images, self.steps, self.layers)
        if key not in computed:
            computed[key] = self._layers(source, subject, chosen)
        layers = computed[key]
        sums = subject.communicator.sum(*(layer.sums for layer in layers))
        squares = subject.communicator.sum(*(layer.squares for layer in layers))
        counts = chosen.pairs.counts * chosen.pairs.present
        totals = []
        for layer_sums, squared_norms in zip(sums, squares, strict=True):
            exact = layer_sums.astype(np.float64)
            totals.append(ClassSums(exact @ exact.T, squared_norms, counts, counts))
        gram = mean_gram(totals, self.normalize, self.estimator)
        return ClassMeans(source, layers, sums, chosen, totals, gram)

    def _resampled_values(self, means: ClassMeans, communicator: Communicator) -> np.ndarray:
        """Return a source's values for resampled images, (resamples,)."""
        pairs = means.chosen.pairs
        blocks = resampled_sums(
            [layer.samples for layer in means.layers],
            (np.eye(len(pairs.counts)) * pairs.present)[means.chosen.groups],
            means.chosen.resamples,
            communicator,
        )

        def values(sums: list[ClassSums]) -> np.ndarray:
            return pairs.mean_distance(mean_gram(sums, self.normalize, self.estimator))

        # Unlike the variable of a loop, ``map`` keeps no block while the next one is computed.
        return np.concatenate([*map(values, blocks)])

    def _layers(
        self, source: str, subject: Subject, chosen: ChosenImages
    ) -> list[LayerActivations]:
        """Return this rank's layers of a representation; an attribution map counts as one layer."""
        from xnas_tf.attribution.activations import LayerActivations, class_activations
        from xnas_tf.keras_tools.preprocessing import to_model_input

        images, groups = chosen.images, chosen.groups
        if source == ACTIVATIONS:
            return class_activations(subject.model, images, subject.classes, groups, self.layers)
        method = method_with_steps(source, self.steps)
        model = subject.shared_models.get(method, subject.model)
        size = _images_at_once(method, images.shape)
        starts = range(0, max(1, len(images)), size)
        maps = np.concatenate(
            [
                method(model, to_model_input(images[i : i + size]), groups[i : i + size])
                for i in starts
            ]
        )
        rows = maps.reshape(len(maps), math.prod(maps.shape[1:])).astype(np.float64)
        members = np.eye(subject.classes)[groups].T
        squares = members @ np.square(rows).sum(axis=1)
        return [LayerActivations(source, members @ rows, squares, rows)]


def _images_at_once(method: AttributionMethod, shape: tuple[int, ...]) -> int:
    """Return the number of images to convert to float32 at a time, a multiple of a batch.

    All images of 1,000 classes, 10 for each, need 6 GB if they have 224x224 pixels.
    """
    batch = method.batch_size_for(shape)
    return batch * max(1, FLOAT_BYTES // (4 * math.prod(shape[1:])) // batch)


def introspectability_methods(measures: Sequence[Objective]) -> list[AttributionMethod]:
    """Return the attribution methods used by introspectability objectives, with their options."""
    methods = (
        method_with_steps(source, definition.steps)
        for each in measures
        if isinstance(each, Introspectability)
        for definition in each.definitions
        for source in definition.sources
        if source != ACTIVATIONS
    )
    return list(dict.fromkeys(methods))
