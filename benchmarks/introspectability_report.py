"""Prints tables of introspectability by number of images, and of its rank correlations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.common import print_table
from benchmarks.debuggability_statistics import interval, spearman

SOURCES = ("activations", "grad_cam", "integrated_gradients")
PAIRS = tuple((a, b) for i, a in enumerate(SOURCES) for b in SOURCES[i + 1 :])
ESTIMATORS = ("unbiased", "plain")
FEW = 128
FIRST = 20
"""Number of cells for which the differences are also reported separately."""
Row = dict[str, Any]
BIAS_TEXT = f"""
{FEW} images compared with all images, for networks of the first seed. Bias: the mean difference
over draws and networks. By draw: the mean difference over networks. Of a cell: the absolute
difference of its mean over draws, which is due to the number of images, averaged over the first
{FIRST} cells. The mean absolute difference and the rank agreement (Spearman over cells) are those
of the single draw that a search uses, and include chance.
"""
ERROR_TEXT = """
Standard error (root mean square over networks of the first seed), compared with the root mean
square of the differences over draws, divided by the root of one minus the share of the images:
"""
CORRELATION_TEXT = """
Spearman over cells (means over seeds, all images), with 95% bootstrap intervals over cells; in
brackets, intervals by Fisher's transformation:
"""


def print_report(rows: Sequence[Row], images: int = 1000) -> dict[str, float]:
    """Print all tables.

    Args:
        rows: A row for each network, for all seeds of all cells.
        images: Total number of validation images.

    Returns: The results by name.
    """
    figures = bias(rows) | standard_errors(rows, images)
    return figures | seeds(rows) | correlations(rows)


def table(rows: Sequence[Row], value: Callable[[Row], Any]) -> np.ndarray:
    """Return a value of each network, (cells, seeds, ...)."""
    cells, of_seeds = (sorted({row[key] for row in rows}) for key in ("cell", "seed"))
    found = {(row["cell"], row["seed"]): value(row) for row in rows}
    return np.array([[found[cell, seed] for seed in of_seeds] for cell in cells])


def bias(rows: Sequence[Row]) -> dict[str, float]:
    """Print the difference between values on ``FEW`` images and on all images."""
    print(BIAS_TEXT)
    head = ["source", "estimator", "bias", "by draw", "of a cell", "absolute difference"]
    head += [f"of the first {FIRST} cells", "rank agreement"]
    figures, lines = {}, []
    for source in SOURCES:
        for estimator in ESTIMATORS:
            key = f"{source}/{estimator}"
            gap = _gaps(rows, key)
            whole = table(rows, lambda row, k=key: row["all"][k])[:, 0]
            found = {
                "bias": gap.mean(),
                "bias_of_a_cell": np.abs(gap[:FIRST].mean(axis=1)).mean(),
                "difference": np.abs(gap[:, 0]).mean(),
                "difference_of_first": np.abs(gap[:FIRST, 0]).mean(),
                "agreement": spearman(whole + gap[:, 0], whole),
            }
            by_draw = ", ".join(f"{each:+.4f}" for each in gap.mean(axis=0))
            first, *others, last = found.values()
            shown = [f"{first:+.4f}", by_draw, *(f"{each:.4f}" for each in others), f"{last:.2f}"]
            lines.append([source, estimator, *shown])
            figures |= {f"{key}/{name}": float(value) for name, value in found.items()}
    print_table(head, lines)
    return figures


def standard_errors(rows: Sequence[Row], images: int) -> dict[str, float]:
    """Compare standard errors with the differences, corrected for the images that both share."""
    print(ERROR_TEXT)
    figures, lines = {}, []
    for source in SOURCES:
        told = np.array([row["standard_error"][source] for row in rows if row["seed"] == 0])
        gap = _gaps(rows, f"{source}/unbiased")
        size = np.sqrt(np.square(told).mean())
        shown = np.sqrt(np.square(gap).mean() / (1 - FEW / images))
        lines.append([source, f"{size:.4f}", f"{shown:.4f}", f"{size / shown:.2f}"])
        figures[f"{source}/standard_error"] = float(size)
        figures[f"{source}/standard_error_ratio"] = float(size / shown)
    print_table(["source", "standard error", "from differences", "ratio"], lines)
    return figures


def seeds(rows: Sequence[Row]) -> dict[str, float]:
    """Compare how much a value changes between trainings of a cell and between cells."""
    print("\nStandard deviations of the value on all images:\n")
    figures, lines = {}, []
    for source in SOURCES:
        values = table(rows, lambda row, k=f"{source}/unbiased": row["all"][k])
        between = np.sqrt(values.var(axis=1, ddof=1).mean()) if values.shape[1] > 1 else np.nan
        cells = values.mean(axis=1).std(ddof=1)
        lines.append([source, f"{values.mean():.3f}", f"{between:.3f}", f"{cells:.3f}"])
        figures |= {f"{source}/sd_seeds": float(between), f"{source}/sd_cells": float(cells)}
    print_table(["source", "mean", "between seeds of a cell", "between cells' means"], lines)
    return figures


def correlations(rows: Sequence[Row]) -> dict[str, float]:
    """Print rank correlations of means over seeds, on all images."""
    print(CORRELATION_TEXT)
    lines = []
    error = table(rows, lambda row: row["error"]).mean(axis=1)
    figures: dict[str, float] = {}
    sides: list[tuple[str, str | None]] = [*((s, None) for s in SOURCES), *PAIRS]
    for one, other in sides:
        cells = []
        for estimator in ESTIMATORS:
            a, b = (_means(rows, each, estimator) if each else error for each in (one, other))
            resampled = interval(spearman, a[:, None], b[:, None], rng=np.random.default_rng(0))
            found, low, high = resampled.value, resampled.low, resampled.high
            fisher = np.tanh(
                np.arctanh(np.clip(found, -1 + 1e-9, 1 - 1e-9))
                + np.array([-1.96, 1.96]) / np.sqrt(len(a) - 3)
            )
            cells.append(
                f"{found:+.2f} [{low:+.2f}, {high:+.2f}] ({fisher[0]:+.2f} to {fisher[1]:+.2f})"
            )
            name = f"spearman/{one}/{other or 'error'}/{estimator}"
            figures |= {name: found, f"{name}/low": low, f"{name}/high": high}
        lines.append([f"{one} and {other or 'error'}", *cells])
    print_table(["", *ESTIMATORS], lines)
    return figures


def _gaps(rows: Sequence[Row], key: str) -> np.ndarray:
    """Return each draw's difference from all images for the first seed, (cells, draws)."""
    first = [row for row in rows if row["seed"] == 0]
    return np.array([[draw[key] - row["all"][key] for draw in row["draws"]] for row in first])


def _means(rows: Sequence[Row], source: str, estimator: str) -> np.ndarray:
    return table(rows, lambda row: row["all"][f"{source}/{estimator}"]).mean(axis=1)
