"""Terminal tables for an interpreted classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from xnas_tf.interpretation.flint.predictions import TAU
from xnas_tf.interpretation.tables import number, share, table
from xnas_tf.utils.number_format import counted


def interpretation_tables(known: dict[str, Any]) -> list[Table]:
    """Return a table of metrics and a table of each class's attributes.

    Args:
        known: The result of ``Interpretation.as_dict``.
    """
    return [_metrics_table(known), _class_table(known)]


def _metrics_table(known: dict[str, Any]) -> Table:
    made = table(
        f"{known['mode']}, {counted(known['epochs'], 'epoch')}", ["metric", "validation", "test"]
    )
    both = known["validation"], known["test"]
    for name, values in (
        ("accuracy of the model ↑", [share(each["accuracy"]["f"]) for each in both]),
        ("accuracy of the interpreter ↑", [share(each["accuracy"]["g"]) for each in both]),
        ("fidelity of the interpreter ↑", [share(each["fidelity"]["top1"]) for each in both]),
        ("fidelity, top 5 ↑", [share(each["fidelity"]["top5"]) for each in both]),
        *(
            (f"conciseness CNS({tau}) ↓", [number(each["conciseness"][tau]) for each in both])
            for tau in known["test"]["conciseness"]
        ),
        ("images without a relevant attribute", [share(each["unexplained"]) for each in both]),
        (
            f"attributes that are never relevant (τ {TAU:g})",
            [str(e["unused_attributes"]) for e in both],
        ),
    ):
        made.add_row(name, *values)
    return made


def _class_table(known: dict[str, Any]) -> Table:
    made = table("the most relevant attributes of each class", ["class", "attributes"])
    relevances = np.array(known["class_relevance"], float)  # NaN for unpredicted classes
    for name, row in zip(known["class_names"], relevances, strict=True):
        best = [j for j in np.argsort(-row, kind="stable")[:3] if row[j] > 0]
        blank = "– (the interpreter never predicts it)" if np.isnan(row).any() else "–"
        made.add_row(Text(name), "  ".join(f"{j} ({row[j]:.2f})" for j in best) or blank)
    return made
