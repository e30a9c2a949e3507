"""An explanation as tables."""

from __future__ import annotations

from rich import box
from rich.table import Column, Table
from rich.text import Text

from xnas_tf.explanation import Explanation
from xnas_tf.explanation.quality import MORE_IS_BETTER


def explanation_tables(explanation: Explanation) -> list[Table]:
    """Return a table of the predictions and, if measured, one of the mean quality by method."""
    names, labels = explanation.class_names, explanation.labels
    headings = ["image", "predicted", "probability", "explained"]
    images = Table(*headings, *(["true"] if labels is not None else []), box=box.SIMPLE_HEAD)
    for i, predicted in enumerate(explanation.predicted):
        images.add_row(
            Text(explanation.files[i] if explanation.files else str(i)),
            Text(names[int(predicted)]),
            f"{explanation.probabilities[i, predicted]:.2%}",
            Text(names[int(explanation.targets[i])]),
            *([Text(names[int(labels[i])])] if labels is not None else []),
        )
    metrics = list(dict.fromkeys(name for each in explanation.quality.values() for name in each))
    if not metrics:
        return [images]
    titles = [f"{name} {'↑' if name in MORE_IS_BETTER else '↓'}" for name in metrics]
    columns = [Column("method"), *(Column(title, justify="right") for title in titles)]
    quality = Table(*columns, box=box.SIMPLE_HEAD, title="mean quality of the explanations")
    for method, values in explanation.quality.items():
        means = (f"{values[name].mean():.4f}" if name in values else "" for name in metrics)
        quality.add_row(method.title, *means)
    return [images, quality]
