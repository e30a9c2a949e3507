"""Formats a retraining as a table."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.retraining.results import Retrained, Retraining
from xnas_tf.storage.columns import measured_columns
from xnas_tf.utils.number_format import counted, format_value, percent_range, percent_text

_CAPTION = (
    "test accuracy: 95% interval of the mean over seeds (t), or of one model over the test images "
    "(Wilson); other values: on the validation split, ± half of the t interval"
)


def retraining_table(retraining: Retraining) -> Table:
    """Return a table with one network per row, and the baseline in the last row."""
    epochs = f"at most {counted(retraining.config.training.epochs, 'epoch')}"
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Retrained: {epochs}, patience {retraining.patience}",
        caption=Text("\n".join([_CAPTION, *retraining.notes()])),
        caption_justify="left",
    )
    table.add_column("model")
    table.add_column("test accuracy", justify="right", no_wrap=True)
    table.add_column("interval")
    columns = measured_columns(retraining.config)
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=column.is_objective)
    if has_size := all(column.name != "parameters" for column in columns):
        table.add_column("parameters", justify="right")
    table.add_column("best epoch", justify="right")
    for model in retraining.models():
        low, mean, high = model.test_accuracy
        table.add_row(
            Text(model.title),
            f"{percent_text(mean, 2)} ({percent_range(low, high, 2)})",
            model.kind,
            *(_format_measured(model, column.name) for column in columns),
            *([f"{model.parameters:,}"] if has_size else []),
            f"{model.mean(lambda training: training.metrics['best_epoch']):.0f}",
        )
    return table


def _format_measured(model: Retrained, name: str) -> str:
    measured = model.measured(name)
    if measured is None:
        return "–"
    text, interval = format_value(measured["mean"]), measured["interval"]
    return text if interval is None else f"{text} ± {interval[2] - interval[1]:.2g}"
