"""Tables and a figure that compare the arms of docs/claim.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claim_errors import calibrated
from benchmarks.claim_searches import ARMS, CONTROLS
from benchmarks.claim_sensitivity import print_sensitivity, recomputed
from benchmarks.claim_statistics import (
    ALPHA,
    COMPARISONS,
    FEWEST_CLUSTERS,
    OF_INTEREST,
    Effect,
    corrected,
    effect,
    scales,
    with_interval,
)
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
NEVER = 16
"""Value of ``bug repaired`` if the bug cannot be undone."""
LEARNED = 0.25
"""Least increase in the share of images predicted as the bug's class for a network that learned the
bug, when the watermark is added."""
FIRST_STUDY = {"digits", "shapes"}
"""Data sets of the study whose statements don't depend on the recomputed intervals."""
LEGEND = f"""\
Differences are in standard deviations of the outcome among random networks; above 0 is better.
*regression* and *matched* have 95% intervals, and *corrected* is the interval for the regression
after Holm's correction for {COMPARISONS} comparisons, on which the result depends. With fewer than
{FEWEST_CLUSTERS} clusters (of a data set and a seed), the result is "undecided". Effects below
{OF_INTEREST} are too small to be of interest.
"""
NOTES = f"""\
`minutes` is the mean computing time of the searches. `follow` is the share of images with the
watermark that are predicted as its class. A network learned the bug if the watermark raises this
share by {LEARNED} or more. `undone` is the share of these networks in which the bug can be undone.
`bug found` and `bug repaired` are for these networks only, so a data set whose networks do not
learn the bug says nothing about them. Chance is 0.5 for `bug found`, and is
subtracted from `mask mass` and `fidelity`; `bug repaired` is {NEVER} if the bug cannot be undone.
"""


def outcome_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each network with its outcomes, for all of which higher is better.

    The error is the mean of the errors on the validation and the test split after the training
    without the watermark, corrected for its noise.
    """
    missing = pd.Series(np.nan, table.index)
    columns = {
        name: sign * (table.get(SOURCES[name], missing) - chance(table, name))
        for name, sign in OUTCOMES.items()
    }
    follow = table["bug/planted_bug/learned"]
    rise = follow - table["bug/planted_bug/base"]
    kept = table[["data", "seed", "arm", "genotype", "test_error"]]
    kept = kept.assign(validation_error=table["error"], minutes=table["search/seconds"] / 60)
    learned = (rise >= LEARNED).astype(float).where(rise.notna())
    undone = (table["bug/repair"] < NEVER).astype(float).where(table["bug/repair"].notna())
    more = {"follow": follow, "learned": learned, "undone": undone.where(learned == 1)}
    return kept.assign(error=calibrated(kept), **columns, **more)


def chance(table: pd.DataFrame, name: str) -> pd.Series | float:
    """Return the chance level of an outcome, from which the outcome is measured."""
    return table.get(CHANCE[name], np.nan) if name in CHANCE else 0.0


def of_learned(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with outcomes of bugs only for networks that learned the bug."""
    return rows.assign(**{name: rows[name].where(rows.learned == 1) for name in OF_BUGS})


def compare(rows: pd.DataFrame, control: str) -> list[Effect]:
    """Return the corrected effects of all arms with two objectives, compared with a control."""
    arms = [arm for arm in ARMS if arm not in CONTROLS]
    effects = corrected([effect(rows, name, arm, control) for name in OUTCOMES for arm in arms])
    if FIRST_STUDY.issuperset(rows.data):
        return effects
    anew = [recomputed(rows, each.outcome, each.arm, control) for each in effects]
    error = ALPHA / COMPARISONS
    return [
        replace(each, recomputed=other.interval(error))
        for each, other in zip(effects, anew, strict=True)
    ]


def left_out(rows: pd.DataFrame, outcome: str) -> list[str]:
    """Return the data sets that are not used for an outcome."""
    used = scales(rows, outcome)
    return [data for data in rows.data.unique() if data not in used]


