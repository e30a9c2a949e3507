"""Creates the table of exported files that the command prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from xnas_tf.exporting.card_text import percent


def files_table(cards: Sequence[dict[str, Any]]) -> Table:
    """Return a table of the files that are listed in model cards."""
    table = Table(box=None, header_style="bold")
    for heading in ("model", "file"):
        table.add_column(heading)
    for heading in (
        "MB",
        "difference",
        "accuracy (95%)",
        "Keras model's",
        "same class",
        "ms an image",
    ):
        table.add_column(heading, justify="right")
    for card in cards:
        for file in card["files"]:
            table.add_row(card["name"], file["file"], *_measured(file))
    return table


def _measured(file: dict[str, Any]) -> list[str]:
    compared = file.get("quantization", {})
    shares = [percent(compared.get(key)) for key in ("accuracy", "model_accuracy", "agreement")]
    milliseconds = f"{file['latency']['milliseconds'][1]:.3g}" if "latency" in file else ""
    difference = f"{max(file['differences'].values()):.1g}"
    return [f"{file['bytes'] / 1e6:.3f}", difference, *shares, milliseconds]
