"""The tables and the figure of docs/claim.md, for made-up networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.claim_report import OUTCOMES, compare, of_learned, outcome_rows, print_means, report
from benchmarks.claim_searches import ARMS
from benchmarks.claim_sensitivity import left_out, recomputed, without_shared
from benchmarks.claim_statistics import effect


def networks(data: str) -> tuple[np.random.Generator, pd.DataFrame]:
    """Return a generator, and 200 networks whose errors are known without noise."""
    rng = np.random.default_rng(0)
    names = [(seed, arm) for seed in range(10) for arm in ARMS for _ in range(4)]
    rows = pd.DataFrame(names, columns=["seed", "arm"]).assign(data=data, genotype=range(200))
    errors = rng.uniform(0.01, 0.1, 200)
    return rng, rows.assign(error=errors, validation_error=errors, test_error=errors)


def test_effects_are_in_the_columns_that_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(12):
        for arm in ARMS:
            for _ in range(4):
                errors = dict.fromkeys(("error", "test_error"), 0.1)
                gain = 3.0 * (arm == "activations")
                rows.append(
                    {"data": "digits", "seed": seed, "arm": arm, "genotype": f"cell {len(rows)}"}
                    | errors
                    | {"separability": rng.normal() + gain, "fidelity": np.nan}
                    | {"fidelity/constant": 0.1, "disentanglement": rng.normal()}
                    | {"bug/planted_bug": 0.5, "bug/planted_bug/learned": 0.0}
                    | {"bug/planted_bug/base": 0.0, "bug/repair": 0.0}
                    | {"search/seconds": 10.0, "seconds": 1.0}
                )
    rows += [row | {"data": "shapes"} for row in rows]
    pd.DataFrame(rows).to_csv(tmp_path / "claim.csv.gz", index=False)
    report(tmp_path / "claim.csv.gz", ["digits"], tmp_path / "effects.png")
    printed = capsys.readouterr().out
    assert "- bug found: standard deviation: none; data sets left out: digits; " in printed
    head = "| outcome | arm | regression | corrected | matched | networks | clusters | result |"
    assert head in printed
    found = next(line for line in printed.splitlines() if "separability | activations" in line)
    cells = [cell.strip() for cell in found.strip("|").split("|")]
    assert float(cells[2].split()[0]) == pytest.approx(3, abs=0.7)
    assert cells[5:] == ["48 of 48 matched, 0 the same", "12", "better"]
    other = printed.split("**Other ways to compare**")[1]
    assert "| outcome | arm | recomputed | measured errors |" in other
    assert other.count("| separability | activations | ") == 1 and "| bug found |" not in other
    assert "| bug found | activations |  |  |  | 0 of 0 matched, 0 the same | 0 | not m" in printed
    assert "- trained well: networks left out: none\n" in other
    line = json.loads(printed.splitlines()[-1])
    assert line["activations: separability"][1] == "better"
    assert line["activations: bug found"] == [None, "not measured"]
    assert (tmp_path / "effects.png").stat().st_size > 1000


def test_outcomes_are_taken_at_the_error_without_the_watermark() -> None:
    # A learned bug raises the error on images without the watermark, which is an effect of the bug.
    table = pd.DataFrame(
        {"data": "a", "seed": 0, "arm": "error", "genotype": ["1", "2", "3", "4"]}
        | {"error": [0.1, 0.2, 0.3, 0.4], "test_error": [0.1, 0.2, 0.3, 0.4]}
        | {"bug/error": 0.7, "bug/test_error": 0.7, "search/seconds": 60.0}
        | {"bug/planted_bug/learned": [0.3, 0.24, 0.9, np.nan], "bug/planted_bug/base": 0.0}
        | {"bug/planted_bug": 0.9, "bug/repair": [4.0, 4.0, 16.0, np.nan]}
    )
    rows = outcome_rows(table)
    assert rows.error.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    repaired = of_learned(rows)["bug repaired"].tolist()
    assert repaired == pytest.approx([-4, np.nan, -16, np.nan], nan_ok=True)
    assert rows.learned.mean() == pytest.approx(2 / 3)  # of those that are known


def test_the_time_of_a_search_counts_once(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame(
        {"data": "a", "seed": [0, 1, 1, 1], "arm": "activations", "genotype": list("wxyz")}
        | {"error": 0.1, "test_error": 0.1, "search/seconds": [60.0, 180.0, 180.0, 180.0]}
        | {"bug/planted_bug/learned": 0.0, "bug/planted_bug/base": 0.0, "bug/repair": 0.0}
    )
    print_means(outcome_rows(table))
    assert "| a | activations | 2 | 4 | 2.000 | 0.100 | " in capsys.readouterr().out


def test_shared_networks_are_left_out_of_the_arm_alone() -> None:
    rows = pd.DataFrame(
        [("a", 0, "error", "x"), ("a", 0, "activations", "x"), ("a", 0, "activations", "y")]
        + [("a", 1, "activations", "x"), ("a", 0, "random", "x")],
        columns=["data", "seed", "arm", "genotype"],
    )
    kept = without_shared(rows)
    assert kept.index.tolist() == [0, 2, 3, 4]
    assert left_out(rows, kept) == "a activations 1" and left_out(rows, rows) == "none"


def test_the_second_study_also_needs_recomputed_intervals() -> None:
    rng, rows = networks("mnist5k")
    rows = rows.assign(**dict.fromkeys(OUTCOMES, np.nan))
    rows["separability"] = rng.normal(size=200) + 3 * (rows.arm == "activations")
    found = next(each for each in compare(rows, "error") if each.statement == "better")
    assert (found.arm, found.outcome) == ("activations", "separability") and found.recomputed
    for interval in ((-0.1, 3.0), (np.nan, np.nan)):
        assert replace(found, recomputed=interval).statement == "undecided"
    first = compare(rows.assign(data="digits"), "error")
    assert all(each.recomputed is None for each in first)


def test_errors_without_differences_between_splits_are_recomputed_the_same() -> None:
    """Without noise, nothing but the outcomes' unit changes with the clusters."""
    rng, rows = networks("a")
    rows["y1"] = rng.normal(size=200) + (rows.arm == "activations")
    found = recomputed(rows, "y1", "activations", "error")
    usual = effect(rows, "y1", "activations", "error")
    assert found.value == usual.value
    assert found.error == pytest.approx(usual.error, rel=0.2) and found.error != usual.error
