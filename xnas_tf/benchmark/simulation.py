"""One search on a table: known results in place of trainings."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from xnas_tf.benchmark.cell_space import CellSpace
from xnas_tf.benchmark.other_packages import PEERS
from xnas_tf.benchmark.problem import Problem
from xnas_tf.benchmark.simulated_training import SimulatedTraining
from xnas_tf.config import Config, load_config
from xnas_tf.errors import InputError
from xnas_tf.strategy import SELECTIONS, Algorithm, create

WITH_SURROGATE = "+surrogate"
OURS = tuple(
    name + suffix
    for name in SELECTIONS
    for suffix in ("", WITH_SURROGATE)
    if name + suffix not in PEERS  # random: cells, not networks, as published baselines have it
)
FIXED = tuple(
    f"search.{key}"
    for key in ("algorithm", "surrogate", "seed", "candidates", "reference", "epsilons")
)


def algorithm(name: str, seed: int, problem: Problem, overrides: Iterable[str]) -> Algorithm:
    """One of our own algorithms, as the ``search`` section of a configuration makes it.

    Args:
        name: One of ``OURS``.
        seed: Of the search.
        problem: The table to be searched; its costs are to be minimised.
        overrides: Texts ``search.key=value``.

    Raises:
        InputError: If an override is wrong.
    """
    for text in overrides:
        key = text.partition("=")[0]
        if not key.startswith("search.") or key in FIXED:
            raise InputError(
                f"--set {text!r}: allowed: keys of search, but not {', '.join(FIXED)}: options "
                "and the table say these"
            )
    search = load_config(Config(), overrides).search.model_copy(
        update={
            "algorithm": name.removesuffix(WITH_SURROGATE),
            "surrogate": name.endswith(WITH_SURROGATE),
            "seed": seed,
            "reference": problem.given_reference,
            "epsilons": dict(zip(problem.objectives, _epsilons(problem), strict=True)),
        }
    )
    return create(
        search,
        dict.fromkeys(problem.objectives, "minimize"),
        CellSpace(problem.rows),
        search.mode == "steady_state",
        problem.known_costs,
    )


def _epsilons(problem: Problem) -> list[float]:
    """A hundredth of what the reference leaves of each cost, for ε-dominance."""
    return ((problem.reference - problem.costs.min(axis=0)) / 100).tolist()


def play(
    problem: Problem, name: str, seed: int, trainings: int, overrides: Iterable[str] = ()
) -> np.ndarray:
    """Lets an algorithm search a table.

    Returns:
        Share of the table's hypervolume that it has found after each training, (trainings,);
        the last one goes on where it ended before.
    """
    game = SimulatedTraining(problem, trainings)
    if name in PEERS:
        PEERS[name].search(game, seed)
    else:
        _play_ours(game, name, seed, overrides)
    last = game.shares[-1] if game.shares else 0.0
    return np.array(game.shares + [last] * (trainings - len(game.shares)))


def _play_ours(game: SimulatedTraining, name: str, seed: int, overrides: Iterable[str]) -> None:
    space = CellSpace(game.problem.rows)
    search = algorithm(name, seed, game.problem, overrides)
    while not game.is_over and (proposal := search.ask()):
        if space.infeasible(proposal.hyperparameters):
            search.reject(proposal)
        else:
            costs = game.train(proposal.genotype)
            search.tell(proposal, proposal.number, costs.tolist())
