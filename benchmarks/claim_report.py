"""Tables and a figure that compare the arms of docs/claim.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claim_searches import ARMS, CONTROLS
from benchmarks.claim_statistics import OF_INTEREST, Effect, corrected, effect
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


def outcome_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each network with its outcomes, for all of which higher is better."""
    chance = {"mask mass": "mask_mass/chance", "fidelity": "fidelity/constant"}
    source = {
        "bug found": "bug/planted_bug",
        "bug repaired": "bug/repair",
        "mask mass": "mask_mass",
        "separability": "separability",
        "disentanglement": "disentanglement",
        "fidelity": "fidelity",
    }
    columns = {}
    for name, sign in OUTCOMES.items():
        values = table.get(source[name], pd.Series(np.nan, table.index))
        columns[name] = sign * (values - (table[chance[name]] if name in chance else 0))
    kept = table[["data", "seed", "arm", "genotype", "test_error"]]
    learned = table["bug/planted_bug/learned"] - table["bug/planted_bug/base"] >= LEARNED
    return kept.assign(**columns, learned=learned)


def compare(rows: pd.DataFrame, control: str) -> list[Effect]:
    """Return the corrected effects of all arms with two objectives, compared with a control."""
    rng = np.random.default_rng(SEED)
    arms = [arm for arm in ARMS if arm not in CONTROLS]
    found = (effect(rows, name, arm, control, rng) for name in OUTCOMES for arm in arms)
    return corrected([each for each in found if each])


def report(path: Path, figure: Path | None) -> None:
    """Print all tables and a line of JSON, and draw the effects."""
    table = pd.read_csv(path)
    rows = outcome_rows(table)
    print_means(rows)
    main = compare(rows, "error")
    print_effects("Compared with a search for error alone", main)
    print_effects("Compared with random networks", compare(rows, "random"))
    bugs = rows.assign(**{name: rows[name].where(rows.learned) for name in list(OUTCOMES)[:2]})
    learned = [each for each in compare(bugs, "error") if each.outcome.startswith("bug")]
    print_effects("Networks that learned the bug, compared with a search for error", learned)
    if figure:
        from benchmarks.claim_figure import draw

        draw(main).savefig(figure, dpi=120)
    hours = table.drop_duplicates(["data", "seed", "genotype"])["seconds"].sum() / 3600
    line = {f"{each.arm}: {each.outcome}": [round(each.value, 3), each.statement] for each in main}
    print(json.dumps({"networks": len(rows), "hours": round(hours, 2), **line}))


def print_means(rows: pd.DataFrame) -> None:
    """Print the mean test error and outcomes of each arm on each data set."""
    names = ["test_error", "learned", *OUTCOMES]
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
                f"{each.regression:.2f} [{each.regression_low:.2f}, {each.regression_high:.2f}]",
                f"{each.matched} of {each.networks}",
                each.statement,
            ]
        )
    head = ["outcome", "arm", "matched", "corrected", "regression", "networks", "result"]
    print_table(head, lines)
