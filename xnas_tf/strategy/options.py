"""The configuration of a search: its algorithm, its end and its front."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt, field_validator
from pydantic_core import PydanticCustomError

from xnas_tf.utils.options import Section


class FidelityOptions(Section):
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


class SearchOptions(Section):
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
    fidelity: FidelityOptions = FidelityOptions()
    seed: int = Field(0, ge=0)

    @field_validator("epsilons")
    @classmethod
    def _positive(cls, epsilons: dict[str, float]) -> dict[str, float]:
        for name, epsilon in epsilons.items():
            if epsilon <= 0:
                raise ValueError(f"given {epsilon:g} for {name}; allowed: more than 0")
        return epsilons


def check_algorithm(search: SearchOptions, objectives: list[str]) -> None:
    """Refuses algorithms that need what is not given."""
    wrong = None
    if search.algorithm == "moead" and len(objectives) == 1:
        wrong = "algorithm", "given 'moead', which decomposes two objectives or more; there is one"
    if search.algorithm == "eps_moea" and not search.epsilons:
        wrong = "epsilons", "nothing is given; algorithm eps_moea needs a value an objective"
    if wrong:
        errors = [{"loc": wrong[:1], "type": "entry", "msg": wrong[1]}]
        raise PydanticCustomError("nested", "{errors}", {"errors": errors, "model": SearchOptions})
