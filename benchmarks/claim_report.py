"""Tables and a figure that compare the arms of docs/claim.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claim_errors import IMAGES, calibrated
from benchmarks.claim_searches import ARMS, CONTROLS
from benchmarks.claim_statistics import OF_INTEREST, Effect, corrected, effect, standardized
from benchmarks.debuggability_report import print_table

OUTCOMES = {
    "bug found": 1,
    "bug repaired": -1,
    "mask mass": 1,
    "separability": 1,
    "disentanglement": 1,
    "fidelity": 1,
}
"""Outcomes, with 1 if higher is better and -1 if lower is better."""
LEARNED = 0.25
"""Least increase in the share of images predicted as the bug's class for a network that learned the
bug, when the watermark is added."""
SEED = 0


SOURCES = {
    "bug found": "bug/planted_bug",
    "bug repaired": "bug/repair",
    "mask mass": "mask_mass",
    "separability": "separability",
    "disentanglement": "disentanglement",
    "fidelity": "fidelity",
}
CHANCE = {"mask mass": "mask_mass/chance", "fidelity": "fidelity/constant"}
OF_BUGS = ("bug found", "bug repaired")
ERRORS = ("error", "test_error", "bug/error", "bug/test_error")


def outcome_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each network with its outcomes, for all of which higher is better.

    The error is the mean of the errors on the validation and the test split after both trainings,
    corrected for its noise.
    """
    missing = pd.Series(np.nan, table.index)
    columns = {
        name: sign * (table.get(SOURCES[name], missing) - chance(table, name))
        for name, sign in OUTCOMES.items()
    }
    follow = table["bug/planted_bug/learned"]
    learned = follow - table["bug/planted_bug/base"] >= LEARNED
    kept = table[["data", "seed", "arm", "genotype"]]
    kept = kept.assign(error=table[list(ERRORS)].mean(axis=1))
    error = calibrated(kept, IMAGES)
    return kept.assign(error=error, **columns, follow=follow, learned=learned)


def chance(table: pd.DataFrame, name: str) -> pd.Series | float:
    """Return the chance level of an outcome, from which the outcome is measured."""
    return table.get(CHANCE[name], np.nan) if name in CHANCE else 0.0


def of_learned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with outcomes of bugs only for networks that learned the bug."""
    return rows.assign(**{name: rows[name].where(rows.learned) for name in OF_BUGS})


def compare(rows: pd.DataFrame, control: str) -> list[Effect]:
    """Return the corrected effects of all arms with two objectives, compared with a control."""
    rng = np.random.default_rng(SEED)
    arms = [arm for arm in ARMS if arm not in CONTROLS]
    found = (effect(rows, name, arm, control, rng) for name in OUTCOMES for arm in arms)
    return corrected([each for each in found if each])


def print_left_out(rows: pd.DataFrame) -> None:
    """Print which data sets are not used for an outcome, and how many networks lack a number."""
    for name in OUTCOMES:
        used = set(standardized(rows, name).data)
        lacking = rows[rows.data.isin(used) & rows[name].isna()].groupby("arm").size().to_dict()
        left_out = [data for data in rows.data.unique() if data not in used]
        sets = ", ".join(left_out) or "none"
        print(f"- {name}: data sets left out: {sets}; networks without a number: {lacking or 0}")
    print()


def report(path: Path, figure: Path | None) -> None:
    """Print all tables and a line of JSON, and draw the effects."""
    table = pd.read_csv(path)
    rows = outcome_rows(table)
    print_means(rows)
    learned = of_learned(rows)
    print_left_out(learned)
    main = compare(learned, "error")
    print_effects("Compared with a search for error alone", main)
    print_effects("Compared with random networks", compare(learned, "random"))
    every = [each for each in compare(rows, "error") if each.outcome in OF_BUGS]
    print_effects("Including networks that did not learn the bug", every)
    if figure:
        from benchmarks.claim_figure import draw

        draw(main).savefig(figure, dpi=120)
    searches = table.drop_duplicates(["data", "seed", "arm"])["search/seconds"].sum()
    trainings = table.drop_duplicates(["data", "seed", "genotype"])["seconds"].sum()
    line = {f"{each.arm}: {each.outcome}": [round(each.value, 3), each.statement] for each in main}
    hours = {"hours": round((searches + trainings) / 3600, 2)}
    print(json.dumps({"networks": len(rows), **hours, **line}))


def print_means(rows: pd.DataFrame) -> None:
    """Print the means of each arm on each data set.

    ``follow`` is the share of images with the watermark that are predicted as the bug's class, and
    ``learned`` is the share of networks that learned the bug.
    """
    names = ["error", "follow", "learned", *OUTCOMES]
    means = rows.groupby(["data", "arm"])[names].mean()
    counts = rows.groupby(["data", "arm"]).size()
    lines = [
        [data, arm, str(counts[data, arm]), *(number(value) for value in means.loc[(data, arm)])]
        for data in rows.data.unique()
        for arm in ARMS
        if (data, arm) in means.index
    ]
    print_table(["data", "arm", "networks", *names], lines)


def number(value: float) -> str:
    """Return three decimals, or nothing for NaN."""
    return f"{value:.3f}" if np.isfinite(value) else ""


def print_effects(title: str, effects: Sequence[Effect]) -> None:
    """Print a table of effects."""
    print(f"**{title}** (standard deviations; smallest effect of interest {OF_INTEREST})\n")
    lines = []
    for each in effects:
        low, high = each.corrected or (each.low, each.high)
        lines.append(
            [
                each.outcome,
                each.arm,
                f"{each.value:.2f} [{each.low:.2f}, {each.high:.2f}]",
                f"[{low:.2f}, {high:.2f}]",
                f"{each.matched:.2f} [{each.matched_low:.2f}, {each.matched_high:.2f}]",
                f"{each.matches} of {each.networks}, {each.same} the same",
                str(each.clusters),
                each.statement,
            ]
        )
    values = ["regression", "corrected", "matched"]
    print_table(["outcome", "arm", *values, "networks", "clusters", "result"], lines)
