"""Figures of a disentangled network; undefined values are left blank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.interpretation.drawing import (
    BLUE,
    GREY,
    MOST_CELLS,
    ORANGE,
    PALE,
    draw_image,
    name_ticks,
    new_figure,
    short,
    ticks_width,
    wrapped,
)
from xnas_tf.interpretation.nad.metrics import defined_deviation, defined_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure

    from xnas_tf.interpretation.nad.evaluation import Mistakes, PathHits
    from xnas_tf.interpretation.nad.masks import Paths

CHOSEN = 4
"""Maximum number of classes to draw paths for, and of layers to draw maps for."""
SHOWN = 6
"""Maximum number of collages and of misclassified images to draw."""


def drawings(
    paths: Paths, confusion: np.ndarray, hits: PathHits | None, mistakes: Mistakes
) -> dict[str, Callable[[], Figure]]:
    """Return the functions that draw the available figures, by name; see ``Disentanglement``."""
    available: dict[str, Callable[[], Figure]] = {
        "similarity": lambda: _similarity_figure(paths, confusion),
        "kept": lambda: _depth_figure(paths, paths.share, "channels kept"),
        "layer_similarity": lambda: _layer_similarity_figure(paths),
        "paths": lambda: _paths_figure(paths),
    }
    if hits is not None:
        available["hit_rate"] = lambda: _hit_rate_figure(paths, hits)
        available["collages"] = lambda: _collages_figure(paths, hits)
    if len(mistakes.labels):
        available["mistakes"] = lambda: _mistakes_figure(paths, mistakes)
    return available


def _hit_rate_figure(paths: Paths, hits: PathHits) -> Figure:
    """Draw the paths' hit rate by depth, and the hit rate expected by chance."""
    chance = np.full(len(paths.layers), hits.collages.chance)
    name = f"chance: {hits.collages.chance:.2f}"
    return _depth_figure(paths, hits.by_class, "path hit rate ↑", chance, name)


def _similarity_figure(paths: Paths, confusion: np.ndarray) -> Figure:
    """Draw the corrected similarity of each pair of paths next to the network's confusions."""
    names, similarity = paths.class_names, paths.similarity
    side = 1.4 + 0.36 * min(MOST_CELLS, len(names)) + ticks_width(names)
    figure = new_figure(2 * side + 0.8, side + 0.5)
    left, right = figure.subplots(1, 2)
    low = min(-0.1, float(similarity.min()))  # includes 0, the similarity of random paths
    bar = _draw_matrix(left, similarity, names, "{:.2f}", low)
    bar.ax.axhline(0, color=ORANGE, linestyle="--", linewidth=2)  # expected by chance
    left.set_title("similarity of paths ↓\n(random paths: 0)", fontsize=9)
    percent = np.where(np.eye(len(names), dtype=bool), np.nan, 100 * confusion)
    largest = max(10, float(np.nan_to_num(percent).max()))  # tiny ones must not look large
    _draw_matrix(right, percent, names, "{:.1f}", 0, largest)
    right.set_title("mean probability, %\n(rows: class of the images)", fontsize=9)
    return figure


def _layer_similarity_figure(paths: Paths) -> Figure:
    """Draw each class's mean Jaccard index with the others by depth, and that of random paths."""

    def by_class(similarity: np.ndarray) -> np.ndarray:  # (L, K, K) to (L, K)
        own = np.diagonal(similarity, axis1=1, axis2=2)
        return (similarity.sum(axis=2) - own) / (similarity.shape[1] - 1)

    similarity = by_class(paths.layer_uncorrected_similarity)
    expected = by_class(paths.layer_expected_similarity).mean(axis=1)
    label, name = "channels that two paths share", "expected for random paths"
    return _depth_figure(paths, similarity, label, expected, name)


