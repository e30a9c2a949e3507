"""Creates the table of exported files printed by the command."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from xnas_tf.utils.number_format import percent_interval


def files_table(cards: Sequence[dict[str, Any]]) -> Table:
    """Return a table of the files listed in model cards, without empty columns."""
    texts = ("model", "format", "file")
    shares = ("accuracy (95%)", "Keras model's", "same class")
    numbers = ("MB", "difference", *shares, "ms an image")
    rows = [
        [card["name"], file["format"], file["file"], *_measured(file)]
        for card in cards
        for file in card["files"]
    ]
    table = Table(box=None, header_style="bold")
    kept = [any(column) for column in zip(*rows, strict=True)]
    for heading in itertools.compress((*texts, *numbers), kept):
        table.add_column(heading, justify="left" if heading in texts else "right")
    for row in rows:
        table.add_row(*itertools.compress(row, kept))
    return table


def _measured(file: dict[str, Any]) -> list[str]:
    compared = file.get("quantization", {})
    keys = ("accuracy", "model_accuracy", "agreement")
    shares = [percent_interval(compared.get(key)) for key in keys]
    milliseconds = f"{file['latency']['milliseconds'][1]:.3g}" if "latency" in file else ""
    difference = f"{max(file['differences'].values()):.1g}"
    return [f"{file['bytes'] / 1e6:.3f}", difference, *shares, milliseconds]
