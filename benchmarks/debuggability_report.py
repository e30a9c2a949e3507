"""Prints the tables and draws the figure of the debuggability benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import print_table
from benchmarks.debuggability_statistics import (
    Interval,
    cell_means,
    half_means,
    high_minus_low,
    interval,
    reliability,
    spearman,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xnas_tf.explanation import Explanation

MEASURES = {
    "attributions": "of Grad-CAM and integrated gradients, on images without a patch",
    "activations": "of activations, on images without a patch",
}
OTHERS = {"searched": "as the search sees it", "control": "of the control"}
"""Further measures with Grad-CAM and integrated gradients: on validation images with the planted
patches, and for the models trained without the bug."""
IMAGES = {"own": "own patch", "flipped": "flipped"}
"""Kinds of explained images, with their names in tables."""
ACCURACIES = {"clean": "no patch", "own": "own patch", "wrong": "wrong patch"}


@dataclass(frozen=True)
class Row:
    """Measurements of one model that was trained with the bug."""

    cell: int
    seed: int
    variant: str
    figures: dict[str, float]


class Columns:
    """The rows as arrays over cells and seeds.

    Attributes:
        variants: Names of the variants.
        maps: Variant, kind of images and method for all attributions.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._cells = sorted({row.cell for row in rows})
        self._seeds = sorted({row.seed for row in rows})
        self.variants = tuple(dict.fromkeys(row.variant for row in rows))
        known = dict.fromkeys(name for row in rows for name in row.figures)
        methods = [n.split("/")[1] for n in known if n.startswith("own/") and n.endswith("/mass")]
        self.maps = [(v, kind, m) for v in self.variants for kind in IMAGES for m in methods]

    def __call__(self, variant: str, name: str) -> np.ndarray:
        """Return a measurement, (cells, seeds); NaN if a model does not have it."""
        column = np.full((len(self._cells), len(self._seeds)), np.nan)
        for row in self._rows:
            if row.variant == variant:
                place = self._cells.index(row.cell), self._seeds.index(row.seed)
                column[place] = row.figures.get(name, np.nan)
        return column

    def beside_control(self, variant: str, name: str) -> str:
        """Return the mean over the cells and, in brackets, the mean for models without the bug."""
        return f"{self.mean(variant, name):.2f} ({self.mean(variant, f'{name}/control'):.2f})"

    def mean(self, variant: str, name: str) -> float:
        """Return the mean over the cells that have this measurement."""
        return float(cell_means(self(variant, name)).mean())


def print_report(rows: Sequence[Row], rng: np.random.Generator) -> dict[str, list[float | None]]:
    """Print all tables as Markdown.

    Args:
        rows: All models, for several cells and seeds.
        rng: Draws the resamples.

    Returns:
        The value, low end and high end of each measurement that has an interval, by name.
    """
    columns = Columns(rows)
    figures = {**print_reliance(columns, rng), **print_revealed(columns, rng)}
    for measure in MEASURES:
        figures |= print_halves(columns, measure, rng)
    figures |= print_others(columns, rng)
    return {name: found.rounded() for name, found in figures.items()}


def print_reliance(columns: Columns, rng: np.random.Generator) -> dict[str, Interval]:
    """Print how accurate models are with and without the patch, how many images it flips, and how
    the bug changes introspectability."""
    found, lines = {}, []
    for variant in columns.variants:
        line = [columns.beside_control(variant, f"accuracy/{each}") for each in ACCURACIES]
        reliance = interval(np.mean, columns(variant, "reliance"), rng=rng)
        control = columns.mean(variant, "reliance/control")
        by_bug = columns(variant, "attributions") - columns(variant, "control")
        gain = interval(np.mean, by_bug, rng=rng)
        lines.append([variant, *line, f"{reliance} ({control:.3f})", f"{gain:.3f}"])
        found |= {f"{variant}/reliance": reliance, f"{variant}/introspectability/gain": gain}
    print("Test accuracy, share flipped by a wrong patch (in brackets: without the bug), and the")
    print("increase in introspectability due to the bug, on images without a patch:\n")
    print_table(["variant", *ACCURACIES.values(), "flipped", "introspectability"], lines)
    return found