def _paths_figure(paths: Paths) -> Figure:
    """Draw the paths of the first classes, with one column per layer and one bar per channel."""
    from matplotlib.patches import Patch  # noqa: PLC0415 - heavy

    names = paths.class_names[:CHOSEN]
    count = len(paths.layers)
    width = max(2.0, 0.2 * count)
    figure = new_figure(1.2 + width * len(names), 4.6)
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for unit, (axis, name) in enumerate(zip(axes, names, strict=True)):
        for layer, mask in enumerate(paths.hard):
            kept = mask[unit] > 0
            shared = kept & (mask[:CHOSEN].sum(axis=0) > 1)
            colours = np.where(shared, ORANGE, np.where(kept, BLUE, PALE))
            heights = (np.arange(len(kept)) + 0.5) / len(kept)
            axis.barh(heights, 0.8, 0.8 / len(kept), layer - 0.4, color=colours)
        axis.set_title(wrapped(name, width, 9), fontsize=9)
        axis.set(xticks=range(count), xticklabels=range(1, count + 1), yticks=[], ylim=(0, 1))
        axis.tick_params(labelsize=7, axis="x", rotation=90 if count > 9 else 0)
        axis.set_xlabel("layer", fontsize=8)
    axes[0].set_ylabel("channels", fontsize=8)
    labels = {BLUE: "on this path only", ORANGE: "shared", PALE: "not on it"}
    handles = [Patch(color=colour, label=label) for colour, label in labels.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _collages_figure(paths: Paths, hits: PathHits) -> Figure:
    """Draw collages of different classes, with maps of their class's path in some layers."""
    _, first = np.unique(hits.owners, return_index=True)
    drawn = first[:SHOWN]
    layers = np.unique(np.linspace(0, len(paths.layers) - 1, CHOSEN).round().astype(int))
    texts = [wrapped(f"path of {paths.class_names[hits.owners[n]]}", 1.4) for n in drawn]
    lines = 1 + max(text.count("\n") for text in texts)
    figure = new_figure(1.5 * len(drawn) + 0.8, 1.6 * (1 + len(layers)) + 0.13 * lines + 0.2)
    axes = figure.subplots(1 + len(layers), len(drawn), squeeze=False)
    for column, number, text in zip(axes.T, drawn, texts, strict=True):
        image = hits.collages.images[number]
        region = hits.collages.inside[number]
        column[0].set_title(text, fontsize=8)
        _draw_framed(column[0], image, region)
        for axis, layer in zip(column[1:], layers, strict=True):
            _draw_framed(axis, image, region)
            axis.imshow(hits.maps[hits.owners[number]][layer], cmap="cividis", alpha=0.75)
            rate = hits.rates[layer, number]
            axis.set_title(f"{rate:.0%} inside" if np.isfinite(rate) else "empty", fontsize=7)
    labels = ["collage", *(f"{layer + 1}: {short(paths.layers[layer])}" for layer in layers)]
    for axis, label in zip(axes[:, 0], labels, strict=True):
        axis.set_ylabel(label, fontsize=7)
    return figure


def _mistakes_figure(paths: Paths, mistakes: Mistakes) -> Figure:
    """Draw each class's first mistake, with its agreement with both classes' paths by depth."""
    names = paths.class_names
    drawn = np.unique(mistakes.labels, return_index=True)[1][:SHOWN]
    figure = new_figure(7, 1.7 * len(drawn) + 0.7)
    axes = figure.subplots(len(drawn), 2, width_ratios=(1, 3), squeeze=False)
    depth = np.arange(1, len(paths.layers) + 1)
    for (left, right), number in zip(axes, drawn, strict=True):
        true, predicted = names[mistakes.labels[number]], names[mistakes.predicted[number]]
        draw_image(left, mistakes.images[number])
        text = wrapped(f"{true}, predicted {predicted}", 1.6)
        left.set_title(text, fontsize=8, color="#a00")
        right.plot(depth, mistakes.right[:, number], "o-", color=BLUE, label=f"path of {true}")
        label = f"path of {predicted}"
        right.plot(depth, mistakes.wrong[:, number], "s-", color=ORANGE, label=label)
        right.axhline(1, color=GREY, linewidth=1)
        right.set_ylabel("agreement", fontsize=8)
        right.legend(fontsize=7)
        right.tick_params(labelsize=7)
        right.set_xticks(depth)
        right.grid(alpha=0.3)
    axes[-1, 1].set_xlabel("layer", fontsize=8)
    return figure


def _depth_figure(
    paths: Paths, values: np.ndarray, label: str, expected: np.ndarray | None = None, name: str = ""
) -> Figure:
    """Draw shares (L, K) by depth, one dot per class, their means, and those of chance, (L,)."""
    layers = paths.layers
    figure = new_figure(2.4 + 0.32 * max(8, len(layers)), 4.2)
    axis = figure.subplots()
    dots: dict[str, Any] = {"markersize": 6, "markerfacecolor": GREY, "markeredgecolor": "black"}
    # Drawn above the error bars, which often end at a class's value.
    axis.plot(values, "o", **dots, zorder=4)
    axis.plot([], [], "o", **dots, label="a class")
    mean, deviation = defined_mean(values, axis=1), defined_deviation(values, axis=1)
    places, spread = np.arange(len(layers)), "mean ± deviation"
    axis.errorbar(places, mean, deviation, fmt="s-", color=BLUE, capsize=8, label=spread)
    if expected is not None:  # drawn above the means
        axis.plot(expected, "--", color=ORANGE, linewidth=2, zorder=5, label=name)
    labels = [f"{number}: {short(layer)}" for number, layer in enumerate(layers, start=1)]
    axis.set_xticks(range(len(layers)), labels, rotation=60, ha="right", fontsize=7)
    axis.set(ylabel=label, ylim=(0, 1.03))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def _draw_matrix(
    axis: Axes,
    values: np.ndarray,
    names: Sequence[str],
    form: str,
    low: float,
    high: float | None = None,
) -> Colorbar:
    """Draw a matrix (K, K) in colours from ``low`` to ``high``; return its colour bar."""
    picture = axis.imshow(values, cmap="cividis", vmin=low, vmax=high)
    bar = axis.figure.colorbar(picture, ax=axis, shrink=0.8)
    name_ticks(axis, names, names)
    middle = sum(picture.get_clim()) / 2 if np.isfinite(values).any() else 0
    for (row, column), value in np.ndenumerate(values) if len(names) <= 12 else ():
        if np.isfinite(value):
            colour = "white" if value < middle else "black"
            text = form.format(value)
            axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)
    return bar


def _draw_framed(axis: Axes, image: np.ndarray, region: np.ndarray) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - heavy

    draw_image(axis, image)
    down, across = np.nonzero(region)
    corner = float(across.min()) - 0.5, float(down.min()) - 0.5
    width, height = float(np.ptp(across)) + 1, float(np.ptp(down)) + 1
    frame = Rectangle(corner, width, height, fill=False, color=ORANGE, linewidth=2, zorder=3)
    axis.add_patch(frame)
