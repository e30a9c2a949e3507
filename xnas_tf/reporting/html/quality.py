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
    """Say that a candidate's results are about other images, or values, than those of its run.

    Args:
        result: A saved result of ``explain``, ``disentangle`` or ``interpret``.
        run: The run, in which the candidate may have been tested.
        candidate: The candidate's id.

    Returns:
        One or two sentences; empty if the input range is that of the training or unknown, and the
        two test splits have the same size, or either size is unknown.
    """
    texts = [_range_text(result), _split_text(result, run, candidate)]
    return " ".join(filter(None, texts))


def _range_text(result: Mapping[str, Any]) -> str:
    used = result.get("input_range")
    if used in (None, DEFAULT_RANGE):
        return ""
    return (
        f"These results were made with the input range {used}, but the model was trained on "
        f"{DEFAULT_RANGE}."
    )


def _split_text(result: Mapping[str, Any], run: Run, candidate: int) -> str:
    accuracy, tested = result.get("accuracy"), run.fact(figures_fact(candidate_name(candidate)))
    if not isinstance(accuracy, dict) or not tested:
        return ""
    given = accuracy.get("images"), accuracy.get("commonest_class")
    counts = [sum(row) for row in tested["figures"]["confusion"]]
    if None in given or given == (sum(counts), max(counts)):
        return ""
    return (
        f"These results are not about the test split of this run, which has {sum(counts):,} "
        f"images, at most {max(counts):,} of one class. They are about {given[0]:,} images, at "
        f"most {given[1]:,} of one class, and the model may have been trained on some of them."
    )


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
