"""A disentangled network as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.interpret.nad.saving import facts

if TYPE_CHECKING:
    from xnas_tf.interpret.nad.disentangle import Disentanglement


def disentanglement_tables(found: Disentanglement) -> list[Table]:
    """The network, its layers, then its classes."""
    known = facts(found)
    whole = _table("the network", ["figure", "value"])
    for name, value in (
        ("diversity of paths ↑", _number(known["diversity"])),
        ("channels kept", _share(known["kept"])),
        ("rank correlation of similarity and confusion", _number(known["rank_correlation"])),
        ("misclassified images", str(known["mistakes"]["count"])),
        (
            "taken for one of the three most similar classes",
            _share(known["mistakes"]["taken_for_a_similar_class"])
            + f" (chance {_share(known['mistakes']['by_chance'])})",
        ),
        ("empty masks", str(len(known["empty"]))),
    ):
        whole.add_row(name, value)
    return [whole, _layers(known), _classes(known)]


def _layers(known: dict) -> Table:
    chance = _number(known["chance"])
    table = _table(
        "layers", ["layer", "channels", "kept", "similarity ↓", f"hit rate ↑ (chance {chance})"]
    )
    for layer in known["layers"]:
        hits = layer["hit_rate"]
        table.add_row(
            Text(layer["layer"]),
            str(layer["channels"]),
            _number(np.mean(list(layer["kept"].values()))),
            _number(layer["similarity"]),
            f"{_number(hits['mean'])} ± {_number(hits['deviation'])}",
        )
    return table


def _classes(known: dict) -> Table:
    table = _table(
        "classes; accuracy and false alarms: network, soft masks, hard masks",
        ["class", "β", "kept", "accuracy ↑", "false alarms ↓", "most similar", "most confused"],
    )
    for each in known["classes"]:
        table.add_row(
            Text(each["class"]),
            f"{each['beta']:.3g}",
            _share(each["kept"]),
            "  ".join(map(_share, each["accuracy"].values())),
            "  ".join(map(_share, each["false_alarms"].values())),
            Text(", ".join(each["most_similar"])),
            Text(", ".join(each["most_confused"])),
        )
    return table


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title)
    for heading in headings:
        table.add_column(heading)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
