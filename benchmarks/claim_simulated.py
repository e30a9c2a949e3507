"""How often the analysis of docs/claim.md states an effect that does not exist.

    python benchmarks/claim_simulated.py [--simulations N] [--data-sets N …]

Searches are simulated with the complete table of digits, whose networks were trained three times.
One training gives the error in the search. The second one gives the outcomes and the error at which
networks are compared. No arm has an effect: ``activations`` optimises error and an objective that
is drawn anew for each search, ``attributions`` takes networks of a search for error by their error
alone, and ``consistency`` takes random networks by their error alone, whose errors are higher than
the control's by two percentage points on average. Each data set has five seeds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.claim_errors import calibrated  # noqa: E402
from benchmarks.claim_searches import CANDIDATES, NETWORKS, WORSE, spread  # noqa: E402
from benchmarks.claim_statistics import ALPHA, Effect, corrected, effect  # noqa: E402
from benchmarks.debuggability_report import print_table  # noqa: E402
from xnas_tf.spaces.cells import OPERATIONS, parse_genotype  # noqa: E402

TABLE = Path(__file__).parents[1] / "xnas_tf" / "benchmark" / "tables" / "digits.csv.gz"
SOURCES = ("activations", "grad_cam", "integrated_gradients")
OUTCOMES = (*(f"introspectability/{source}" for source in SOURCES), "calibration_error")
REPAIR = "repair"
"""An outcome from 1 to 16 like that of the plan, from the third outcome and noise."""
COUNTS, SHARES = np.array([16, 15, 11, 8, 6, 4, 2, 1]), [0.3, 0.45, 0.6, 0.72, 0.82, 0.9, 0.95]
POPULATION = 8
ARMS = ("activations", "attributions", "consistency")
RANKS = (0, 5, 12, 20)
"""Places of the networks in the order of errors, for ``attributions``."""
ABOVE = (0.01, 0.03, 0.06, 0.09)
"""Errors of the networks above the lowest one, for ``consistency``."""
SEEDS = 5
EFFECTS = (0.5, 1.0)


class Searches:
    """Simulates searches among the networks of the table.

    Args:
        rng: Draws everything.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        names = ["arch", "seed", "error", "test_error", *OUTCOMES]
        table = pd.read_csv(TABLE, usecols=names).sort_values(["arch", "seed"])
        self.genotypes = table.arch.unique()
        count = len(self.genotypes)
        self._values = {name: table[name].to_numpy().reshape(count, 3) for name in names[2:]}
        cells = (parse_genotype(genotype).values() for genotype in self.genotypes)
        self._cells = np.array([[OPERATIONS.index(name) for name in cell] for cell in cells])
        third = self._values[OUTCOMES[2]]
        latent = third / third.std() + ndtri(rng.uniform(size=third.shape))
        rank = np.digitize(latent, np.quantile(latent, SHARES))
        self._values[REPAIR] = -COUNTS[rank].astype(float)
        self._numbers = {tuple(cell): number for number, cell in enumerate(self._cells.tolist())}

    def rows(self, data: str, seed: int) -> Iterator[dict[str, object]]:
        """Yield the selected networks of all arms with the same seed."""
        searched, trained, _ = self._rng.permutation(3)
        errors = self._values["error"][:, searched]
        first = self._rng.choice(len(errors), CANDIDATES, replace=False)
        sets = {"error": self._search(errors, first, None), "random": first}
        sets |= {"attributions": self._search(errors, first, None), "consistency": first}
        weights = self._rng.normal(size=(self._cells.shape[1], len(OPERATIONS)))
        other = weights[np.arange(len(weights)), self._cells].sum(axis=1)
        sets["activations"] = self._search(errors, first, other)
        for arm, found in sets.items():
            ranked = found[np.argsort(errors[found], kind="stable")]
            ranked = ranked[errors[ranked] <= errors[ranked[0]] + WORSE]
            if arm == "attributions":
                chosen = [ranked[place] for place in RANKS if place < len(ranked)]
            elif arm == "consistency":
                above = errors[ranked] - errors[ranked[0]]
                chosen = list(
                    dict.fromkeys(ranked[np.abs(above - each).argmin()] for each in ABOVE)
                )
            elif arm == "activations":
                is_first = dominators(errors[ranked], other[ranked]) == 0
                chosen = spread(ranked[is_first].tolist(), NETWORKS)
            else:
                chosen = ranked[:NETWORKS].tolist()
            for number in chosen:
                values = {name: each[number, trained] for name, each in self._values.items()}
                name = {"data": data, "seed": seed, "arm": arm}
                yield name | {"genotype": self.genotypes[number]} | values

    def _search(
        self, errors: np.ndarray, first: np.ndarray, other: np.ndarray | None
    ) -> np.ndarray:
        """Return the candidates of an evolution that minimises the error and another objective."""
        population = first[:POPULATION].tolist()
        found = list(population)
        while len(found) < CANDIDATES:
            child = self._mutated(self._rng.choice(population), found)
            found.append(child)
            population.append(child)
            if len(population) == 2 * POPULATION:
                own = np.array(population)
                order = errors[own] if other is None else dominators(errors[own], other[own])
                population = own[np.argsort(order, kind="stable")[:POPULATION]].tolist()
        return np.array(found)

    def _mutated(self, parent: int, found: list[int]) -> int:
        """Return a network of the table with one other operation, or any if there is none."""
        for _ in range(12):
            cell = self._cells[parent].tolist()
            cell[self._rng.integers(len(cell))] = int(self._rng.integers(len(OPERATIONS)))
            number = self._numbers.get(tuple(cell), parent)
            if number not in found:
                return number
        return int(self._rng.choice(np.setdiff1d(np.arange(len(self._cells)), found)))


