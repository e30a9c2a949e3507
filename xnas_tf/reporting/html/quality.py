"""Collects texts and metrics on the quality of a model's attributions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xnas_tf.explanation.expert_text import metric_rows
from xnas_tf.explanation.trust_text import trust_paragraphs
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE
from xnas_tf.storage.model_source import EXPLANATIONS
from xnas_tf.storage.run import Run
from xnas_tf.storage.tested_models import candidate_name, figures_fact


def saved_quality(run: Run, candidate: int) -> dict[str, Any]:
    """Read the ``quality`` (see ``quality_data``) and ``warnings`` that ``xnas-tf explain`` wrote.

    Both are empty if it wrote nothing about the candidate, or its file cannot be read.
    """
    file = run.path / EXPLANATIONS / candidate_name(candidate) / "explanation.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        quality = quality_data(content)
        if quality and (text := other_data_text(content, run, candidate)):
            quality["verdicts"].insert(0, text)
        return {"quality": quality, "warnings": list(map(str, content.get("warnings", ())))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"quality": {}, "warnings": []}


def other_data_text(result: Mapping[str, Any], run: Run, candidate: int) -> str:
    """Say that results of ``explain``, ``disentangle`` or ``interpret`` are about other data.

    Returns:
        One or two sentences; empty if the input range is that of the training or unknown, and the
        images are those on which the run tested the candidate, or one of the two is unknown.
    """
    texts, used = [], result.get("input_range")
    if used not in (None, DEFAULT_RANGE):
        texts.append(
            f"These results were made with the input range {used}, but the model was trained on "
            f"{DEFAULT_RANGE}."
        )
    accuracy, tested = result.get("accuracy"), run.fact(figures_fact(candidate_name(candidate)))
    if isinstance(accuracy, dict) and tested:
        given = accuracy.get("images"), accuracy.get("commonest_class")
        counts = [sum(row) for row in tested["figures"]["confusion"]]
        if None not in given and given != (sum(counts), max(counts)):
            texts.append(
                f"These results are not about the test split of this run, which has "
                f"{sum(counts):,} images, at most {max(counts):,} of one class. They are about "
                f"{given[0]:,} images, at most {given[1]:,} of one class, and the model may have "
                "been trained on some of them."
            )
    return " ".join(texts)


def quality_data(explanation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdicts on the methods and the metrics, as on the page of ``xnas-tf explain``.

    Args:
        explanation: The result of ``Explanation.as_dict``.

    Returns:
        ``verdicts``, a list of paragraphs, and ``metrics``, the rows of a table; empty if the
        quality was not measured.
    """
    if not (metrics := metric_rows(explanation)):
        return {}
    verdicts = trust_paragraphs(explanation)
    if explanation.get("only_mistakes"):
        verdicts.insert(0, "Only misclassified images were chosen.")
    return {"verdicts": verdicts, "metrics": metrics}
