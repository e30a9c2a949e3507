"""The configuration as a typed model. Together, the defaults form the quickstart configuration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from xnas_tf.config.callbacks import create_callback
from xnas_tf.data.options import DatasetOptions
from xnas_tf.distributed.options import DistributedOptions
from xnas_tf.errors import InputError, suggest
from xnas_tf.objectives import OBJECTIVES
from xnas_tf.objectives.base import Objective
from xnas_tf.registry import Registry
from xnas_tf.spaces import SPACES
from xnas_tf.spaces.options import SpaceOptions
from xnas_tf.strategy.options import SearchOptions
from xnas_tf.training.options import TrainingOptions
from xnas_tf.utils.constraints import Constraint
from xnas_tf.utils.options import Section, create, problems


def _named(registry: Registry, base: type) -> BeforeValidator:
    return BeforeValidator(lambda entry: create(registry, entry, base))


def _dataset(entry: Any) -> Any:
    return {"name": entry} if isinstance(entry, str) else entry


def _invalid(messages: Sequence[str], *key: str) -> PydanticCustomError:
    """Return the errors for a key in ``search``."""
    errors = [{"loc": key, "type": "entry", "msg": text} for text in messages]
    return PydanticCustomError("nested", "{errors}", {"errors": errors, "model": SearchOptions})


def _rungs_problem(rungs: Sequence[int], training: TrainingOptions) -> str:
    """Describe why models cannot be trained in these rungs; empty if they can."""
    if rungs and training.callbacks:
        return (
            "cannot be combined with training.callbacks, whose state cannot be resumed; leave one "
            "of them out"
        )
    if rungs and rungs[-1] != training.epochs:
        return (
            f"its last rung is {rungs[-1]}, but training.epochs is {training.epochs}: make them "
            "equal, or leave training.epochs out"
        )
    if rungs and training.warmup_epochs >= rungs[0]:
        return (
            f"its first rung is {rungs[0]}, but training.warmup_epochs is "
            f"{training.warmup_epochs:g}, which must be less"
        )
    return ""


AnyObjective = Annotated[SerializeAsAny[Objective], _named(OBJECTIVES, Objective)]
AnySpace = Annotated[SerializeAsAny[SpaceOptions], _named(SPACES, SpaceOptions)]
AnyCallback = Annotated[Any, BeforeValidator(create_callback)]
Limit = Annotated[Constraint, PlainValidator(Constraint.parse), PlainSerializer(str)]


class Config(Section):
    """All options on which a run depends."""

    dataset: Annotated[DatasetOptions, BeforeValidator(_dataset)] = DatasetOptions()
    space: AnySpace = Field("nas_bench_201", validate_default=True)
    objectives: list[AnyObjective] = Field(
        ["error", "introspectability"], validate_default=True, min_length=1, max_length=5
    )
    record: list[AnyObjective] = Field(
        [],
        description="measures that are recorded for every candidate but do not influence the "
        "search, with the same names and options as objectives",
    )
    constraints: dict[str, Limit] = Field(
        {}, description='limits by objective name, such as `parameters: "<= 500_000"`'
    )
    training: TrainingOptions = Field(TrainingOptions(), validate_default=True)
    record_at: dict[NonNegativeInt, list[AnyObjective]] = Field(
        {},
        description="measures to record earlier in training, under the number of epochs after "
        "which they are computed (0: before training). The values are recorded as "
        "`epoch_NUMBER/NAME`, such as `epoch_0/introspectability`",
    )
    test: Literal["front", "all"] = Field(
        "front",
        description="measure only the Pareto-optimal candidates on the test split, once the search "
        "has ended, or all candidates. The search itself never uses these values",
    )
    search: SearchOptions = SearchOptions()
    distributed: DistributedOptions = DistributedOptions()
    callbacks: list[AnyCallback] = Field(
        [],
        exclude=True,  # no result depends on them
        description="search callbacks, each a name or a name with options",
    )

    def __init__(self, **sections: Any) -> None:
        """Validate the sections; each line of an ``InputError`` begins with the key."""
        try:
            super().__init__(**sections)
        except ValidationError as error:
            raise InputError("\n".join(problems(error, Config))) from error

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, objectives: list[Objective]) -> list[Objective]:
        names = [objective.name for objective in objectives]
        if len(set(names)) < len(names):
            raise ValueError(f"the same objective is given twice: {', '.join(names)}")
        return objectives

    @field_validator("record")
    @classmethod
    def _check_record(cls, record: list[Objective], info: ValidationInfo) -> list[Objective]:
        known = [objective.name for objective in info.data.get("objectives", ())]
        for measure in record:
            if measure.name in known:
                raise ValueError(f"{measure.name!r} is given twice; objectives are always recorded")
            known.append(measure.name)
        return record

    @field_validator("training")
    @classmethod
    def _set_optimizer(cls, training: TrainingOptions, info: ValidationInfo) -> TrainingOptions:
        """Use the space's optimizer unless one is given."""
        space = info.data.get("space")
        if space is None or "optimizer" in training.model_fields_set:
            return training
        given = training.model_dump(exclude_unset=True)
        return TrainingOptions.model_validate({"optimizer": space.optimizer, **given})

    @field_validator("record_at")
    @classmethod
    def _check_record_at(
        cls, measures: dict[int, list[Objective]], info: ValidationInfo
    ) -> dict[int, list[Objective]]:
        training = info.data.get("training")
        for epoch, named in measures.items():
            if training and epoch >= training.epochs:
                raise ValueError(
                    f"given {epoch}; allowed: less than training.epochs ({training.epochs}), after "
                    "which objectives and `record` are measured"
                )
            names = [measure.name for measure in named]
            if len(set(names)) < len(names):
                raise ValueError(f"{epoch}: the same measure is given twice: {', '.join(names)}")
        return measures

    @field_validator("search")
    @classmethod
    def _check_search(cls, search: SearchOptions, info: ValidationInfo) -> SearchOptions:
        names = [objective.name for objective in info.data.get("objectives", ())]
        for key in ("reference", "epsilons") if names else ():
            given = getattr(search, key)
            unknown = [name for name in given if name not in names]
            messages = [f"unknown objective {suggest(name, names)}" for name in unknown]
            messages += [f"no value for objective {name!r}" for name in names if name not in given]
            if given and messages:
                raise _invalid(messages, key)
        divided = {"constraints": info.data.get("constraints"), "search.reuse": search.reuse}
        for key, value in divided.items():
            if search.skip and value:
                text = (
                    f"given {search.skip} together with {key}: candidates that are not trained do "
                    "not count, so several runs would train the same networks; leave one of the "
                    "two out"
                )
                raise _invalid([text], "skip")
        training = info.data.get("training")
        if training and (text := _rungs_problem(search.fidelity.epochs, training)):
            raise _invalid([text], "fidelity", "epochs")
        return search

    @model_validator(mode="before")
    @classmethod
    def _set_epochs(cls, data: Any) -> Any:
        """Take ``training.epochs`` from the last rung unless it is given."""
        # Validation reports the error.
        with suppress(AttributeError, KeyError, IndexError, TypeError):
            last = data["search"]["fidelity"]["epochs"][-1]
            return {**data, "training": {"epochs": last, **data.get("training", {})}}
        return data

    @field_validator("constraints", mode="before")
    @classmethod
    def _check_constraints(cls, constraints: Any) -> Any:
        for name in constraints if isinstance(constraints, dict) else ():
            if (measure := create(OBJECTIVES, name, Objective)).name != name:
                raise ValueError(f"{name!r} is called {measure.name!r}: use that name")
        return constraints

    @property
    def directions(self) -> dict[str, str]:
        """``minimize`` or ``maximize``, by objective name."""
        return {objective.name: objective.direction for objective in self.objectives}

    @property
    def rungs(self) -> list[int]:
        """Epochs of each fidelity, in increasing order; the last is that of a full training run."""
        return self.search.fidelity.epochs or [self.training.epochs]

    def measures(self) -> list[Objective]:
        """Return the objectives, the recorded measures, and those of constraints, with defaults."""
        named = [*self.objectives, *self.record]
        names = {measure.name for measure in named}
        extra = [
            create(OBJECTIVES, name, Objective) for name in self.constraints if name not in names
        ]
        return [*named, *extra]