def dominators(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how many members dominate each member, for two objectives that are minimised."""
    no_worse = (one[:, None] >= one) & (other[:, None] >= other)
    return (no_worse & ((one[:, None] > one) | (other[:, None] > other))).sum(axis=1)


def simulated(searches: Searches, data_sets: int) -> list[Effect]:
    """Return the effects of all arms on all outcomes in one simulation."""
    names = [(f"data {number}", seed) for number in range(data_sets) for seed in range(SEEDS)]
    rows = pd.DataFrame([row for name in names for row in searches.rows(*name)])
    rows["error"] = calibrated(rows.rename(columns={"error": "validation_error"}))
    outcomes = (*OUTCOMES, REPAIR)
    return corrected([effect(rows, name, arm, "error") for name in outcomes for arm in ARMS])


def main() -> None:
    """Print how often effects are stated without and with an effect."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--data-sets", type=int, nargs="+", default=[2, 3, 4])
    options = parser.parse_args()
    searches = Searches(np.random.default_rng(0))
    lines = []
    for data_sets in options.data_sets:
        found = [simulated(searches, data_sets) for _ in range(options.simulations)]
        lines.append([str(SEEDS * data_sets), *summary(found)])
    moved = [f"effect {gain} found (corrected)" for gain in EFFECTS]
    head = ["clusters", "95% intervals without 0", "simulations with a statement", "largest bias"]
    print_table([*head, *moved], lines)


def summary(found: list[list[Effect]]) -> list[str]:
    """Return the shares of wrong intervals and statements, the largest bias, and the power."""
    flat = [each for effects in found for each in effects]
    wrong = np.mean([each.p < ALPHA for each in flat])
    stated = [any(each.statement in ("better", "worse") for each in effects) for effects in found]
    bias = np.abs(np.mean([[each.value for each in effects] for effects in found], axis=0)).max()
    power = []
    for gain in EFFECTS:
        moved = [replace(e, value=e.value + gain, matched=e.matched + gain) for e in flat]
        both = [(corrected([each])[0].statement == "better", each.p < ALPHA) for each in moved]
        after, before = np.mean(both, axis=0)
        power.append(f"{before:.0%} ({after:.0%})")
    return [f"{wrong:.1%}", f"{np.mean(stated):.1%}", f"{bias:.2f}", *power]


if __name__ == "__main__":
    main()
