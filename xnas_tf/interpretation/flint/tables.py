"""An interpreted classifier as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from xnas_tf.interpretation.flint.files import facts
from xnas_tf.interpretation.flint.metrics import TAU
from xnas_tf.interpretation.tables import number, share, table

if TYPE_CHECKING:
    from xnas_tf.interpretation.flint.interpretation import Interpretation


def interpretation_tables(found: Interpretation) -> list[Table]:
    """The figures, then the attributes of each class."""
    known = facts(found)
    return [_figures(known), _classes(found)]


def _figures(known: dict) -> Table:
    listed = table(f"{known['mode']}, {known['epochs']} epochs", ["figure", "validation", "test"])
    both = known["validation"], known["test"]
    for name, values in (
        ("accuracy of f ↑", [share(each["accuracy"]["f"]) for each in both]),
        ("accuracy of g ↑", [share(each["accuracy"]["g"]) for each in both]),
        ("fidelity of g to f ↑", [share(each["fidelity"]["top1"]) for each in both]),
        ("fidelity, top 5 ↑", [share(each["fidelity"]["top5"]) for each in both]),
        *(
            (f"conciseness CNS({tau}) ↓", [number(each["conciseness"][tau]) for each in both])
            for tau in known["test"]["conciseness"]
        ),
        ("images without a relevant attribute", [share(each["unexplained"]) for each in both]),
        (f"attributes never relevant (τ {TAU:g})", [str(e["unused_attributes"]) for e in both]),
    ):
        listed.add_row(name, *values)
    return listed


def _classes(found: Interpretation) -> Table:
    listed = table("the most relevant attributes of each class", ["class", "attributes"])
    for name, row in zip(found.class_names, found.answers.class_relevance, strict=True):
        best = [j for j in np.argsort(-row, kind="stable")[:3] if row[j] > 0]
        listed.add_row(Text(name), "  ".join(f"{j} ({row[j]:.2f})" for j in best) or "–")
    return listed
