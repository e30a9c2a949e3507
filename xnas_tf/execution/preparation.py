"""Prepares all ranks before the first candidate: loads the data and the search space."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any, TypeVar

import numpy as np

from xnas_tf.config import Config
from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.batches import batching
from xnas_tf.distributed import Communicator
from xnas_tf.errors import InputError, NotApplicable, suggest
from xnas_tf.execution.rank_agreement import (
    check_same_code,
    check_same_images,
    check_same_settings,
    on_all_ranks,
)
from xnas_tf.keras_tools.settings import kept_settings
from xnas_tf.objectives.base import Objective
from xnas_tf.objectives.performance import STANDARD_METRICS, Metric
from xnas_tf.registry import describe
from xnas_tf.spaces.search_space import SearchSpace
from xnas_tf.spaces.variables import decode
from xnas_tf.strategy.enumeration import with_candidates
from xnas_tf.training.compilation import class_weights
from xnas_tf.training.custom_fit import check_own_training
from xnas_tf.training.keras_callbacks import new_callbacks, uncalled_hooks
from xnas_tf.training.metrics import as_floats
from xnas_tf.utils.cache_folder import host_lock
from xnas_tf.utils.progress import log_message
from xnas_tf.utils.randomness import own_generator

T = TypeVar("T")
SAMPLES = 4
"""Number of random models to try if an objective cannot be measured on the default model."""
MOST_LEFT_OUT = 0.1
"""Largest share of the training images that an epoch may leave out without a warning."""


def prepare(config: Config, world: Communicator, size: int) -> tuple[Config, Dataset, SearchSpace]:
    """Load the data and the search space, and check them for groups of ``size`` ranks.

    Returns the configuration with values that depend on the search space, the data set and the
    space.

    Raises:
        InputError: On all ranks, if any input is invalid on any rank; see ``on_all_ranks``.
    """
    check_same_settings(config, world)
    dataset = _load_in_turn(config, world)
    digest = world.broadcast(dataset.digest)

    def create_space() -> tuple[Config, SearchSpace]:
        check_same_images(dataset, digest, world)
        # A user's HyperModel builds its default model on every rank.
        hypermodel = config.space.create(dataset.image_shape, dataset.classes)
        space = SearchSpace(hypermodel, dataset.image_shape, dataset.classes)
        _check_sizes(config, dataset, size)
        _check_training(config, dataset, space, size)
        _check_models(config, space)
        search = with_candidates(config.search, space)
        return config.model_copy(update={"search": search}), space

    completed, space = on_all_ranks(create_space, world)
    check_same_code(completed, space, world)
    return completed, dataset, space


def _load_in_turn(config: Config, world: Communicator) -> Dataset:
    """Load the data on one rank per host first, so that only that rank downloads it."""

    def load() -> Dataset:
        return load_dataset(**config.dataset.model_dump(), log=log_message)

    def load_first() -> Dataset | None:
        if world.local_rank != 0:
            return None
        with host_lock("datasets"):
            return load()

    first = on_all_ranks(load_first, world)
    return on_all_ranks(lambda: first or load(), world)


def _check_sizes(config: Config, dataset: Dataset, size: int) -> None:
    smallest = min(config.training.batch_size, len(dataset.train), len(dataset.validation))
    if smallest < size:
        raise InputError(
            f"in groups of {size} ranks training.batch_size ({config.training.batch_size}), "
            f"the training split ({len(dataset.train)} images) and the validation split "
            f"({len(dataset.validation)}) must have at least one image for each rank"
        )


def ignored_options(config: Config, space: SearchSpace) -> list[str]:
    """Return warnings about options of the optimizer and callback methods that have no effect."""
    training = config.training
    given = {"weight_decay": training.weight_decay, "warmup_epochs": training.warmup_epochs}
    warnings = [
        f"training.{key} has no effect: {space.name} compiles its models with their own optimizer"
        for key, value in given.items()
        if value and space.compiles_default
    ]
    if training.callbacks and not space.has_fit:
        warnings += [
            f"training.callbacks: {hook} is never called, because a search validates its models "
            "itself: use on_epoch_end, whose logs contain the validation metrics"
            for hook in uncalled_hooks(training.callbacks)
        ]
    return warnings


def left_out_images(config: Config, dataset: Dataset, space: SearchSpace) -> list[str]:
    """Return a warning if epochs leave out many images, which do not fill a last batch."""
    images = len(dataset.train)
    size, steps = batching(images, config.training.batch_size)
    if images - size * steps <= MOST_LEFT_OUT * images or space.has_fit:
        return []
    return [
        f"training.batch_size {size}: an epoch has only full batches, so it trains on "
        f"{size * steps} of the {images} training images, and different ones are left out each "
        "time; another batch size may leave out fewer"
    ]


def _check_training(config: Config, dataset: Dataset, space: SearchSpace, size: int) -> None:
    """Check that the HyperModel's own training or its metrics support the configuration."""
    if size > 1 and config.training.jit_compile:
        raise InputError(
            "training.jit_compile must be false in groups of several ranks: XLA would compile the "
            "whole training step, including Horovod's sum of the gradients"
        )
    class_weights(config.training.class_weight, dataset.class_names)
    new_callbacks(config.training.callbacks, "candidate", rank=1)  # rank 1 writes nothing
    if space.has_fit:
        check_own_training(space.name, config.training, len(config.rungs), dataset, size)
    if space.trains_default:  # its training may return any metrics
        return
    known = [*as_floats(space.metrics), *STANDARD_METRICS]
    named = [("objectives", measure) for measure in config.measures()]
    named += [("record_at", each) for early in config.record_at.values() for each in early]
    for section, measure in named:
        if isinstance(measure, Metric) and measure.metric not in known:
            raise InputError(
                f"{section}: {space.name} compiles no metric {suggest(measure.metric, known)}"
            )


def _check_models(config: Config, space: SearchSpace) -> None:
    """Check that all required values can be measured on the default model, or on a random one."""
    if space.is_built_in:
        return
    rng = np.random.default_rng(0)
    points = [[variable.sample(rng) for variable in space.variables] for _ in range(SAMPLES)]
    samples = [space.default_values, *(decode(space.variables, point) for point in points)]
    recorded = {measure.name for measure in config.record} - set(config.constraints)
    for measure in config.measures():
        if measure.name in recorded:  # noted in the results of each candidate
            continue
        tried = (_problem_of(measure, space, values) for values in samples)
        problems = list(takewhile(bool, tried))
        if len(problems) == len(samples):
            section = "objectives" if measure in config.objectives else "constraints"
            raise InputError(
                f"{section}: {measure.name}: {problems[0]}: neither in the default model of "
                f"{space.name} nor in {SAMPLES} random ones. For models without convolutions "
                "choose methods that do not need them, such as integrated_gradients"
            )


def _problem_of(objective: Objective, space: SearchSpace, values: Mapping[str, Any]) -> str:
    """Return why an objective cannot be measured on a model; empty if it can be."""
    if type(objective).check_model is Objective.check_model:
        return ""
    try:
        with own_generator(seed=0), kept_settings():  # the initial values do not matter
            objective.check_model(space.build(values))
    except Exception as error:  # noqa: BLE001 - a user's code may raise anything
        return str(error) if isinstance(error, NotApplicable) else describe(error)
    return ""
