"""The configuration as typed models. The defaults are the quickstart."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from xnas_tf.config.constraints import Constraint
from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives import OBJECTIVES
from xnas_tf.objectives.base import Objective
from xnas_tf.spaces import SPACES
from xnas_tf.spaces.options import SpaceOptions


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Pixels = Annotated[int, Field(ge=1, le=4096)]


class DatasetConfig(Section):
    """The labelled images, and how they are split (stratified by class)."""

    name: str = Field(
        "mnist5k",
        description="`mnist5k`, `digits`, `folder:PATH`, `csv:FILE`, `npz:FILE`, `tfrecord:FILES`, "
        "`keras:NAME`, `tfds:NAME` or `package.module:function`: docs/data.md",
    )
    validation: float = Field(0.2, gt=0, lt=1, description="share of the images for validation")
    test: float = Field(
        0.2, gt=0, lt=1, description="share kept for final figures, unless a test part exists"
    )
    seed: int = Field(0, ge=0, description="seed of the split")
    size: Pixels | list[Pixels] | None = Field(
        None,
        description="pixels: one number, or height and width; not given: as they are, and image "
        "files the median of theirs, at most 128 on the longer side",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="not given: as they are, and image files 3 if any of them has colour"
    )
    group: str | None = Field(
        None,
        description="of image files: a regular expression that finds in a file's path whom or "
        "what it shows, by its parenthesis; what shows the same stays in one part",
    )
    max_corrupt: float = Field(
        0.1,
        ge=0,
        le=1,
        description="share of image files that may be unreadable: they are named and left out",
    )

    @field_validator("size")
    @classmethod
    def _of_two(cls, size: int | list[int] | None) -> int | list[int] | None:
        if isinstance(size, list) and len(size) != 2:
            raise ValueError(f"given {size}; allowed: one number, or height and width")
        return size

    @field_validator("group")
    @classmethod
    def _expression(cls, group: str | None) -> str | None:
        try:
            re.compile(group or "")
        except re.error as error:
            raise ValueError(f"{group!r} is no regular expression: {error}") from error
        return group

    @model_validator(mode="after")
    def _leaves_some(self) -> DatasetConfig:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation ({self.validation}) and test ({self.test}) leave nothing to train on"
            )
        return self


class AugmentationConfig(Section):
    """Random changes of training images."""

    crop: int = Field(0, ge=0, le=64, description="pixels of padding before a random crop")
    flip: Literal["auto"] | bool = Field(
        "auto", description="horizontal flips; `auto`: only where mirror images mean the same"
    )
    cutout: int = Field(0, ge=0, description="side in pixels of a square blanked out")


RATES = {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
"""Learning rates by default: NAS-Bench-201's for SGD, Keras' for the others."""


class TrainingConfig(Section):
    """How one candidate is trained. A HyperModel that returns a compiled model keeps its
    own optimizer and loss."""

    epochs: int = Field(3, ge=1)
    batch_size: int = Field(48, ge=1, description="global: shared by all ranks of a candidate")
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd", description="not given: `sgd`, and for your own HyperModel `adam`"
    )
    learning_rate: float = Field(
        RATES["sgd"], gt=0, description="not given: 0.1 of `sgd`, 0.001 of the others"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(True, description="of sgd")
    weight_decay: float = Field(
        0.0, ge=0, description="L2 penalty's gradient, added to that of the loss"
    )
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of the learning rate")
    augmentation: AugmentationConfig = AugmentationConfig()
    deterministic: bool = Field(
        True,
        description="same seed, same result, bit for bit, on one process, unless `auto` below lets "
        "a trial choose; slower on GPUs",
    )
    mixed_precision: Literal["auto"] | bool = Field(
        False,
        description="training steps compute in bfloat16: for GPUs, of compute capability 8.0 or "
        "more; CPUs were slower; weights, scores and saved models stay float32; `auto`: if a short "
        "trial before the search finds a whole training faster so",
    )
    jit_compile: Literal["auto"] | bool = Field(
        False,
        description="XLA compiles training steps: for GPUs; the first takes longer, CPUs were "
        "slower; Dropout draws other random numbers; `auto` as above",
    )
    checkpoint_minutes: float = Field(
        15, gt=0, description="minutes between checkpoints of a candidate in training"
    )

    @model_validator(mode="before")
    @classmethod
    def _rate_of_the_optimizer(cls, data: Any) -> Any:
        with suppress(AttributeError, KeyError, TypeError):  # whatever was given
            return {"learning_rate": RATES[data["optimizer"]], **data}
        return data


class FidelityConfig(Section):
    """Successive halving: everything is trained for a few epochs first, and what is best by then
    for more; see docs/search.md."""

    epochs: list[PositiveInt] = Field(
        [],
        description="of the rungs, such as `[3, 9, 27]`; the last one is `training.epochs`. Not "
        "given: everything is trained in full",
    )

    @field_validator("epochs")
    @classmethod
    def _rising(cls, epochs: list[int]) -> list[int]:
        if len(epochs) == 1 or epochs != sorted(set(epochs)):
            raise ValueError(f"given {epochs}; allowed: two or more whole numbers that rise")
        return epochs


class SearchConfig(Section):
    """How new candidates are found, when that ends, and how the front is measured and kept."""

    algorithm: Literal[
        "nsga2", "nsga3", "moead", "spea2", "eps_moea", "random", "regularized_evolution"
    ] = Field("nsga2", description="who survives and who breeds; see docs/search.md")
    surrogate: bool = Field(
        False,
        description="a model that learns from the candidates chooses which of many offspring are "
        "trained",
    )
    candidates: int = Field(
        16,
        ge=1,
        description="trainings; infeasible candidates, duplicates and what earlier runs answer "
        "don't count, nor do those of `fidelity` that go on",
    )
    hours: float | None = Field(
        None,
        gt=0,
        description="hours of searching, over all sessions, after which nothing new is proposed",
    )
    plateau: int | None = Field(
        None,
        ge=1,
        description="trainings; nothing new is proposed once the last so many have added no "
        "more than 0.1% to the hypervolume",
    )
    population: int = Field(8, ge=2)
    crossover: float = Field(0.9, ge=0, le=1, description="probability of crossing two parents")
    mutation: float | None = Field(
        None, gt=0, le=1, description="probability a variable; 1 / number of variables if not given"
    )
    mode: Literal["generational", "steady_state"] | None = Field(
        None,
        description="`steady_state`: who is free gets an offspring of what is known by then; "
        "`generational`: the next generation waits for the whole of this one, and is "
        "reproducible; steady state with more than one group if not given",
    )
    reference: dict[str, float] = Field(
        {},
        description="the value of each objective that hypervolume is measured against; the worst "
        "ones of generation 0 if not given",
    )
    epsilons: dict[str, float] = Field(
        {},
        description="for each objective the difference that matters: the front keeps one "
        "candidate a box of that size; all if not given",
    )
    reuse: list[str] = Field(
        [],
        description="earlier runs of the same data, training and objectives: what they know of "
        "a network is not trained again",
    )
    fidelity: FidelityConfig = FidelityConfig()
    seed: int = Field(0, ge=0)

    @field_validator("epsilons")
    @classmethod
    def _positive(cls, epsilons: dict[str, float]) -> dict[str, float]:
        for name, epsilon in epsilons.items():
            if epsilon <= 0:
                raise ValueError(f"given {epsilon:g} for {name}; allowed: more than 0")
        return epsilons


def _check_algorithm(search: SearchConfig, objectives: list[str]) -> None:
    """Refuses algorithms that need what is not given."""
    wrong = None
    if search.algorithm == "moead" and len(objectives) == 1:
        wrong = "algorithm", "given 'moead', which decomposes two objectives or more; there is one"
    if search.algorithm == "eps_moea" and not search.epsilons:
        wrong = "epsilons", "nothing is given; algorithm eps_moea needs a value an objective"
    if wrong:
        errors = [{"loc": wrong[:1], "type": "entry", "msg": wrong[1]}]
        raise PydanticCustomError("nested", "{errors}", {"errors": errors, "model": SearchConfig})


class DistributedConfig(Section):
    """Several ranks, under horovodrun or on Ray: docs/distributed.md."""

    ranks_per_candidate: PositiveInt | None = Field(
        None,
        description="ranks that train one candidate together; if not given, one on Ray, and all "
        "those of a Horovod job, which allows no other number",
    )
    engine: Literal["auto", "local", "horovod", "ray"] = Field(
        "auto",
        description="what runs the candidates: `local` one process, `horovod` the ranks that "
        "horovodrun, mpirun or srun started, `ray` groups of ranks on a Ray cluster; `auto`: "
        "Horovod under a launcher, Ray where RAY_ADDRESS is set or this machine has several GPUs, "
        "else local",
    )
    groups: PositiveInt | None = Field(
        None,
        description="groups of ranks on Ray, each of which evaluates candidates by itself; as "
        "many as the cluster has room for if not given",
    )
    threads_per_rank: int | None = Field(
        None,
        ge=1,
        description="CPU threads; if not given, the host's cores are shared out. In cells of "
        "NAS-Bench-201 an operation uses half of them, since two run at once",
    )
    stall_minutes: float = Field(
        10, gt=0, description="minutes without a step after which a candidate is given up"
    )


def _create(registry: Any, entry: Any, base: type) -> Any:
    """Makes an objective or space from a name or a mapping with a name."""
    if isinstance(entry, base):
        return entry
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict):
        raise PydanticCustomError("entry", f"given {entry!r}; allowed: a name, or name and options")
    try:
        name = entry.get("name", "hypermodel" if "hypermodel" in entry else None)
        if not isinstance(name, str):
            raise PydanticCustomError("entry", f"no name is given: {entry!r}")
        cls = registry.get(name)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise InputError(f"{registry.kind} {name!r} is no {base.__module__}.{base.__name__}")
        return cls.model_validate({**entry, "name": name})
    except InputError as error:
        raise PydanticCustomError("entry", "{text}", {"text": str(error)}) from error
    except ValidationError as error:
        raise PydanticCustomError(
            "nested", "{errors}", {"errors": error.errors(), "model": cls}
        ) from error


def _named(registry: Any, base: type) -> BeforeValidator:
    return BeforeValidator(lambda entry: _create(registry, entry, base))


def _dataset(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


AnyObjective = Annotated[SerializeAsAny[Objective], _named(OBJECTIVES, Objective)]
AnySpace = Annotated[SerializeAsAny[SpaceOptions], _named(SPACES, SpaceOptions)]
DEFAULT_SPACE = {"name": "nas_bench_201", "channels": 8, "cells_per_stack": 1}


class Config(Section):
    """Everything a run depends on."""

    dataset: Annotated[DatasetConfig, BeforeValidator(_dataset)] = DatasetConfig()
    space: AnySpace = Field(DEFAULT_SPACE, validate_default=True)
    objectives: list[AnyObjective] = Field(
        ["error", "introspectability"], validate_default=True, min_length=1, max_length=5
    )
    record: list[AnyObjective] = Field(
        [],
        description="measures that are kept for every candidate and take no part in the search, "
        "with the names and options of objectives",
    )
    constraints: dict[str, Constraint] = Field(
        {}, description='limits by objective name, such as `parameters: "<= 500_000"`'
    )
    training: TrainingConfig = Field(TrainingConfig(), validate_default=True)
    search: SearchConfig = SearchConfig()
    distributed: DistributedConfig = DistributedConfig()

    @field_validator("objectives")
    @classmethod
    def _different(cls, objectives: list[Objective]) -> list[Objective]:
        names = [objective.name for objective in objectives]
        if len(set(names)) < len(names):
            raise ValueError(f"the same objective is given twice: {', '.join(names)}")
        return objectives

    @field_validator("record")
    @classmethod
    def _not_yet_measured(cls, record: list[Objective], info: ValidationInfo) -> list[Objective]:
        known = [objective.name for objective in info.data.get("objectives", ())]
        for measure in record:
            if measure.name in known:
                raise ValueError(f"{measure.name!r} is given twice; objectives are always recorded")
            known.append(measure.name)
        return record

    @field_validator("training")
    @classmethod
    def _suited_to_the_space(cls, training: TrainingConfig, info: ValidationInfo) -> TrainingConfig:
        space = info.data.get("space")
        if space is None or "optimizer" in training.model_fields_set:
            return training
        given = training.model_dump(exclude_unset=True)
        return TrainingConfig.model_validate({"optimizer": space.optimizer, **given})

    @field_validator("search")
    @classmethod
    def _of_all_objectives(cls, search: SearchConfig, info: ValidationInfo) -> SearchConfig:
        names = [objective.name for objective in info.data.get("objectives", ())]
        _check_algorithm(search, names)
        for key in ("reference", "epsilons") if names else ():
            given = getattr(search, key)
            wrong = [
                f"unknown objective {suggest(name, names)}" for name in given if name not in names
            ]
            wrong += [f"no value for objective {name!r}" for name in names if name not in given]
            errors = [{"loc": (key,), "type": "entry", "msg": text} for text in wrong]
            if given and errors:
                raise PydanticCustomError(
                    "nested", "{errors}", {"errors": errors, "model": SearchConfig}
                )
        return search

    @model_validator(mode="before")
    @classmethod
    def _full_length(cls, data: Any) -> Any:
        """The last rung says how long a training is, unless ``training.epochs`` does."""
        with suppress(AttributeError, KeyError, IndexError, TypeError):  # whatever was given
            last = data["search"]["fidelity"]["epochs"][-1]
            return {**data, "training": {"epochs": last, **data.get("training", {})}}
        return data

    @field_validator("search")
    @classmethod
    def _to_the_full_length(cls, search: SearchConfig, info: ValidationInfo) -> SearchConfig:
        rungs, training = search.fidelity.epochs, info.data.get("training")
        if rungs and training and rungs[-1] != training.epochs:
            text = (
                f"its last rung is {rungs[-1]}, but training.epochs is {training.epochs}: these "
                "must be equal, or leave training.epochs out"
            )
            error = {"loc": ("fidelity", "epochs"), "type": "entry", "msg": text}
            raise PydanticCustomError(
                "nested", "{errors}", {"errors": [error], "model": SearchConfig}
            )
        return search

    @field_validator("constraints", mode="before")
    @classmethod
    def _known(cls, constraints: Any) -> Any:
        for name in constraints if isinstance(constraints, dict) else ():
            measure = _create(OBJECTIVES, name, Objective)
            if measure.name != name:
                raise ValueError(f"{name!r} calls itself {measure.name!r}: use that name")
        return constraints

    @property
    def directions(self) -> dict[str, str]:
        """``minimize`` or ``maximize`` by the objective's name."""
        return {objective.name: objective.direction for objective in self.objectives}

    @property
    def rungs(self) -> list[int]:
        """Epochs of the fidelities, rising; the full length of a training is the last."""
        return self.search.fidelity.epochs or [self.training.epochs]

    def measures(self) -> list[Objective]:
        """The objectives, what is only recorded, and what only a constraint needs, the latter with
        default options."""
        named = [*self.objectives, *self.record]
        names = {measure.name for measure in named}
        extra = [
            _create(OBJECTIVES, name, Objective) for name in self.constraints if name not in names
        ]
        return [*named, *extra]
