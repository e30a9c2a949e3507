"""Describes the exported files in a section of a model card, and as a table for terminals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from xnas_tf.exporting.markdown import code, markdown_table, text
from xnas_tf.utils.number_format import percent_interval


def files_text(card: dict[str, Any]) -> str:
    """Return a table of the files, with notes on their latency, quantization and own code."""
    rows = [
        (
            f"`{each['file']}`",
            f"`{each['format']}`",
            size_in_mb(each),
            f"{max(each['differences'].values()):.1g}",
            "" if "quantization" in each else f"{each['tolerance']:.0e}",
            f"{each['latency']['milliseconds'][1]:.3g}" if "latency" in each else "",
        )
        for each in card["files"]
    ]
    header = ("file", "format", "size", "difference", "allowed", "ms an image")
    parts = [
        f"After it was written, each file was run on {text(card['verified_on'])}.",
        markdown_table(header, rows),
        *(_latency(each["latency"]) for each in card["files"] if "latency" in each),
        *(_quantization(each) for each in card["files"] if "quantization" in each),
        _own_code(card["own_code"]),
    ]
    return "\n\n".join(dict.fromkeys(filter(None, parts)))


def _own_code(own: dict[str, Any]) -> str:
    """Say which of the user's files is in the folder, and which modules are not."""
    parts = []
    if own["copied"]:
        parts.append(
            f"`model.keras` needs the search's own code: {code(own['copied'])} is a copy, as it "
            "was at the time of the export."
        )
    if own["not_copied_because"]:
        parts.append(
            "`model.keras` needs the search's own code, which was not copied: "
            f"{text(own['not_copied_because'])}."
        )
    if own["needs"]:
        listed = ", ".join(map(code, own["needs"]))
        parts.append(f"The code also needs these modules, which are not in this folder: {listed}.")
    return " ".join(parts)


def size_in_mb(file: dict[str, Any]) -> str:
    """Return the size of an exported file."""
    return f"{file['bytes'] / 1e6:.2f} MB"


def _latency(measured: dict[str, Any]) -> str:
    return (
        f"Latency is the median on the machine of the export, with batches of "
        f"{measured['batch_size']}; threads: {measured['threads']}."
    )


def _quantization(file: dict[str, Any]) -> str:
    found = file["quantization"]
    loss = found["model_accuracy"][1] - found["accuracy"][1]
    warning = (
        f" **It loses {100 * loss:.1f} percentage points.**" if loss > found["allowed_loss"] else ""
    )
    return (
        f"`{file['file']}` is quantized to int8, calibrated on {found['calibration_images']} "
        f"training images. Its accuracy on {found['images']:,} test images is "
        f"{percent_interval(found['accuracy'])}; the accuracy of the Keras model is "
        f"{percent_interval(found['model_accuracy'])}. Both predict the same class for "
        f"{percent_interval(found['agreement'])} of these images.{warning}"
    )


def files_table(cards: Sequence[dict[str, Any]]) -> Table:
    """Return a table of the files listed in model cards, without empty columns."""
    texts = ("model", "format", "file")
    shares = ("accuracy (95%)", "Keras model's", "same class")
    numbers = ("MB", "difference", *shares, "ms an image")
    rows = [
        [card["name"], file["format"], file["file"], *_row(file)]
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


def _row(file: dict[str, Any]) -> list[str]:
    compared = file.get("quantization", {})
    keys = ("accuracy", "model_accuracy", "agreement")
    shares = [percent_interval(compared.get(key)) for key in keys]
    milliseconds = f"{file['latency']['milliseconds'][1]:.3g}" if "latency" in file else ""
    difference = f"{max(file['differences'].values()):.1g}"
    return [f"{file['bytes'] / 1e6:.3f}", difference, *shares, milliseconds]
