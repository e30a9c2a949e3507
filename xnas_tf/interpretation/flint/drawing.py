"""Figures of an interpreted classifier; undefined values are left blank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.interpretation.drawing import BLUE, GREY, ORANGE, draw_image, name_ticks, new_figure
from xnas_tf.interpretation.flint import metrics
from xnas_tf.interpretation.flint.activation import maximize_activation
from xnas_tf.interpretation.flint.metrics import TAU

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xnas_tf.interpretation.flint.interpretation_data import InterpretationData

PAIRS = 10
"""Largest number of pairs of a class and an attribute that are drawn."""
SAMPLES = 3
"""Images of each pair."""
SHOWN = 5
"""Largest number of explained images, and of disagreements, that are drawn."""
TOP = 3
"""Attributes drawn for an image."""


def drawings(
    found: InterpretationData, title: str = "", explained: Sequence[int] = ()
) -> dict[str, Figure]:
    """Draw all figures that there is data for, by name.

    Args:
        found: The classifier.
        title: The title of each figure.
        explained: See ``explanations_figure``.
    """
    drawn = {
        "relevance": relevance_figure(found),
        "conciseness": conciseness_figure(found),
        "explanations": explanations_figure(found, explained),
    }
    if pairs(found):
        drawn["attributes"] = attributes_figure(found)
    if not found.answers.agrees.all():
        drawn["disagreements"] = disagreements_figure(found)
    for figure in drawn.values():
        figure.suptitle(title, fontsize=9)
    return drawn


def relevance_figure(found: InterpretationData) -> Figure:
    """Draw the mean relevance of each attribute (columns) for each class (rows)."""
    values = found.answers.class_relevance
    names = [str(j) for j in range(values.shape[1])]
    figure = new_figure(2.4 + 0.27 * len(names), 1.4 + 0.3 * len(values))
    axis = figure.subplots()
    picture = axis.imshow(values, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    figure.colorbar(picture, ax=axis, label="relevance")
    name_ticks(axis, names, found.class_names)
    axis.tick_params(axis="x", rotation=0)
    axis.set(xlabel="attribute", ylabel="class predicted by g")
    return figure


def conciseness_figure(found: InterpretationData) -> Figure:
    """Draw conciseness by τ, and the share of images to which each attribute is relevant."""
    figure = new_figure(9.5, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.plot(metrics.TAUS, metrics.conciseness(found.answers.relevance), "o-", color=BLUE)
    left.set(xlabel="τ", ylabel="relevant attributes per image", ylim=(0, None))
    left.set_title("conciseness CNS(τ)", fontsize=9)
    use = found.answers.use(TAU)
    right.bar(range(len(use)), use, color=np.where(use > 0, BLUE, GREY))
    right.set(xlabel="attribute", ylabel="images it is relevant to", ylim=(0, None))
    right.set_title(f"attribute use (relevance above 1/{TAU:g})", fontsize=9)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    return figure


def pairs(found: InterpretationData) -> list[tuple[int, int]]:
    """Return the pairs of a class and an attribute that are drawn.

    The most relevant attribute of each class comes first, then the second, as far as they are
    relevant.
    """
    values = np.nan_to_num(found.answers.class_relevance, nan=-1.0)
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = [(number, int(row[rank])) for rank in range(2) for number, row in enumerate(order)]
    return [pair for pair in ranked if values[pair] > 1 / TAU][:PAIRS]


def attributes_figure(found: InterpretationData) -> Figure:
    """Draw the images of each pair's class that activate its attribute most.

    Beside each is the same image, changed so that it activates the attribute still more.
    """
    answers, drawn = found.answers, sorted(pairs(found))
    rows = []
    for number, attribute in drawn:
        own = np.flatnonzero(answers.interpreter == number)
        best = own[np.argsort(-answers.attributes[own, attribute], kind="stable")][:SAMPLES]
        rows += [(number, attribute, int(index)) for index in best]
    indices = np.array([index for *_, index in rows], int)
    changed = maximize_activation(
        found.model, found.test.images[indices], np.array([j for _, j, _ in rows])
    )
    across, down = 2 * SAMPLES, -(-len(drawn) // 2)
    figure = new_figure(2 * (0.85 * across + 0.6), 1.2 * down + 0.5)
    figure.set_layout_engine("constrained", h_pad=0.12)
    axes = _grid(figure, down, 2 * across)
    for (number, attribute, index), picture in zip(rows, changed, strict=True):
        pair = drawn.index((number, attribute))
        column = (pair % 2) * across + 2 * [r[2] for r in rows if r[:2] == drawn[pair]].index(index)
        left, right = axes[pair // 2, column], axes[pair // 2, column + 1]
        draw_image(left, found.test.images[index])
        draw_image(right, picture)
        if column % across == 0:
            value = answers.class_relevance[number, attribute]
            name = found.class_names[number]
            title = f"{name}: attribute {attribute}, relevance {value:.2f}"
            # Outside the layout, as it is wider than the image and would push its neighbour away.
            left.annotate(
                title,
                (0, 1),
                (0, 4),
                fontsize=8,
                xycoords="axes fraction",
                textcoords="offset points",
            ).set_in_layout(False)
    return figure


def explanations_figure(found: InterpretationData, indices: Sequence[int] = ()) -> Figure:
    """Draw images with the relevances for their prediction.

    Beside them are the images changed so that they activate the most relevant attributes more.

    Args:
        found: The classifier.
        indices: Indices of images of the test split; if empty, one image of each of some
            classes, on which f and g agree if there is one.
    """
    answers = found.answers
    alike = np.flatnonzero(answers.agrees) if answers.agrees.any() else np.arange(len(found.test))
    _, first = np.unique(answers.interpreter[alike], return_index=True)
    chosen = np.array(indices, int) if len(indices) else alike[first[:SHOWN]]
    tops = [np.argsort(-answers.relevance[index], kind="stable")[:TOP] for index in chosen]
    repeated = np.repeat(found.test.images[chosen], [len(top) for top in tops], axis=0)
    changed = iter(maximize_activation(found.model, repeated, np.concatenate(tops)))
    figure = new_figure(9, 1.8 * len(chosen) + 0.3)
    widths = (1, 1.8, *[1] * len(tops[0]))
    axes = figure.subplots(len(chosen), len(widths), width_ratios=widths, squeeze=False)
    for row, index, top in zip(axes, chosen, tops, strict=True):
        draw_image(row[0], found.test.images[index])
        row[0].set_title(_classes_text(found, index), fontsize=8)
        _draw_relevance(row[1], answers.relevance[index])
        for axis, attribute in zip(row[2:], top, strict=True):
            value = answers.relevance[index, attribute]
            picture = next(changed)
            if value > 1 / TAU:
                draw_image(axis, picture)
                axis.set_title(f"attribute {attribute}: {value:.2f}", fontsize=8)
            else:
                axis.axis("off")
    axes[-1, 1].set_xlabel("attribute", fontsize=8)
    return figure


def disagreements_figure(found: InterpretationData) -> Figure:
    """Draw images for which f and g predict different classes.

    Beside them are the contributions of each attribute to the logits of both classes.
    """
    answers = found.answers
    chosen = np.flatnonzero(~answers.agrees)[:SHOWN]
    figure = new_figure(7, 1.8 * len(chosen) + 0.4)
    axes = figure.subplots(len(chosen), 2, width_ratios=(1, 4), squeeze=False)
    for (left, right), index in zip(axes, chosen, strict=True):
        draw_image(left, found.test.images[index])
        left.set_title(_classes_text(found, index), fontsize=8)
        for shift, classes, colour, symbol in (
            (-0.2, answers.predictor, BLUE, "f"),
            (0.2, answers.interpreter, ORANGE, "g"),
        ):
            contributions = metrics.contributions(
                answers.attributes[[index]], answers.weights, classes[[index]]
            )[0]
            places = np.arange(len(contributions)) + shift
            label = f"for {found.class_names[classes[index]]}, predicted by {symbol}"
            right.bar(places, contributions, 0.4, color=colour, label=label)
        right.legend(fontsize=7)
        right.set_ylabel("contribution to logit", fontsize=8)
        _style_axes(right)
    axes[-1, 1].set_xlabel("attribute", fontsize=8)
    return figure


def _draw_relevance(axis: Axes, values: np.ndarray) -> None:
    colours = np.where(values > 1 / TAU, BLUE, GREY)
    axis.bar(range(len(values)), values, color=colours)
    axis.set(ylim=(-1.05, 1.05))
    axis.set_ylabel("relevance", fontsize=7)
    axis.axhline(1 / TAU, color=GREY, linewidth=1, linestyle="--")
    _style_axes(axis)


def _style_axes(axis: Axes) -> None:
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)


def _classes_text(found: InterpretationData, index: int) -> str:
    """Return the classes predicted by f and g, and the true class, one per line."""
    names, answers = found.class_names, found.answers
    predicted = f"f: {names[answers.predictor[index]]}\ng: {names[answers.interpreter[index]]}"
    return f"{predicted}\nis: {names[answers.labels[index]]}"


def _grid(figure: Figure, rows: int, columns: int) -> np.ndarray:
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    return axes
