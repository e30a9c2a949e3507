"""The tables and the figure of docs/claim.md, for made-up networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import claim_statistics
from benchmarks.claim_report import report
from benchmarks.claim_searches import ARMS


def test_effects_are_in_the_columns_that_name_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_statistics, "RESAMPLES", 200)
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(12):
        for arm in ARMS:
            for _ in range(4):
                errors = dict.fromkeys(("error", "test_error", "bug/error", "bug/test_error"), 0.1)
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
    pd.DataFrame(rows).to_csv(tmp_path / "claim.csv.gz", index=False)
    report(tmp_path / "claim.csv.gz", tmp_path / "effects.png")
    printed = capsys.readouterr().out
    assert "- bug found: data sets left out: digits; networks without a number: 0" in printed
    head = "| outcome | arm | regression | corrected | matched | networks | clusters | result |"
    assert head in printed
    found = next(line for line in printed.splitlines() if "separability | activations" in line)
    cells = [cell.strip() for cell in found.strip("|").split("|")]
    assert float(cells[2].split()[0]) == pytest.approx(3, abs=0.7)
    assert cells[5:] == ["48 of 48, 0 the same", "12", "better"]
    assert '"activations: separability"' in printed.splitlines()[-1]
    assert (tmp_path / "effects.png").stat().st_size > 1000
