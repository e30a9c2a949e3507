"""Terminal tables for an interpreted classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.interpretation.expert_page import number, share
from xnas_tf.interpretation.flint.predictions import TAU
from xnas_tf.utils.number_format import counted


def interpretation_tables(known: dict[str, Any]) -> list[Table]:
    """Return tables of the metrics and of each class's attributes in ``Interpretation.as_dict``."""
    return [_metrics_table(known), _class_table(known)]


def _metrics_table(known: dict[str, Any]) -> Table:
    title = f"{known['mode']}, {counted(known['epochs'], 'epoch')}"
    made = Table("metric", "validation", "test", box=box.SIMPLE_HEAD, title=title)
    test = _metrics(known["test"])
    for name, value in _metrics(known["validation"]).items():
        made.add_row(name, value, test[name])
    return made


def _metrics(split: dict[str, Any]) -> dict[str, str]:
    return {
        "accuracy of the model ↑": share(split["accuracy"]["f"]),
        "accuracy of the interpreter ↑": share(split["accuracy"]["g"]),
        "fidelity of the interpreter ↑": share(split["fidelity"]["top1"]),
        "fidelity, top 5 ↑": share(split["fidelity"]["top5"]),
        **{f"conciseness CNS({tau}) ↓": number(cns) for tau, cns in split["conciseness"].items()},
        "images without a relevant attribute": share(split["unexplained"]),
        f"attributes that are never relevant (τ {TAU:g})": str(split["unused_attributes"]),
    }


def _class_table(known: dict[str, Any]) -> Table:
    title = "the most relevant attributes of each class"
    made = Table("class", "attributes", box=box.SIMPLE_HEAD, title=title)
    relevances = np.array(known["class_relevance"], float)  # NaN for unpredicted classes
    for name, row in zip(known["class_names"], relevances, strict=True):
        best = [j for j in np.argsort(-row, kind="stable")[:3] if row[j] > 0]
        blank = "– (the interpreter never predicts it)" if np.isnan(row).any() else "–"
        made.add_row(Text(name), "  ".join(f"{j} ({row[j]:.2f})" for j in best) or blank)
    return made