def print_revealed(columns: Columns, rng: np.random.Generator) -> dict[str, Interval]:
    """Print how strongly attributions point to the patch, over all cells."""
    found, lines = {}, []
    for variant, kind, method in columns.maps:
        models = np.isfinite(columns(variant, f"{kind}/{method}/mass")).sum()
        line = [variant, IMAGES[kind], method, str(models)]
        for figure in ("mass", "rank"):
            name = f"{kind}/{method}/{figure}"
            gain = interval(np.mean, columns(variant, f"{name}/gain"), rng=rng)
            found[f"{variant}/{name}/gain"] = gain
            line += [columns.beside_control(variant, name), str(gain)]
        for figure in ("top1", "top5"):
            line.append(columns.beside_control(variant, f"{kind}/{method}/{figure}"))
        lines.append(line)
    print("What attributions show (in brackets: the control on the same images):\n")
    figures = ["mass ratio", "gain", "rank", "gain", "first", "first 5%"]
    print_table(["variant", "images", "method", "models", *figures], lines)
    return found


def print_halves(columns: Columns, measure: str, rng: np.random.Generator) -> dict[str, Interval]:
    """Print a comparison of cells with low and high introspectability, by one measure."""
    found, lines = {}, []
    print(f"Introspectability {MEASURES[measure]}:\n")
    for variant in columns.variants:
        print(f"- {variant}: {spread_of(columns(variant, measure))}")
    for variant, images, title, name in outcomes(columns):
        by, values = columns(variant, measure), columns(variant, name)
        is_share, key = "/mass/" not in name, f"{variant}/{name}/{measure}"
        spec = ".3f" if is_share else ".2f"
        halves = [format(half, spec) for half in half_means(*cell_means(by, values))]
        apart = found[f"{key}/difference"] = interval(high_minus_low, by, values, rng=rng)
        rho = found[f"{key}/spearman"] = interval(spearman, by, values, rng=rng)
        line = [variant, images, title, *halves, format(apart, spec), str(rho), ""]
        if not is_share:
            ranks = name.replace("/mass/", "/rank/")
            rho = interval(spearman, by, columns(variant, ranks), rng=rng)
            found[f"{variant}/{ranks}/{measure}/spearman"] = rho
            line[-1] = str(rho)
        lines.append(line)
    print()
    head = ["variant", "images", "figure", "low", "high", "high - low", "Spearman"]
    print_table([*head, "Spearman of rank's gain"], lines)
    return found


def print_others(columns: Columns, rng: np.random.Generator) -> dict[str, Interval]:
    """Print rank correlations with introspectability measured in other ways."""
    found, lines = {}, []
    for variant, images, title, name in outcomes(columns):
        line = [variant, images, title]
        for measure in OTHERS:
            both = columns(variant, measure), columns(variant, name)
            rho = found[f"{variant}/{name}/{measure}/spearman"] = interval(spearman, *both, rng=rng)
            line.append(str(rho))
        lines.append(line)
    print("Spearman with introspectability by Grad-CAM and integrated gradients, other images:\n")
    print_table(["variant", "images", "figure", *OTHERS.values()], lines)
    return found


def spread_of(column: np.ndarray) -> str:
    """Describe how much cells differ in introspectability, and how reliably."""
    (means,) = cell_means(column)
    low, high = half_means(means, means)
    return (
        f"cells from {means.min():.3f} to {means.max():.3f}, half means {low:.3f} and "
        f"{high:.3f}, reliability {reliability(column):.2f}"
    )


def outcomes(columns: Columns) -> Iterator[tuple[str, str, str, str]]:
    """Yield the variant, images, title and name of each measurement to compare halves by."""
    for variant in columns.variants:
        yield variant, "all", "share flipped", "reliance"
        yield variant, "all", "accuracy without a patch", "accuracy/clean"
        yield variant, "all", "the same for the control", "accuracy/clean/control"
        for of_variant, kind, method in columns.maps:
            if of_variant == variant:
                name = f"{kind}/{method}/mass/gain"
                yield variant, IMAGES[kind], f"{method}, gain in mass ratio", name


def example_figure(rows: Sequence[Row], examples: Mapping[int, Explanation]) -> Figure:
    """Draw a cell with low and a cell with high introspectability side by side.

    Args:
        rows: All models.
        examples: Explained images of the first variant and seed, by cell. The cells with the lowest
            and the highest introspectability among them are drawn.
    """
    first = [row for row in rows if (row.variant, row.seed) == (rows[0].variant, rows[0].seed)]
    known = {r.cell: r.figures["attributions"] for r in first if r.cell in examples}
    low, high = min(known, key=known.get), max(known, key=known.get)
    one, other = examples[low], examples[high]
    arrays = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("images", "probabilities", "targets", "labels")
    }
    maps = {method: np.concatenate([own, other.maps[method]]) for method, own in one.maps.items()}
    title = (
        f"Digits flipped by a patch. Left: introspectability {known[low]:.2f}, the lowest; "
        f"right: {known[high]:.2f}, the highest"
    )
    return replace(one, **arrays, maps=maps).figure(title)
