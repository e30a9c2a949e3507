"""Formats an explanation as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Column, Table
from rich.text import Text

from xnas_tf.explanation.quality import MORE_IS_BETTER, RANDOM, RANDOM_KEY
from xnas_tf.utils.number_format import percent_text


def explanation_tables(known: Mapping[str, Any]) -> list[Table]:
    """Return tables of the predictions and measured qualities in ``Explanation.as_dict``."""
    has_labels = any(image["label"] is not None for image in known["images"])
    has_files = any(image.get("file") for image in known["images"])
    headings = ["image", *(["file"] if has_files else []), "predicted", "probability", "explained"]
    images = Table(*headings, *(["true"] if has_labels else []), box=box.SIMPLE_HEAD)
    for place, image in enumerate(known["images"], start=1):
        images.add_row(
            str(place),
            *([Text(image.get("file") or "")] if has_files else []),
            Text(image["predicted"]),
            percent_text(image["probability"], 2),
            Text(image["explained"]),
            *([Text(image["label"] or "")] if has_labels else []),
        )
    methods = [method for method in known["methods"].values() if method["quality"]]
    metrics = list(dict.fromkeys(name for method in methods for name in method["quality"]))
    if not metrics:
        return [images]
    titles = [f"{name} {'↑' if name in MORE_IS_BETTER else '↓'}" for name in metrics]
    has_empty = any(any(method["empty"]) for method in methods)
    right = [*(["images"] if has_empty else []), *titles]
    columns = [Column("method"), *(Column(title, justify="right") for title in right)]
    quality = Table(*columns, box=box.SIMPLE_HEAD, title="mean quality of the explanations")
    rows = [(each["title"], measured_images(each), each["quality"]) for each in methods]
    if random := known[RANDOM_KEY]:
        rows.append((RANDOM, "", random))
    for title, measured, values in rows:
        means = [values.get(name, {}).get("mean") for name in metrics]
        texts = ["" if mean is None else f"{mean:.4f}" for mean in means]
        quality.add_row(title, *([measured] if has_empty else []), *texts)
    return [images, quality]


def method_titles(known: Mapping[str, Any]) -> dict[str, str]:
    """Return the title of each method by key; the key, if several methods have the same title."""
    titles = {key: method.get("title", key) for key, method in known["methods"].items()}
    counts = Counter(titles.values())
    return {key: title if counts[title] == 1 else key for key, title in titles.items()}


def measured_images(method: Mapping[str, Any]) -> str:
    """Say how many images have non-empty maps; quality was measured only on these."""
    empty = method.get("empty", [])
    return f"{len(empty) - sum(empty)} of {len(empty)}"
