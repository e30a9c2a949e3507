"""How much the effects of docs/claim.md depend on choices of the analysis.

These checks were not planned, and were made after the results of the first study were known. The
statements of the second study depend on one of them, ``recomputed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.claim_errors import calibrated
from benchmarks.claim_searches import CONTROLS, WORSE
from benchmarks.claim_statistics import (
    ALPHA,
    COMPARISONS,
    FEWEST_CLUSTERS,
    Effect,
    effect,
    jackknife_error,
    with_interval,
)
from benchmarks.debuggability_report import print_table


def print_sensitivity(rows: pd.DataFrame, effects: Sequence[Effect]) -> None:
    """Print variants of the effects that are decidable, and which networks these leave out.

    Args:
        rows: A row for each network; see ``claim_report.outcome_rows``.
        effects: Effects of arms compared with the search for error.
    """
    samples = variants(rows)
    lines = []
    for each in (each for each in effects if each.clusters >= FEWEST_CLUSTERS):
        name, arm = each.outcome, each.arm
        found = [(recomputed(rows, name, arm, "error"), level(rows))]
        found += [(effect(own, name, arm, "error"), level(own)) for own in samples.values()]
        cells = [with_interval(other.value, other.interval(error)) for other, error in found]
        lines.append([name, arm, *cells])
    print("**Other ways to compare** (not planned)\n")
    print_table(["outcome", "arm", "recomputed", *samples], lines)
    print(
        f"Intervals are corrected for {COMPARISONS} comparisons without Holm's steps, except that "
        "those of a single data set are 95% intervals.\n"
    )
    for name in ("trained well", "errors of the control", "other networks"):
        print(f"- {name}: networks left out: {left_out(rows, samples[name])}")
    print()


def left_out(rows: pd.DataFrame, sample: pd.DataFrame) -> str:
    """Return how many networks of each data set and arm a sample of the rows leaves out."""
    counts = rows.drop(sample.index).groupby(["data", "arm"]).size()
    return ", ".join(f"{data} {arm} {n}" for (data, arm), n in counts.items()) or "none"


def level(rows: pd.DataFrame) -> float:
    """Return the error probability of intervals: corrected, except for a single data set."""
    return ALPHA if rows.data.nunique() == 1 else ALPHA / COMPARISONS


def recomputed(rows: pd.DataFrame, outcome: str, arm: str, control: str) -> Effect:
    """Return an effect whose jackknife corrects errors and standardises anew without each cluster.

    Otherwise, both are computed once, from all clusters.
    """
    found = effect(rows, outcome, arm, control)
    values = [found.value]
    for data, seed in rows[["data", "seed"]].drop_duplicates().to_numpy():
        others = rows[(rows.data != data) | (rows.seed != seed)]
        others = others.assign(error=calibrated(others))
        values.append(effect(others, outcome, arm, control).value)
    return replace(found, error=jackknife_error(np.array(values)))


def variants(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the networks that each variant compares, by the variant's name."""
    control = rows[rows.arm == "error"].groupby("data").error
    lowest, highest = rows.data.map(control.min()), rows.data.map(control.max())
    measured = rows.assign(error=(rows.validation_error + rows.test_error) / 2)
    return {
        "measured errors": measured,
        "trained well": rows[rows.error <= lowest + WORSE],
        "errors of the control": rows[rows.error <= highest],
        "other networks": without_shared(rows),
        **{f"{data} only": rows[rows.data == data] for data in rows.data.unique()},
    }


def without_shared(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out networks of arms with two objectives that the search for error selected too."""
    networks = pd.MultiIndex.from_frame(rows[["data", "seed", "genotype"]])
    is_shared = networks.isin(networks[rows.arm == "error"])
    return rows[~is_shared | rows.arm.isin(CONTROLS)]
