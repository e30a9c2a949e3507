"""The benchmark's figures, on rows of which they are known."""

import numpy as np
import pytest

from benchmarks import debuggability_statistics
from benchmarks.introspectability_models import jobs
from benchmarks.introspectability_report import ESTIMATORS, SOURCES, print_report
from xnas_tf.spaces.cells import network_of

KEYS = [f"{source}/{estimator}" for source in SOURCES for estimator in ESTIMATORS]


def make_rows(cells=12, seeds=2, gaps=(0.03, -0.01)):
    """Activations fall with the error, attributions grow with it; a draw is off by its gap."""
    rows = []
    for seed in range(seeds):
        for cell in range(cells):
            sign = {source: -1 if source == "activations" else 1 for source in SOURCES}
            whole = {key: 0.5 + sign[key.split("/")[0]] * cell / 100 for key in KEYS}
            row = {"cell": cell, "seed": seed, "error": cell / 50 + seed / 1000, "all": whole}
            if seed == 0:
                row["draws"] = [{key: whole[key] + gap for key in KEYS} for gap in gaps]
                row["standard_error"] = dict.fromkeys(SOURCES, 0.02)
            rows.append(row)
    return rows


def test_figures_of_known_rows(capsys, monkeypatch):
    monkeypatch.setattr(debuggability_statistics, "RESAMPLES", 100)
    figures = print_report(make_rows(), images=512)
    assert "| activations | unbiased | +0.0100 | +0.0300, -0.0100 |" in capsys.readouterr().out
    for key in KEYS:
        assert figures[f"{key}/bias"] == pytest.approx(0.01)
        assert figures[f"{key}/difference"] == pytest.approx(0.03)
        assert figures[f"{key}/agreement"] == pytest.approx(1)
    shown = np.sqrt((0.03**2 + 0.01**2) / 2 / (1 - 128 / 512))
    assert figures["grad_cam/standard_error_ratio"] == pytest.approx(0.02 / shown)
    assert figures["activations/sd_seeds"] == pytest.approx(0)
    assert figures["spearman/activations/error/unbiased"] == pytest.approx(-1)
    assert figures["spearman/grad_cam/error/unbiased/low"] == pytest.approx(1)
    assert figures["spearman/activations/grad_cam/plain"] == pytest.approx(-1)


def test_cells_are_distinct_and_a_seed_comes_after_the_other():
    found = jobs(40, 3)
    assert len({job.name for job in found}) == 120
    assert [job.seed for job in found] == sorted(job.seed for job in found)
    assert len({network_of(job.operations) for job in found}) == 40
