"""Search options: the algorithm, the stopping criteria and the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, Field, PositiveInt, field_validator, model_validator

from xnas_tf.objectives.base import Objective
from xnas_tf.utils.constraints import Constraint
from xnas_tf.utils.options import Section


def _read_lines(given: Any) -> Any:
    """Return the lines of a text file that are not empty; any other value as it is."""
    if not isinstance(given, str):
        return given
    try:
        lines = Path(given).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {given!r} cannot be read: {error}") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ValueError(f"the file {given!r} is empty; allowed: one genotype per line")
    return found


class FidelityOptions(Section):
    """Successive halving: all candidates are trained for a few epochs, and the best ones for more.

    See docs/explanation/search.md.
    """

    epochs: list[PositiveInt] = Field(
        [],
        description="number of epochs at each rung, such as `[3, 9, 27]`; the last one must be "
        "`training.epochs`. By default, all candidates are fully trained",
    )

    @field_validator("epochs")
    @classmethod
    def _rising(cls, epochs: list[int]) -> list[int]:
        if len(epochs) == 1 or epochs != sorted(set(epochs)):
            raise ValueError(f"given {epochs}; allowed: two or more increasing whole numbers")
        return epochs


class SearchOptions(Section):
    """How candidates are chosen, when the search ends, and how the front is measured."""

    algorithm: Literal["nsga2", "random", "regularized_evolution", "all"] = Field(
        "nsga2",
        description="how survivors and parents are selected; see docs/explanation/search.md. "
        "`all` trains each different network of a space of at most 1,000,000 architectures once",
    )
    skip: int = Field(
        0,
        ge=0,
        description="with `algorithm: all`, the number of networks to leave out at the beginning "
        "of the enumeration. The order of the enumeration is random but always the same, so a "
        "space can be divided among several runs",
    )
    networks: Annotated[list[str], BeforeValidator(_read_lines)] = Field(
        [],
        description="with `algorithm: all`, the genotypes of the networks to train, or a text file "
        "with one genotype per line, whose content is then stored in the run; by default, all "
        "networks",
    )
    surrogate: bool = Field(
        False,
        description="whether a model that learns from the results so far decides which offspring "
        "are trained",
    )
    candidates: int = Field(
        16,
        ge=1,
        description="number of candidates to train; with `algorithm: all`, every network by "
        "default. Infeasible candidates, duplicates, results reused from earlier runs, and "
        "promotions (`fidelity`) do not count",
    )
    hours: float | None = Field(
        None,
        gt=0,
        description="total hours of searching, over all sessions, after which no more candidates "
        "are proposed",
    )
    plateau: int | None = Field(
        None,
        ge=1,
        description="the search ends once this many trained candidates in a row have together "
        "increased the hypervolume by at most 0.1%; with `fidelity`, only those of the highest "
        "fidelity reached so far count",
    )
    population: int = Field(8, ge=2, description="number of candidates in a generation")
    crossover: float = Field(
        0.9,
        ge=0,
        le=1,
        description="probability of crossover between two parents; only `nsga2` has two",
    )
    mutation: float | None = Field(
        None,
        gt=0,
        le=1,
        description="probability that an active variable mutates; by default 1 / number of active "
        "variables. No effect with `random` and `all`",
    )
    mode: Literal["generational", "steady_state"] | None = Field(
        None,
        description="`generational`: a generation begins once all results of the previous one are "
        "known, which is reproducible. `steady_state`: an idle group gets its next "
        "candidate immediately, based on the results so far. By default, `steady_state` "
        "with several groups, otherwise `generational`",
    )
    reference: dict[str, float] = Field(
        {},
        description="reference point of the hypervolume, with a value for each objective; by "
        "default, the worst values of generation 0",
    )
    epsilons: dict[str, float] = Field(
        {},
        description="smallest difference that matters in each objective: the front keeps one "
        "candidate in each box of this size; by default, it keeps all candidates",
    )
    reuse: list[str] = Field(
        [],
        description="earlier runs with the same data, training and objectives, whose results are "
        "used instead of training the same networks again",
    )
    fidelity: FidelityOptions = FidelityOptions()
    seed: int = Field(
        0, ge=0, description="seed of the search, from which each candidate's seed is derived"
    )

    @model_validator(mode="after")
    def _check_algorithm(self) -> SearchOptions:
        if self.skip and self.algorithm != "all":
            raise ValueError(f"skip: given {self.skip}; it has an effect only with algorithm: all")
        if self.networks and self.algorithm != "all":
            raise ValueError(
                f"networks: given {len(self.networks)}; this has an effect only with algorithm: all"
            )
        if self.surrogate and self.algorithm == "all":
            raise ValueError(
                "surrogate: given true, but with algorithm: all there is nothing to choose"
            )
        return self

    @field_validator("epsilons")
    @classmethod
    def _positive(cls, epsilons: dict[str, float]) -> dict[str, float]:
        for name, epsilon in epsilons.items():
            if epsilon <= 0:
                raise ValueError(f"given {epsilon:g} for {name}; allowed: more than 0")
        return epsilons


class Goals(Protocol):
    """The part of a configuration that this package needs: the goals of a search."""

    @property
    def objectives(self) -> Sequence[Objective]:
        """The objectives, at least one."""

    @property
    def constraints(self) -> Mapping[str, Constraint]:
        """Limits, by the name of the objective or measure."""

    @property
    def search(self) -> SearchOptions:
        """The ``search`` section."""
