"""Says how far attribution maps can be trusted, one sentence for each method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xnas_tf.explanation.quality import RANDOM_KEY
from xnas_tf.explanation.tables import method_titles
from xnas_tf.interpretation.accuracy_text import means_little, range_warning
from xnas_tf.utils.intervals import FEWEST, is_clearly_positive
from xnas_tf.utils.number_format import counted

SIMILAR = 0.5
"""Similarity (rank correlation) to an untrained model's maps from which a method is named. Cohen
(1988) calls correlations from 0.5 on large."""
SMALL = 0.3
"""Agreement (correlation) below which the effect is called small. Cohen (1988) calls correlations
from 0.3 on medium."""
_BAD = "not reliable here"
_SCALE = (
    "Agreement: whether hiding the pixels that a map marks lowers the model's score more than "
    "hiding others; 1 at best, about 0 for random maps, below 0 if hiding others lowers it more."
)


def maps_mean_little(known: Mapping[str, Any]) -> bool:
    """Return whether nothing about a model can be concluded from its maps.

    It is no better than chance, or was probably given values in the wrong range. ``known`` is the
    result of ``Explanation.as_dict``.
    """
    accuracy = known.get("accuracy")
    return means_little(accuracy) or bool(range_warning(accuracy or known))


def trust_paragraphs(known: Mapping[str, Any]) -> list[str]:
    """Return a verdict on each method in ``Explanation.as_dict``; none if maps mean little."""
    if maps_mean_little(known):
        return []
    if not any(method["quality"] for method in known["methods"].values()):
        return ["How far these maps can be trusted was not measured."]
    images, titles = counted(len(known["images"]), "image"), method_titles(known)
    verdicts = [f"{titles[key]}: {verdict}" for key, verdict in _verdicts(known).items()]
    scale = [_SCALE] if any("(agreement " in verdict for verdict in verdicts) else []
    return [f"How far to trust the maps, measured on {images}:", *verdicts, *scale]


def unreliable_methods(known: Mapping[str, Any]) -> list[str]:
    """Return the keys of the methods that ``trust_paragraphs`` calls not reliable."""
    return [key for key, verdict in _verdicts(known).items() if verdict.startswith(_BAD)]


def _verdicts(known: Mapping[str, Any]) -> dict[str, str]:
    random = known.get(RANDOM_KEY) or {}
    return {key: _verdict(each, random) for key, each in known["methods"].items()}


def _verdict(method: Mapping[str, Any], random: Mapping[str, Any]) -> str:
    agreement = _values(method["quality"], "sensitivity_n")
    marks_regions = is_clearly_positive(_gap(method["quality"]) - _gap(random))
    similarities = _values(method["quality"], "randomization")
    known = similarities[np.isfinite(similarities)]
    similarity = known.mean() if len(known) else 0.0
    found, reason = _matters(agreement, marks_regions)
    if found in (_BAD, "not tested") or similarity < SIMILAR:
        return f"{found}. {reason}"
    return (
        f"weak evidence. {reason} However, the maps stay similar (correlation "
        f"{similarity:.2f}) when what the model has learned is replaced by random numbers, so they "
        "may mostly show the image itself. This test is too pessimistic for images with large "
        "black areas."
    )


def _matters(agreement: np.ndarray, marks_regions: bool | None) -> tuple[str, str]:
    """Say whether what the maps mark matters to the model: a verdict, and the reason."""
    marks_pixels = is_clearly_positive(agreement)
    if marks_pixels is None:
        few = f"At least {FEWEST} images with a map are needed to tell whether"
        return "not tested", f"{few} the maps show what matters to the model."
    value = f"(agreement {np.nanmean(agreement):.2f})"
    if marks_pixels and marks_regions is False:
        return (
            "weak evidence",
            f"Hiding the pixels that they mark lowers the score more than hiding others {value}, "
            "but hiding or revealing the most important pixels first does not change the "
            "probability clearly faster than a random order does.",
        )
    if marks_pixels:
        little = " a little" if np.nanmean(agreement) < SMALL else ""
        return (
            f"can be used{' with care' if little else ''}",
            f"Hiding the pixels that they mark lowers the score{little} more than hiding others "
            f"{value}.",
        )
    if is_clearly_positive(-agreement):
        parts = (
            " This is so even though the parts of the image they mark matter more to the model "
            "than random parts do."
        )
        return (
            _BAD,
            "Hiding the pixels that they mark lowers the score clearly less than hiding others "
            f"{value}.{parts if marks_regions else ''}",
        )
    if marks_regions:
        return (
            "can be used for regions, not for single pixels",
            "The parts of the image that they mark matter more to the model than random parts do, "
            f"but the single pixels do not {value}.",
        )
    return (
        _BAD,
        "Hiding the pixels that they mark does not clearly lower the score more than hiding "
        f"others {value}.",
    )


def _gap(quality: Mapping[str, Any]) -> np.ndarray:
    """Return insertion minus deletion for each image, which random maps keep small."""
    return _values(quality, "insertion") - _values(quality, "deletion")


def _values(quality: Mapping[str, Any], name: str) -> np.ndarray:
    """Return a metric for each image, (N,), with NaN where undefined; one NaN if not measured."""
    values = quality.get(name, {}).get("images", [])
    return np.array([np.nan if value is None else value for value in values] or [np.nan])