def print_left_out(rows: pd.DataFrame) -> None:
    """Print each outcome's standard deviation, and which data sets and networks it leaves out."""
    print("**Standard deviations of random networks**, and what is left out\n")
    for name in OUTCOMES:
        without = left_out(rows, name)
        lacks = rows[name].isna() & ~rows.data.isin(without)
        unlearned = lacks & (rows.learned == 0) & (name in OF_BUGS)
        used = ", ".join(f"{data} {value:.3g}" for data, value in scales(rows, name).items())
        text = f"- {name}: standard deviation: {used or 'none'}; "
        text += f"data sets left out: {', '.join(without) or 'none'}; "
        text += f"networks without a number: {by_arm(rows[lacks & ~unlearned])}"
        if name in OF_BUGS:
            text += f"; bug not learned: {by_arm(rows[unlearned])}"
        print(text)
    print()


def by_arm(rows: pd.DataFrame) -> str:
    """Return the numbers of networks of each arm as text."""
    return ", ".join(f"{arm} {n}" for arm, n in rows.groupby("arm").size().items()) or "0"


def report(path: Path, data: Sequence[str], figure: Path | None) -> None:
    """Print all tables and a line of JSON for some data sets, and draw the effects."""
    table = pd.read_csv(path).query("data in @data")
    rows = outcome_rows(table)
    learned = of_learned(rows)
    print_means(learned)
    print(NOTES)
    print_left_out(learned)
    print(LEGEND)
    main = compare(learned, "error")
    print_effects("Compared with a search for error alone", main)
    print_effects("Compared with random networks", compare(learned, "random"))
    every = [each for each in compare(rows, "error") if each.outcome in OF_BUGS]
    print_effects("Including networks that did not learn the bug", every)
    print_sensitivity(learned, main)
    if figure:
        from benchmarks.claim_figure import draw

        without = {name: left_out(learned, name) for name in OUTCOMES}
        draw(main, without).savefig(figure, dpi=120)
    line = {f"{each.arm}: {each.outcome}": summary(each) for each in main}
    print(json.dumps(totals(table) | line))


def totals(table: pd.DataFrame) -> dict[str, float]:
    """Return the numbers of selected and retrained networks, and the computing time in hours."""
    searches = table.drop_duplicates(["data", "seed", "arm"])
    trained = table.drop_duplicates(["data", "seed", "genotype"])
    return {
        "selected": len(table),
        "retrained": len(trained),
        "hours of searches": round(searches["search/seconds"].sum() / 3600, 2),
        "hours of retraining": round(trained.seconds.sum() / 3600, 2),
    }


def summary(each: Effect) -> list[float | str | None]:
    """Return an effect and its statement for a line of JSON."""
    return [round(each.value, 3) if np.isfinite(each.value) else None, each.statement]


def print_means(rows: pd.DataFrame) -> None:
    """Print the means of each arm on each data set, before any sign is turned."""
    names = ["minutes", "error", "follow", "learned", "undone", *OUTCOMES]
    means = rows.groupby(["data", "arm"])[names].mean() * pd.Series(OUTCOMES).reindex(
        names, fill_value=1
    )
    searches = rows.drop_duplicates(["data", "seed", "arm"]).groupby(["data", "arm"])
    means["minutes"] = searches.minutes.mean()
    groups = rows.groupby(["data", "arm"])
    counts, seeds = groups.size(), groups.seed.nunique()
    lines = [
        [data, arm, str(seeds[data, arm]), str(counts[data, arm])]
        + [number(value) for value in means.loc[(data, arm)]]
        for data in rows.data.unique()
        for arm in ARMS
        if (data, arm) in means.index
    ]
    print_table(["data", "arm", "seeds", "networks", *names], lines)


def number(value: float) -> str:
    """Return three decimals, or nothing for NaN."""
    return f"{value:.3f}" if np.isfinite(value) else ""


def print_effects(title: str, effects: Sequence[Effect]) -> None:
    """Print a table of effects."""
    print(f"**{title}**\n")
    lines = [
        [
            each.outcome,
            each.arm,
            with_interval(each.value, each.interval()),
            with_interval(None, each.corrected or each.interval()),
            with_interval(each.matched, each.matched_interval),
            f"{each.matches} of {each.networks} matched, {each.same} the same",
            str(each.clusters),
            each.statement,
        ]
        for each in effects
    ]
    values = ["regression", "corrected", "matched"]
    print_table(["outcome", "arm", *values, "networks", "clusters", "result"], lines)
