"""Figures of an interpreted classifier; undefined values are left blank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.data import Split
from xnas_tf.interpretation.drawing import (
    BLUE,
    GREY,
    MOST_CELLS,
    ORANGE,
    draw_image,
    name_ticks,
    new_figure,
    ticks_width,
    wrapped,
)
from xnas_tf.interpretation.flint.activation import maximize_activation
from xnas_tf.interpretation.flint.interpreter import InterpretedModel
from xnas_tf.interpretation.flint.predictions import TAU, TAUS, InterpreterPredictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS = 10
"""Maximum number of (class, attribute) pairs to draw."""
SAMPLES = 3
"""Number of images to draw for each pair."""
SHOWN = 5
"""Maximum number of explained images and of disagreements to draw."""
TOP = 3
"""Number of attributes to draw for an image."""


def drawings(
    model: InterpretedModel,
    test: Split,
    answers: InterpreterPredictions,
    names: Sequence[str],
    explained: Sequence[int],
) -> dict[str, Callable[[], Figure]]:
    """Return the functions that draw the available figures, by name.

    ``explained`` are indices of test images to explain; if there are none, one image of each of
    several classes is chosen, preferably one on which model and interpreter agree.
    """
    available: dict[str, Callable[[], Figure]] = {
        "relevance": lambda: _relevance_figure(answers, names),
        "conciseness": lambda: _conciseness_figure(answers),
        "explanations": lambda: _explanations_figure(model, test, answers, names, explained),
    }
    if _pairs(answers):
        available["attributes"] = lambda: _attributes_figure(model, test, answers, names)
    if not answers.agrees.all():
        available["disagreements"] = lambda: _disagreements_figure(test, answers, names)
    return available


def _relevance_figure(answers: InterpreterPredictions, names: Sequence[str]) -> Figure:
    """Draw each attribute's mean relevance (columns) for each class (rows)."""
    values = answers.class_relevance
    attributes = [str(j) for j in range(values.shape[1])]
    rows, columns = (min(MOST_CELLS, len(each)) for each in (names, attributes))
    width = 2.2 + 0.27 * columns + ticks_width(names)
    figure = new_figure(width, 1.4 + 0.3 * max(3, rows))
    axis = figure.subplots()
    picture = axis.imshow(values, cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    figure.colorbar(picture, ax=axis, label="relevance")
    name_ticks(axis, attributes, names)
    axis.tick_params(axis="x", rotation=0)
    axis.set_xlabel("attribute")
    axis.set_ylabel("predicted class", fontsize=8)
    return figure


def _conciseness_figure(answers: InterpreterPredictions) -> Figure:
    """Draw conciseness against τ, and the share of images to which each attribute is relevant."""
    figure = new_figure(9.5, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.plot(TAUS, [answers.conciseness(tau) for tau in TAUS], "o-", color=BLUE)
    left.set(xlabel="τ: relevance above 1/τ", ylabel="attributes per image", ylim=(0, None))
    left.set_title("attributes that matter ↓", fontsize=9)
    use = answers.use(TAU)
    right.bar(range(len(use)), use, color=np.where(use > 0, BLUE, GREY))
    right.set(xlabel="attribute", ylabel="share of images", ylim=(0, None))
    title = f"share of images to which an attribute is relevant (above 1/{TAU:g})"
    right.set_title(title, fontsize=9)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
    return figure


def _pairs(answers: InterpreterPredictions) -> list[tuple[int, int]]:
    """Return the (class, attribute) pairs to draw, sorted.

    They are each class's most relevant attribute and, if there are fewer than ``PAIRS``, the second
    most relevant ones. Irrelevant attributes are left out.
    """
    values = np.nan_to_num(answers.class_relevance, nan=-1.0)
    order = np.argsort(-values, axis=1, kind="stable")[:, :2]
    ranked = [(number, int(best)) for column in order.T for number, best in enumerate(column)]
    return sorted([pair for pair in ranked if values[pair] > 1 / TAU][:PAIRS])


def _attributes_figure(
    model: InterpretedModel, test: Split, answers: InterpreterPredictions, names: Sequence[str]
) -> Figure:
    """For each pair, draw images that activate the attribute most, and maximised copies."""
    pairs = _pairs(answers)
    best = []
    for number, attribute in pairs:
        own = np.flatnonzero(answers.interpreter == number)
        order = np.argsort(-answers.attributes[own, attribute], kind="stable")
        best.append(own[order][:SAMPLES])
    attributes = np.repeat([attribute for _, attribute in pairs], [len(each) for each in best])
    changed = iter(maximize_activation(model, test.images[np.concatenate(best)], attributes))
    across, down = 2 * SAMPLES, -(-len(pairs) // 2)  # two pairs per row
    figure = new_figure(2 * (0.85 * across + 0.6), 1.2 * down + 0.5)
    figure.set_layout_engine("constrained", h_pad=0.12)
    axes = figure.subplots(down, 2 * across, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for pair, indices, places in zip(pairs, best, axes.reshape(-1, across), strict=False):
        for place, index in enumerate(indices):
            draw_image(places[2 * place], test.images[index])
            draw_image(places[2 * place + 1], next(changed))
        value = answers.class_relevance[pair]
        text = f"{names[pair[0]]}: attribute {pair[1]}, relevance {value:.2f}"
        units: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        # Not part of the layout, because wide text would push the neighbouring image away.
        places[0].annotate(text, (0, 1), (0, 4), fontsize=8, **units).set_in_layout(False)
    return figure


def _explanations_figure(
    model: InterpretedModel,
    test: Split,
    answers: InterpreterPredictions,
    names: Sequence[str],
    indices: Sequence[int],
) -> Figure:
    """Draw images with the attributes' relevance, and copies maximised for the most relevant."""
    alike = np.flatnonzero(answers.agrees) if answers.agrees.any() else np.arange(len(test))
    _, first = np.unique(answers.interpreter[alike], return_index=True)
    chosen = np.array(indices, int) if len(indices) else alike[first[:SHOWN]]
    tops = [np.argsort(-answers.relevance[index], kind="stable")[:TOP] for index in chosen]
    repeated = np.repeat(test.images[chosen], [len(top) for top in tops], axis=0)
    changed = iter(maximize_activation(model, repeated, np.concatenate(tops)))
    texts = [_classes_text(answers, names, index) for index in chosen]
    figure = new_figure(9, _height(texts))
    widths = (1, 1.8, *[1] * len(tops[0]))
    axes = figure.subplots(len(chosen), len(widths), width_ratios=widths, squeeze=False)
    for row, index, top, text in zip(axes, chosen, tops, texts, strict=True):
        draw_image(row[0], test.images[index])
        row[0].set_title(text, fontsize=8)
        values = answers.relevance[index]
        row[1].bar(range(len(values)), values, color=np.where(values > 1 / TAU, BLUE, GREY))
        row[1].set(ylim=(-1.05, 1.05))
        row[1].set_ylabel("relevance", fontsize=7)
        row[1].axhline(1 / TAU, color=GREY, linewidth=1, linestyle="--")
        _style_axes(row[1])
        for axis, attribute in zip(row[2:], top, strict=True):
            picture = next(changed)
            if values[attribute] > 1 / TAU:
                draw_image(axis, picture)
                axis.set_title(f"attribute {attribute}: {values[attribute]:.2f}", fontsize=8)
            else:
                axis.axis("off")
    axes[-1, 1].set_xlabel("attribute", fontsize=8)
    return figure


def _disagreements_figure(
    test: Split, answers: InterpreterPredictions, names: Sequence[str]
) -> Figure:
    """Draw images with different predictions, and the attributes' contributions to both logits."""
    chosen = np.flatnonzero(~answers.agrees)[:SHOWN]
    texts = [_classes_text(answers, names, index) for index in chosen]
    figure = new_figure(7, _height(texts))
    axes = figure.subplots(len(chosen), 2, width_ratios=(1, 3), squeeze=False)
    for (left, right), index, text in zip(axes, chosen, texts, strict=True):
        draw_image(left, test.images[index])
        left.set_title(text, fontsize=8)
        for shift, classes, colour, predictor in (
            (-0.2, answers.predictor, BLUE, "model"),
            (0.2, answers.interpreter, ORANGE, "interpreter"),
        ):
            contributions = answers.contributions(classes)[index]
            places = np.arange(len(contributions)) + shift
            label = f"for {names[classes[index]]}, predicted by the {predictor}"
            right.bar(places, contributions, 0.4, color=colour, label=label)
        right.legend(fontsize=7)
        right.set_ylabel("contribution to score", fontsize=8)
        _style_axes(right)
    axes[-1, 1].set_xlabel("attribute", fontsize=8)
    return figure


def _style_axes(axis: Axes) -> None:
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)


def _classes_text(answers: InterpreterPredictions, names: Sequence[str], index: int) -> str:
    """Return lines with the model's prediction, the interpreter's prediction and the true class."""
    text = (
        f"model: {names[answers.predictor[index]]}\n"
        f"interpreter: {names[answers.interpreter[index]]}\n"
        f"true: {names[answers.labels[index]]}"
    )
    return wrapped(text, inches=1.5)


def _height(texts: Sequence[str]) -> float:
    """Return the height in inches of a figure that has text above each row."""
    return sum(1.5 + 0.13 * (1 + text.count("\n")) for text in texts) + 0.4
